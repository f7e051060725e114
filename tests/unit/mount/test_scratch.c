/* The reply buffer: one for each thread, kept while it is large enough. */
#include "mount/scratch.h"

#include <pthread.h>
#include <string.h>

#include "testlib.h"

static void *other_thread(void *arg)
{
    char *data = scratch(1 << 20);

    memset(data, 2, 1 << 20);
    return data == arg ? arg : NULL;
}

static void a_thread_keeps_its_own(void **state)
{
    char *small = scratch(100);
    memset(small, 1, 100);
    assert_ptr_equal(scratch(50), small);
    assert_ptr_equal(scratch(100), small);
    char *large = scratch(1 << 20);
    memset(large, 1, 1 << 20);
    assert_ptr_equal(scratch(100), large);
    pthread_t thread;
    void *same;
    assert_int_equal(pthread_create(&thread, NULL, other_thread, large), 0);
    pthread_join(thread, &same);
    assert_null(same);
    assert_int_equal(large[(1 << 20) - 1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_keeps_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
