#include "ctl/repo_path.h"

#include <errno.h>
#include <stdlib.h>

#include "testlib.h"

/* `expected` NULL: refused. */
static void expect(const char *inside, const char *path, const char *expected)
{
    const struct mountpoint m = {.path = "/infra", .inside = (char *)inside, .fd = -1};
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *got = NULL;
    int r = repo_path(&m, path, &got, &why);

    assert_int_equal(r, expected ? 0 : -EINVAL);
    if (expected)
        assert_string_equal(got, expected);
    else
        assert_non_null(strstr(why.text, path));
}

static void test_paths_are_relative_to_a_tree(void **state)
{
    expect("revisions/abc/stores/eu", "pos.yaml", "stores/eu/pos.yaml");
    expect("revisions/abc/stores/eu", "../us//./pos.yaml/", "stores/us/pos.yaml");
    expect("revisions/abc", "stores", "stores");
    expect("staging/w@v1/stores", ".", "stores");
    expect("history/stores", "eu", "stores/eu");
    expect("revisions/abc/stores", "../../revisions", NULL);
    expect("staging/w/a", "../..", NULL);
}

static void test_elsewhere_they_are_relative_to_the_root(void **state)
{
    static const char *const places[] = {NULL, "", "revisions", "staging", "sites/s1", "tags"};

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        expect(places[i], "stores/eu", "stores/eu");
        expect(places[i], ".", "");
        expect(places[i], "..", NULL);
    }
}

static void test_absolute_paths_lead_into_a_tree(void **state)
{
    expect("revisions/abc/x", "/infra/revisions/abc/stores/eu", "stores/eu");
    expect(NULL, "/infra/./sites/../head/stores", "stores");
    expect(NULL, "/infra/staging/w/../w/a/b", "a/b");
    expect(NULL, "/infra/history/a", "a");
    expect(NULL, "/infra/fleet", NULL);
    expect(NULL, "/infra/revisions", NULL);
    expect(NULL, "/infrared/head/a", NULL);
    expect(NULL, "/../x", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_relative_to_a_tree),
        cmocka_unit_test(test_elsewhere_they_are_relative_to_the_root),
        cmocka_unit_test(test_absolute_paths_lead_into_a_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
