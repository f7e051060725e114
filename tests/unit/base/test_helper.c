/* Programs of ours: where they are found. */
#include "testlib.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/helper.h"

static void it_is_found_beside_the_one_that_runs(void **state)
{
    char own[PATH_MAX] = "";

    assert_true(readlink("/proc/self/exe", own, sizeof(own) - 1) > 0);
    _cleanup_free_ char *found = helper_find(strrchr(own, '/') + 1);
    assert_non_null(found);
    assert_string_equal(found, own);
}

static void what_is_nowhere_is_not_found(void **state)
{
    assert_null(helper_find("onward-nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_found_beside_the_one_that_runs),
        cmocka_unit_test(what_is_nowhere_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
