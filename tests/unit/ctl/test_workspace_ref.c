#include "ctl/workspace_ref.h"

#include <errno.h>
#include <fcntl.h>

#include "testlib.h"

static void test_findings(void **state)
{
    _cleanup_(json_decrefp) json_t *all =
        findings_json("a/b.yaml:3:7: yaml: a key twice: \"x\"\n"
                      "c:d.json:12:1: json: '}' expected\n"
                      "onward.yaml: declaration: no such directory\n"
                      "something else\n");
    json_t *one = json_array_get(all, 0);

    assert_int_equal(json_array_size(all), 4);
    assert_string_equal(json_str(one, "path", ""), "a/b.yaml");
    assert_int_equal(json_int(one, "line", 0), 3);
    assert_int_equal(json_int(one, "col", 0), 7);
    assert_string_equal(json_str(one, "check", ""), "yaml");
    assert_string_equal(json_str(one, "message", ""), "a key twice: \"x\"");
    assert_string_equal(json_str(json_array_get(all, 1), "path", ""), "c:d.json");
    assert_int_equal(json_int(json_array_get(all, 1), "line", 0), 12);
    one = json_array_get(all, 2);
    assert_string_equal(json_str(one, "path", ""), "onward.yaml");
    assert_null(json_object_get(one, "line"));
    assert_string_equal(json_str(one, "check", ""), "declaration");
    assert_string_equal(json_str(json_array_get(all, 3), "message", ""), "something else");
}

static void test_keyed_value(void **state)
{
    static const char text[] = "base: abc\nbehindhand: 4\nbehind:  3\n";
    _cleanup_free_ char *base = keyed_value(text, "base"), *behind = keyed_value(text, "behind");

    assert_string_equal(base, "abc");
    assert_string_equal(behind, "3");
    assert_null(keyed_value(text, "hind"));
}

/* What is found with the working directory at `inside` of a mount and with this operand. */
static int find(const char *dir, const char *inside, const char *operand, char **ret_name)
{
    struct mountpoint m = {
        .path = (char *)dir,
        .inside = (char *)inside,
        .fd = open(dir, O_RDONLY | O_DIRECTORY),
    };
    struct call call = {.mount = &m, .operands = &operand, .n = operand != NULL};
    _cleanup_(workspace_ref_done) struct workspace_ref w = {0};
    _cleanup_(diag_done) struct diag why = {0};

    int r = workspace_ref_find(&call, &w, &why);
    closep(&m.fd);
    if (r == 0)
        *ret_name = TAKE(w.name);
    else
        assert_non_null(why.text);
    return r;
}

static void test_which_workspace(void **state)
{
    char *dir = test_dir_new();
    _cleanup_free_ char *named = NULL, *here = NULL;
    char *none = NULL;

    test_run(dir, "mkdir -p staging/a/sub staging/b");
    assert_int_equal(find(dir, "staging/a/sub", "b", &named), 0);
    assert_string_equal(named, "b");
    assert_int_equal(find(dir, "staging/a/sub", NULL, &here), 0);
    assert_string_equal(here, "a");
    assert_int_equal(find(dir, "staging", NULL, &none), VERB_USAGE);
    assert_int_equal(find(dir, NULL, NULL, &none), VERB_USAGE);
    assert_int_equal(find(dir, NULL, "c", &none), -ENOENT);
    assert_int_equal(find(dir, NULL, "a/sub", &none), -ENOENT);
    test_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings),
        cmocka_unit_test(test_keyed_value),
        cmocka_unit_test(test_which_workspace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
