/* commits/<id>/: about a revision. */
#include <stdlib.h>

#include "fixture.h"

static char *about(struct fixture *f, const char *rev, const char *name)
{
    char hex[OID_HEX + 1];
    struct oid oid = oid_from(f, rev);
    _cleanup_free_ char *path = xasprintf("commits/%s/%s", oid_hex(&oid, hex), name);

    return text(f, path);
}

static void test_what_git_says_of_a_revision(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *format;
    } files[] = {
        {"message", "%B"},
        {"author", "%an <%ae>"},
        {"committer", "%cn <%ce>"},
        {"trailers", "%(trailers:only,unfold)"},
    };

    change(f, "echo 2 >a && git commit -q -a --author='Bob <bob@example.org>' "
              "-m subject -m words -m 'Reason: because\n  it was\nFixes: 1'");
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *got = about(f, "main", files[i].name);
        _cleanup_free_ char *want =
            test_output(f->path, "git log -1 --format='%s' main", files[i].format);
        got[strcspn(got, "") - 1] = 0; /* test_output() leaves out the last newline */
        assert_string_equal(got, want);
    }
    _cleanup_free_ char *none = about(f, "main~1", "trailers");
    assert_string_equal(none, "");
}

static void add_site(struct fleet *fleet, const char *name, struct oid deployed)
{
    fleet_add(fleet, &(struct site_status){
                         .name = name, .team = "t", .source = ".", .deployed = deployed});
}

static void test_the_sites_that_run_it_now(void **state)
{
    struct fixture *f = *state;
    struct fleet *fleet = fleet_new();

    change(f, "git commit -q --allow-empty -m 2");
    add_site(fleet, "east", oid_from(f, "main"));
    add_site(fleet, "north", oid_from(f, "main~1"));
    add_site(fleet, "west", oid_from(f, "main"));
    fleet_board_publish(f->board, fleet);
    _cleanup_free_ char *new = about(f, "main", "sites");
    _cleanup_free_ char *old = about(f, "main~1", "sites");
    assert_string_equal(new, "east\nwest\n");
    assert_string_equal(old, "north\n");
    fleet_board_publish(f->board, fleet_new());
    _cleanup_free_ char *nobody = about(f, "main", "sites");
    assert_string_equal(nobody, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_git_says_of_a_revision),
        TEST(test_the_sites_that_run_it_now),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
