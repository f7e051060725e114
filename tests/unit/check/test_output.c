#include "fixture.h"

#include "base/cleanup.h"
#include "check/output.h"

static const struct {
    const char *text, *findings;
} cases[] = {
    {"", ""},
    {"apps/file:3:4: wrong\n", "apps/file:3:4: lint: wrong\n"},
    {"apps/file:3: wrong", "apps/file:3:1: lint: wrong\n"},
    {"apps/file: wrong\r\n", "apps/file: lint: wrong\n"},
    {"./apps/file:3:4:wrong  \n", "apps/file:3:4: lint: wrong\n"},
    {"/mnt/trees/1/apps/file:1:1: [error] a: b\n", "apps/file:1:1: lint: [error] a: b\n"},
    {"apps: no README\n", "apps: lint: no README\n"},
    {"col: name:7:2: x\n", "col: name:7:2: lint: x\n"},
    {"begin\napps/file:1:2: a\nSummary: 1 wrong\napps/file:2:1: b\n",
     "apps/file:1:2: lint: a\napps/file:2:1: lint: b\n"},
    /* No findings: not in the tree, no message, no place that can be. */
    {"apps/none:1:1: x\n/etc/passwd:1:1: x\n../x:1: y\n:1:1: z\n/mnt/trees/1: x\n", ""},
    {"apps/file:1:1:\napps/file\napps/file:\napps/file:word\napps/file:3:\n", ""},
    {"apps/file:99999999999999:1: x\n", ""},
    {"apps/file:0:1: x\n", ""},
    {"::::::::::::::::::::::::::::::::apps/file:1:1: x\n", ""},
};

static void lines_that_name_a_place_are_findings(void **state)
{
    struct fixture *f = *state;

    test_run(f->path, "mkdir -p apps && echo x >apps/file && echo x >'col: name' && "
                      "git add -A && git commit -qm x");
    struct oid tree = fixture_rev(f, "HEAD^{tree}");
    struct output o = {f->repo, &tree, "/mnt/trees/1", "lint"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct findings found = {0};
        _cleanup_(buf_done) struct buf out = {0};
        output_parse(&o, cases[i].text, strlen(cases[i].text), &found);
        findings_render(&found, &out);
        assert_string_equal(buf_str(&out), cases[i].findings);
        findings_done(&found);
    }
}

static void the_rest_is_summed_up(void **state)
{
    _cleanup_(buf_done) struct buf flood = {0};
    _cleanup_free_ char *none = output_summary("", 0), *blank = output_summary("\n \n", 3),
                        *two = output_summary("one \n\ntwo\n", 10);

    assert_string_equal(none, "");
    assert_string_equal(blank, "");
    assert_string_equal(two, "one | two");
    for (int i = 0; i < 100; i++)
        buf_addf(&flood, "%d\n", i);
    _cleanup_free_ char *first = output_summary(flood.data, flood.len);
    assert_string_equal(first, "0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 …");
    buf_clear(&flood);
    for (int i = 0; i < 1000; i++)
        buf_adds(&flood, "é");
    _cleanup_free_ char *cut = output_summary(flood.data, flood.len);
    assert_true(strlen(cut) < 700);
    assert_non_null(strstr(cut, "é …"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_that_name_a_place_are_findings, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test(the_rest_is_summed_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
