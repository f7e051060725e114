#include "testlib.h"

#include <errno.h>

#include "base/size.h"

static void sizes_read_back(void **state)
{
    static const struct {
        const char *text;
        uint64_t size;
    } right[] = {
        {"0", 0},
        {"1000", 1000},
        {"64K", 65536},
        {"100M", UINT64_C(100) << 20},
        {"10G", UINT64_C(10) << 30},
        {"2T", UINT64_C(2) << 40},
        {"8388607T", UINT64_C(8388607) << 40},
    };
    static const char *const wrong[] = {"",   "K",   "10k",  "10KB",     "-1",
                                        " 1", "1 K", "1.5G", "8388608T", "9223372036854775808"};
    char text[SIZE_TEXT];
    uint64_t size;

    for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
        assert_int_equal(size_parse(right[i].text, &size), 0);
        assert_int_equal(size, right[i].size);
        assert_string_equal(size_format(size, text), right[i].text);
    }
    assert_string_equal(size_format(1 << 20, text), "1M");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        if (size_parse(wrong[i], &size) != -EINVAL)
            fail_msg("\"%s\" was read as a size", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes_read_back)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
