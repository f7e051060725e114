#include "testlib.h"

#include "base/finding.h"

static void findings_are_lines(void **state)
{
    struct findings f = {0};
    struct buf out = {0};

    findings_add(&f, "a/b.yaml", 7, 5, "yaml", "expected %s", "x");
    findings_add(&f, "evil\n1:1: yaml: forged", 0, 0, "json", "two\nlines");
    findings_render(&f, &out);
    assert_string_equal(buf_str(&out), "a/b.yaml:7:5: yaml: expected x\n"
                                       "evil\\n1:1: yaml: forged: json: two\\nlines\n");
    buf_done(&out);
    findings_done(&f);
    assert_int_equal(f.n, 0);
}

static void too_many_are_counted(void **state)
{
    struct findings f = {0};
    struct buf out = {0};

    for (int i = 0; i < FINDINGS_MOST + 5; i++)
        findings_add(&f, "x", i, 1, "c", "m");
    assert_int_equal(f.n, FINDINGS_MOST);
    assert_int_equal(findings_count(&f), FINDINGS_MOST + 5);
    findings_render(&f, &out);
    assert_non_null(strstr(buf_str(&out), "… and 5 more findings\n"));
    buf_done(&out);
    findings_done(&f);
}

static void sorting_is_by_place_and_leaves_the_older_ones(void **state)
{
    struct findings f = {0};
    struct buf out = {0};

    findings_add(&f, "z", 9, 9, "c", "first");
    findings_add(&f, "b", 2, 1, "c", "m");
    findings_add(&f, "b", 1, 10, "c", "m");
    findings_add(&f, "a", 5, 5, "c", "m");
    findings_add(&f, "b", 1, 9, "c", "m");
    findings_sort(&f, 1);
    findings_render(&f, &out);
    assert_string_equal(buf_str(&out), "z:9:9: c: first\na:5:5: c: m\nb:1:9: c: m\nb:1:10: c: m\n"
                                       "b:2:1: c: m\n");
    buf_done(&out);
    findings_done(&f);
}

static void lists_are_joined_within_the_limit(void **state)
{
    struct findings a = {0}, b = {0};

    for (int i = 0; i < FINDINGS_MOST + 3; i++)
        findings_add(&a, "a", i, 1, "c", "100%%");
    findings_add(&b, "b", 1, 1, "c", "m");
    findings_append(&b, &a);
    assert_int_equal(b.n, FINDINGS_MOST);
    assert_int_equal(b.left_out, 4);
    assert_string_equal(b.v[1].message, "100%");
    findings_done(&a);
    findings_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(findings_are_lines),
        cmocka_unit_test(too_many_are_counted),
        cmocka_unit_test(lists_are_joined_within_the_limit),
        cmocka_unit_test(sorting_is_by_place_and_leaves_the_older_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
