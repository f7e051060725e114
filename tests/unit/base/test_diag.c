#include "testlib.h"

#include <errno.h>

#include "base/diag.h"

static void the_reason_is_replaced_and_prefixed(void **state)
{
    struct diag d = {0};

    assert_string_equal(diag_text(&d, -ENOENT), "No such file or directory");
    assert_string_equal(diag_text(NULL, -EIO), "Input/output error");
    assert_int_equal(diag_prefix(&d, -EIO, "cannot read %s", "x"), -EIO);
    assert_string_equal(diag_text(&d, -EIO), "cannot read x: Input/output error");
    assert_int_equal(diag_fail(&d, -EINVAL, "bad %d", 7), -EINVAL);
    diag_prefix(&d, -EINVAL, "outer");
    assert_string_equal(diag_text(&d, -EINVAL), "outer: bad 7");
    diag_done(&d);
    assert_int_equal(diag_fail(NULL, -EINVAL, "nobody asks"), -EINVAL);
    assert_int_equal(diag_prefix(NULL, -EINVAL, "nobody asks"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_reason_is_replaced_and_prefixed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
