#include "testlib.h"

#include <stdlib.h>

#include "base/buf.h"

static void grows_and_stays_terminated(void **state)
{
    struct buf b = {0};

    assert_string_equal(buf_str(&b), "");
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, "%d,", i);
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_int_equal(strlen(b.data), b.len);
    assert_string_equal(b.data + b.len - 8, "998,999,");
    buf_clear(&b);
    buf_pad(&b, '.', 0);
    buf_pad(&b, '.', 3);
    assert_string_equal(buf_str(&b), "...");
    buf_clear(&b);
    buf_add(&b, "a\0b", 3);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "a\0b", 4);
    buf_done(&b);
    assert_null(b.data);
}

static void take_moves_the_text_out(void **state)
{
    struct buf b = {0};
    char *empty = buf_take(&b);

    assert_string_equal(empty, "");
    buf_adds(&b, "text");
    char *text = buf_take(&b);
    assert_string_equal(text, "text");
    assert_int_equal(b.len, 0);
    assert_null(b.data);
    free(empty);
    free(text);
}

static void escaped_text_is_one_harmless_line(void **state)
{
    struct buf b = {0};

    buf_add_escaped(&b, "a\n\"b\"\\ \033[31m \x7f é");
    assert_string_equal(buf_str(&b), "a\\n\\\"b\\\"\\\\ \\033[31m \\177 é");
    buf_clear(&b);
    buf_add_visible(&b, "a\n\"b\"\\ \033[31m \x7f é");
    assert_string_equal(buf_str(&b), "a\\n\"b\"\\ \\033[31m \\177 é");
    buf_done(&b);
}

static void a_quoted_path_reads_as_it_was(void **state)
{
    static const struct {
        const char *path, *shown;
    } paths[] = {
        {"a b/é", "a b/é"},
        {"", ""},
        {"a\nb", "\"a\\nb\""},
        {"\"q\"", "\"\\\"q\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"\0337\177\b", "\"\\0337\\177\\b\""},
        {"a\\nb", "\"a\\\\nb\""},
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        struct buf b = {0};

        buf_add_quoted(&b, paths[i].path);
        assert_string_equal(buf_str(&b), paths[i].shown);
        buf_clear(&b);
        buf_add_unquoted(&b, paths[i].shown);
        assert_string_equal(buf_str(&b), paths[i].path);
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_stays_terminated),
        cmocka_unit_test(take_moves_the_text_out),
        cmocka_unit_test(escaped_text_is_one_harmless_line),
        cmocka_unit_test(a_quoted_path_reads_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
