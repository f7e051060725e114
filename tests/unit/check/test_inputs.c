/* Trees that a check cannot tell apart. */
#include "fixture.h"

#include "check/inputs.h"

static struct oid tree_after(struct fixture *f, const char *change)
{
    test_run(f->path, "%s", change);
    test_run(f->path, "git add -A && git commit -qm change");
    return fixture_rev(f, "HEAD^{tree}");
}

static bool same(struct inputs *in, const struct check_config *check, const struct oid *a,
                 const struct oid *b)
{
    struct oid x = inputs_of(in, check, a), y = inputs_of(in, check, b);

    return oid_equal(&x, &y);
}

static void what_the_globs_match_makes_the_difference(void **state)
{
    struct fixture *f = *state;
    char *globs[] = {"apps/**", "*.yaml"};
    const struct check_config some = {.name = "some", .paths = {globs, 2, 2}};
    const struct check_config whole = {.name = "whole"};
    struct inputs *in = inputs_new(f->repo);
    struct oid first = tree_after(f, "mkdir -p d/apps apps && echo 1 >apps/x && echo 1 >d/y"),
               nothing = {0};
    struct oid elsewhere = tree_after(f, "echo 2 >d/y; echo 2 >d/apps/z");

    assert_true(same(in, &some, &first, &elsewhere));
    assert_false(same(in, &whole, &first, &elsewhere));
    struct oid content = tree_after(f, "echo 2 >apps/x");
    assert_false(same(in, &some, &elsewhere, &content));
    struct oid back = tree_after(f, "echo 1 >apps/x; echo 3 >d/y");
    assert_true(same(in, &some, &first, &back));
    struct oid mode = tree_after(f, "chmod +x apps/x");
    assert_false(same(in, &some, &back, &mode));
    struct oid link = tree_after(f, "ln -s d link.yaml");
    assert_false(same(in, &some, &mode, &link));
    struct oid gone = tree_after(f, "rm apps/x");
    assert_false(same(in, &some, &link, &gone));
    assert_false(same(in, &some, &nothing, &gone));
    /* What cannot be compared, and what differs in more than is worth it, is not the same. */
    assert_false(same(in, &some, &gone, &(struct oid){{7}}));
    struct oid much = tree_after(f, "for i in $(seq 1100); do echo $i >d/$i; done");
    assert_false(same(in, &some, &gone, &much));
    inputs_free(in);
}

static void old_ones_make_room(void **state)
{
    struct fixture *f = *state;
    char *globs[] = {"apps/**"};
    const struct check_config some = {.name = "some", .paths = {globs, 1, 1}};
    struct inputs *in = inputs_new(f->repo);
    struct oid first = tree_after(f, "echo 0 >apps/x"), at, last = {0};

    inputs_of(in, &some, &first);
    for (int i = 1; i <= 40; i++) {
        _cleanup_free_ char *change = xasprintf("echo %d >elsewhere", i);
        at = tree_after(f, change);
        last = inputs_of(in, &some, &at);
    }
    assert_true(oid_equal(&last, &first));
    inputs_free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_globs_match_makes_the_difference, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(old_ones_make_room, fixture_set_up, fixture_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
