#include "testlib.h"

#include "base/buf.h"
#include "check/builtin.h"

#define OURS   "<<<<<<< HEAD\n"
#define BASE   "||||||| 1234567\n"
#define MIDDLE "=======\n"
#define THEIRS ">>>>>>> topic\n"

static const struct {
    const char *text;
    int lines[3]; /* of what is found */
} cases[] = {
    {"", {0}},
    {OURS "a\n" MIDDLE "b\n" THEIRS, {1}},
    {"x\n" OURS "a\n" BASE "o\n" MIDDLE "b\n" THEIRS "y\n", {2}},
    {OURS MIDDLE THEIRS, {1}},
    {"<<<<<<<\n=======\n>>>>>>>", {1}},
    {"<<<<<<< a\r\n=======\r\n>>>>>>> b\r\n", {1}},
    {OURS "1\n" MIDDLE THEIRS "\n" OURS MIDDLE "2\n" THEIRS OURS MIDDLE THEIRS, {1, 6, 10}},
    /* Headings, quotations, halves. */
    {"Title\n=======\n\ntext\n", {0}},
    {"=======\nTitle\n=======\n" THEIRS, {0}},
    {OURS "a\n" THEIRS, {0}},
    {OURS "a\n" MIDDLE "b\n", {0}},
    {" " OURS " " MIDDLE " " THEIRS, {0}},
    {"<<<<<<<< a\n=======\n>>>>>>>> b\n", {0}},
    {"<<<<<<<a\n=======\n>>>>>>>b\n", {0}},
    {OURS "======= x\n" THEIRS, {0}},
    {OURS "x\n" OURS "a\n" MIDDLE "b\n" MIDDLE "c\n" THEIRS, {3}},
};

static void what_git_writes_is_found_and_nothing_else(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *text = cases[i].text;
        struct conflict_mark mark = {0};
        int n = 0;
        while (conflict_mark_next(text, strlen(text), &mark))
            if (n == 3 || mark.line != cases[i].lines[n++])
                fail_msg("case %zu: a mark on line %d", i, mark.line);
        if (n < 3 && cases[i].lines[n])
            fail_msg("case %zu: none on line %d", i, cases[i].lines[n]);
    }
}

static void binary_files_have_none(void **state)
{
    static const char text[] = "\0" OURS MIDDLE THEIRS;
    struct conflict_mark mark = {0};

    assert_false(conflict_mark_next(text, sizeof(text) - 1, &mark));
}

/* Against Git itself, in both styles. */
static void a_real_conflict_is_found(void **state)
{
    char *dir = test_dir_new();

    for (int i = 0; i < 2; i++) {
        struct conflict_mark mark = {0};
        size_t len;
        test_run(dir,
                 "seq 20 >o; sed s/^5/five/ o >a; sed s/^5/V/ o >b; "
                 "git merge-file -p %s a o b >m || true",
                 i ? "--diff3" : "");
        char *text = test_read_file(dir, "m", &len);
        assert_true(conflict_mark_next(text, len, &mark));
        assert_int_equal(mark.line, 5);
        assert_false(conflict_mark_next(text, len, &mark));
        free(text);
    }
    test_dir_free(dir);
}

static void what_was_there_before_is_no_finding(void **state)
{
    static const char before[] = "x\n" OURS "a\n" MIDDLE "b\n" THEIRS;
    static const char now[] = "new\nx\n" OURS "a\n" MIDDLE "b\n" THEIRS OURS MIDDLE "c\n" THEIRS;
    struct file_text old = {before, sizeof(before) - 1}, text = {now, sizeof(now) - 1};
    struct findings findings = {0};

    check_conflict_marks("p", &text, &old, &findings);
    assert_int_equal(findings.n, 1);
    assert_int_equal(findings.v[0].line, 8);
    assert_int_equal(findings.v[0].col, 1);
    check_conflict_marks("p", &text, NULL, &findings);
    assert_int_equal(findings.n, 3);
    findings_done(&findings);
}

/* Each of many is looked up in as many: that must not cost the product. */
static void many_are_compared(void **state)
{
    struct findings findings = {0};
    struct buf before = {0}, now = {0};

    for (int i = 0; i < 200000; i++) {
        buf_addf(&before, OURS "%d\n" MIDDLE THEIRS, i);
        buf_addf(&now, OURS "%d\n" MIDDLE THEIRS, 2 * i);
    }
    struct file_text old = {before.data, before.len}, text = {now.data, now.len};
    check_conflict_marks("p", &text, &old, &findings);
    assert_int_equal(findings_count(&findings), 100000);
    findings_done(&findings);
    buf_done(&before);
    buf_done(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_git_writes_is_found_and_nothing_else),
        cmocka_unit_test(binary_files_have_none),
        cmocka_unit_test(a_real_conflict_is_found),
        cmocka_unit_test(what_was_there_before_is_no_finding),
        cmocka_unit_test(many_are_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
