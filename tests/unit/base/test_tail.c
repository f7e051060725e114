#include "testlib.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/tail.h"

static void test_everything_is_kept_below_the_limit(void **state)
{
    struct tail t = {.most = 10};
    _cleanup_(buf_done) struct buf out = {0};

    tail_add(&t, "12345", 5);
    tail_add(&t, "67890", 5);
    tail_take(&t, &out);
    assert_string_equal(out.data, "1234567890");
}

static void test_an_empty_tail_gives_nothing(void **state)
{
    struct tail t = {.most = 10};
    _cleanup_(buf_done) struct buf out = {0};

    tail_add(&t, "", 0);
    tail_take(&t, &out);
    assert_int_equal(out.len, 0);
}

/* Every way of cutting a stream into pieces gives its last bytes. */
static void test_the_end_is_kept_however_it_came(void **state)
{
    static const char stream[] = "abcdefghijklmnopqrstuvwxyz0123456789";

    for (size_t most = 1; most < 20; most++)
        for (size_t piece = 1; piece < sizeof(stream); piece++) {
            struct tail t = {.most = most};
            _cleanup_(buf_done) struct buf out = {0};
            size_t len = sizeof(stream) - 1;
            for (size_t at = 0; at < len; at += piece)
                tail_add(&t, stream + at, piece < len - at ? piece : len - at);
            tail_take(&t, &out);
            assert_string_equal(strchr(out.data, '\n') + 1, stream + len - most);
            assert_int_equal(strtol(out.data + 1, NULL, 10), len - most);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_kept_below_the_limit),
        cmocka_unit_test(test_an_empty_tail_gives_nothing),
        cmocka_unit_test(test_the_end_is_kept_however_it_came),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
