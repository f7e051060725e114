/* Refs that keep the bases of workspaces: where they are, and that none is left behind. */
#include <errno.h>

#include "base/alloc.h"
#include "fixture.h"
#include "repo/oid.h"
#include "stage/keep_ref.h"

struct given {
    struct fixture *f;
    struct oid first, second;
};

static void take_id(char *hex, struct oid *ret)
{
    assert_int_equal(oid_parse(hex, ret), 0);
    free(hex);
}

static int setup(void **state)
{
    struct given *g = *state = NEW(struct given);

    g->f = fixture_new();
    take_id(fixture_push(g->f, "echo 1 > file"), &g->first);
    take_id(fixture_push(g->f, "echo 2 > file"), &g->second);
    fixture_open(g->f);
    return 0;
}

static int teardown(void **state)
{
    struct given *g = *state;

    fixture_free(g->f);
    free(g);
    return 0;
}

static void assert_ref(const struct given *g, const char *name, const struct oid *want)
{
    _cleanup_free_ char *ref = keep_ref_name(&g->f->config, name);
    char hex[OID_HEX + 1];

    test_run(g->f->work, "test \"$(git for-each-ref --format='%%(objectname)' '%s')\" = '%s'", ref,
             want ? oid_hex(want, hex) : "");
}

static void make(const struct given *g, const char *name, const struct oid *base)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = keep_ref_make(&g->f->config, name, base, &why);

    if (r < 0)
        fail_msg("%s", diag_text(&why, r));
}

static void it_names_the_base_until_it_is_dropped(void **state)
{
    struct given *g = *state;

    make(g, "ws@old", &g->first);
    assert_ref(g, "ws@old", &g->first);
    make(g, "ws@old", &g->first);
    make(g, "ws@old", &g->second);
    assert_ref(g, "ws@old", &g->second);
    keep_ref_drop(&g->f->config, "ws@old");
    assert_ref(g, "ws@old", NULL);
    keep_ref_drop(&g->f->config, "ws@old");
}

static void every_name_has_a_valid_ref_of_its_own(void **state)
{
    static const char *const names[] = {"a@b-c",  "a@b/c",       "a@b.lock",
                                        "a@b..c", "a@ä~^:?*[\\", "a@"};
    struct given *g = *state;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        make(g, names[i], i % 2 ? &g->first : &g->second);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        _cleanup_free_ char *ref = keep_ref_name(&g->f->config, names[i]);
        test_run(g->f->work, "git check-ref-format '%s'", ref);
        assert_ref(g, names[i], i % 2 ? &g->first : &g->second);
    }
}

static bool is_second(const char *ref, void *arg)
{
    return !strcmp(ref, arg);
}

/* Of other hosts and other state directories, nothing is known. */
static void pruning_leaves_what_is_kept_and_what_is_not_ours(void **state)
{
    struct given *g = *state;
    struct staging_config own = g->f->config, other_dir = own, other_host = own;
    _cleanup_free_ char *kept = keep_ref_name(&own, "kept@x");

    other_dir.state_dir = "/elsewhere";
    other_host.host = "testhost2";
    make(g, "kept@x", &g->first);
    make(g, "left@x", &g->first);
    assert_int_equal(keep_ref_make(&other_dir, "left@x", &g->first, NULL), 0);
    assert_int_equal(keep_ref_make(&other_host, "left@x", &g->first, NULL), 0);
    keep_ref_prune(&own, is_second, kept);
    assert_ref(g, "kept@x", &g->first);
    assert_ref(g, "left@x", NULL);
    test_run(g->f->work, "test $(git for-each-ref refs/onward/workspaces | wc -l) = 3");
}

/* A crash may have left one; the next start drops it, and makes one that has been lost. */
static void opening_makes_them_true(void **state)
{
    struct given *g = *state;
    char hex[OID_HEX + 1];
    _cleanup_free_ char *name = xasprintf("ws@%s", oid_hex(&g->first, hex));

    assert_int_equal(fx_mkdir(g->f, name, 0777), 0);
    assert_ref(g, name, &g->first);
    keep_ref_drop(&g->f->config, name);
    make(g, "left@x", &g->second);
    fixture_close(g->f);
    fixture_open(g->f);
    assert_ref(g, name, &g->first);
    assert_ref(g, "left@x", NULL);
    assert_int_equal(fx_rmdir(g->f, name), 0);
    assert_ref(g, name, NULL);
}

static void a_failure_says_why(void **state)
{
    struct given *g = *state;
    _cleanup_(diag_done) struct diag why = {0};

    test_run(g->f->work, "git update-ref refs/onward/workspaces/testhost main");
    int r = keep_ref_make(&g->f->config, "ws@x", &g->first, &why);
    assert_true(r < 0);
    assert_ptr_equal(strstr(why.text, "cannot keep the base: "), why.text);
    assert_non_null(strstr(why.text, "refs/onward/workspaces/testhost"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(it_names_the_base_until_it_is_dropped),
        T(every_name_has_a_valid_ref_of_its_own),
        T(pruning_leaves_what_is_kept_and_what_is_not_ours),
        T(opening_makes_them_true),
        T(a_failure_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
