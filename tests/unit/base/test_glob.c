#include "testlib.h"

#include "base/buf.h"
#include "base/glob.h"

static const struct {
    const char *pattern, *path;
    bool matches;
} cases[] = {
    {"a", "a", true},
    {"a", "b", false},
    {"a", "a/b", false},
    {"a/b", "a", false},
    {"*.yaml", "x.yaml", true},
    {"*.yaml", "d/x.yaml", false},
    {"*", ".hidden", true},
    {"?[ab]", "xb", true},
    {"d/*/x", "d/e/x", true},
    {"d/*/x", "d/e/f/x", false},
    {"**", "x", true},
    {"**", "d/e/x", true},
    {"**/*.yaml", "x.yaml", true},
    {"**/*.yaml", "d/.e/x.yaml", true},
    {"**/*.yaml", "d/x.yaml/y", false},
    {"d/**", "d/e/f", true},
    {"d/**", "e/d/f", false},
    {"d/**/x", "d/x", true},
    {"d/**/x", "d/e/f/x", true},
    {"**/a/b/**/c", "a/x/a/b/b/c", true},
    {"**/a/b/**/c", "a/x/b/c", false},
    {"**/a/*/c", "a/a/a/c", true},
    {"**/**/x", "x", true},
    {"a**b", "axxb", true},
    {"a**b", "ax/xb", false},
    {"\\*", "*", true},
    {"\\*", "x", false},
};

static void a_path_matches_or_not(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (glob_match(cases[i].pattern, cases[i].path) != cases[i].matches)
            fail_msg("%s and %s", cases[i].pattern, cases[i].path);
}

/* Many `**` over a deep path that matches none of them: no exponential search. */
static void the_worst_pattern_is_no_trouble(void **state)
{
    struct buf pattern = {0}, path = {0};

    for (int i = 0; i < 400; i++)
        buf_adds(&pattern, "**/a/");
    for (int i = 0; i < 4000; i++)
        buf_adds(&path, "a/");
    buf_addc(&pattern, 'b');
    buf_addc(&path, 'c');
    assert_false(glob_match(buf_str(&pattern), buf_str(&path)));
    buf_done(&pattern);
    buf_done(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_matches_or_not),
        cmocka_unit_test(the_worst_pattern_is_no_trouble),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
