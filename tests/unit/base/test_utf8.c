#include "testlib.h"

#include "base/utf8.h"

static void lengths_are_those_of_unicode(void **state)
{
    static const struct {
        const char *bytes;
        int len;
    } table[] = {
        {"a", 1},
        {"", 1},
        {"\xc3\xa9", 2},
        {"\xe2\x82\xac", 3},
        {"\xf0\x9f\x98\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0},             /* continues nothing */
        {"\xc3", 0},             /* cut off */
        {"\xe2\x82", 0},         /* cut off */
        {"\xc0\xaf", 0},         /* overlong */
        {"\xe0\x80\xaf", 0},     /* overlong */
        {"\xf0\x80\x80\xaf", 0}, /* overlong */
        {"\xed\xa0\x80", 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* beyond U+10FFFF */
        {"\xff", 0},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (utf8_len(table[i].bytes) != table[i].len)
            fail_msg("row %zu: %d", i, utf8_len(table[i].bytes));
}

static void cuts_are_between_characters(void **state)
{
    assert_int_equal(utf8_cut("abc", 5), 3);
    assert_int_equal(utf8_cut("abc", 2), 2);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 3), 1);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 4), 4);
    assert_int_equal(utf8_cut("\xe2\x82\xac", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_those_of_unicode),
        cmocka_unit_test(cuts_are_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
