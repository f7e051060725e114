#include "ctl/paint.h"

#include "ctl/patch.h"
#include "testlib.h"

static const struct paint plain = {0}, harmless = {.harmless = true},
                          full = {.colour = true, .harmless = true};

/* What a painter writes; yours. */
struct sheet {
    FILE *out;
    char *text;
    size_t len;
};

static struct sheet *sheet_new(void)
{
    struct sheet *s = NEW(struct sheet);

    s->out = open_memstream(&s->text, &s->len);
    return s;
}

static void sheet_expect(struct sheet *s, const char *text)
{
    fclose(s->out);
    assert_string_equal(s->text, text);
    free(s->text);
    free(s);
}

static void test_escapes_of_others_do_not_reach_a_terminal(void **state)
{
    static const char evil[] = "a\033[31mb\r\x7f\tc\n\xc3\xa9";
    struct sheet *s = sheet_new();

    paint_text(&harmless, evil, strlen(evil), s->out);
    sheet_expect(s, "a\\033[31mb\\015\\177\tc\n\xc3\xa9");
    s = sheet_new();
    paint_text(&plain, evil, strlen(evil), s->out);
    sheet_expect(s, evil);
}

static void test_columns_line_up(void **state)
{
    _cleanup_(columns_done) struct columns t = {.ncolumns = 3};
    static const char *const cells[] = {"NAME", "STATE", "X",  "Zürich", "failed",
                                        "1",    "b",     NULL, ""};
    struct sheet *s = sheet_new();

    for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
        columns_add(&t, cells[i]);
    columns_print(&t, &plain, 1, true, s->out);
    sheet_expect(s, "NAME    STATE   X\n"
                    "Zürich  failed  1\n"
                    "b       -\n");
}

static void test_escapes_do_not_shift_columns(void **state)
{
    _cleanup_(columns_done) struct columns t = {.ncolumns = 2};
    struct sheet *s = sheet_new();

    columns_add(&t, "\033[2J");
    columns_add(&t, "x");
    columns_add(&t, "1234567");
    columns_add(&t, "y");
    columns_print(&t, &harmless, -1, false, s->out);
    sheet_expect(s, "\\033[2J  x\n"
                    "1234567  y\n");
}

static void test_colours_do_not_shift_columns(void **state)
{
    _cleanup_(columns_done) struct columns t = {.ncolumns = 2};
    struct sheet *s = sheet_new();

    columns_add(&t, "failed");
    columns_add(&t, "x");
    columns_print(&t, &full, 0, false, s->out);
    sheet_expect(s, "\033[31mfailed\033[m  x\n");
}

static void test_patch_names_lose_their_place(void **state)
{
    static const char text[] = "diff --git a/revisions/abc/base/x b/revisions/def/base/x\n"
                               "--- a/revisions/abc/base/x\n"
                               "+++ b/revisions/def/base/x\n"
                               "@@ -1,2 +1,2 @@\n"
                               "--- a/revisions/abc/left alone\n"
                               "+++ b/revisions/def/left alone\n"
                               "diff --git a/revisions/abc/y b/revisions/abc/y\n"
                               "Binary files a/revisions/abc/y and /dev/null differ";
    struct sheet *s = sheet_new();
    struct patch p = {
        .paint = &plain, .out = s->out, .strip = {"revisions/abc/", "revisions/def/"}};

    patch_text(&p, text, strlen(text));
    sheet_expect(s, "diff --git a/base/x b/base/x\n"
                    "--- a/base/x\n"
                    "+++ b/base/x\n"
                    "@@ -1,2 +1,2 @@\n"
                    "--- a/revisions/abc/left alone\n"
                    "+++ b/revisions/def/left alone\n"
                    "diff --git a/y b/y\n"
                    "Binary files a/y and /dev/null differ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes_of_others_do_not_reach_a_terminal),
        cmocka_unit_test(test_columns_line_up),
        cmocka_unit_test(test_escapes_do_not_shift_columns),
        cmocka_unit_test(test_colours_do_not_shift_columns),
        cmocka_unit_test(test_patch_names_lose_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
