#include "testlib.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"

static atomic_int done;

static void count(void *arg)
{
    atomic_fetch_add(&done, 1);
}

static void all_that_was_queued_is_run_before_it_ends(void **state)
{
    struct pool *p = pool_new("test", 4);

    atomic_store(&done, 0);
    for (int i = 0; i < 10000; i++)
        pool_submit(p, count, NULL);
    pool_free(p);
    assert_int_equal(done, 10000);
    pool_free(NULL);
}

static void meet(void *arg)
{
    pthread_barrier_wait(arg);
    atomic_fetch_add(&done, 1);
}

/* Each job waits for all others: as many threads as were asked for must run at once. */
static void as_many_run_at_once_as_there_are_threads(void **state)
{
    struct pool *p = pool_new("test", 8);
    pthread_barrier_t barrier;

    atomic_store(&done, 0);
    pthread_barrier_init(&barrier, NULL, 8);
    for (int i = 0; i < 8; i++)
        pool_submit(p, meet, &barrier);
    pool_free(p);
    assert_int_equal(done, 8);
    pthread_barrier_destroy(&barrier);
}

static int order[1000], at;

static void note(void *arg)
{
    order[at++] = *(int *)arg;
}

static void one_thread_keeps_the_order(void **state)
{
    struct pool *p = pool_new("test", 1);
    int numbers[1000];

    for (int i = 0; i < 1000; i++) {
        numbers[i] = i;
        pool_submit(p, note, &numbers[i]);
    }
    pool_free(p);
    assert_int_equal(at, 1000);
    assert_memory_equal(order, numbers, sizeof(order));
}

static void wait_for_all(void *arg)
{
    pool_wait_begin();
    pthread_barrier_wait(arg);
    pool_wait_end();
    atomic_fetch_add(&done, 1);
}

/* More jobs wait for each other than there are threads; and whoever comes later still runs. */
static void jobs_that_wait_keep_nobody_from_running(void **state)
{
    struct pool *p = pool_new("test", 2);
    pthread_barrier_t barrier;

    atomic_store(&done, 0);
    pthread_barrier_init(&barrier, NULL, 20);
    for (int i = 0; i < 20; i++)
        pool_submit(p, wait_for_all, &barrier);
    pool_free(p);
    assert_int_equal(done, 20);
    pthread_barrier_destroy(&barrier);
    pool_wait_begin(); /* in no pool: nothing */
    pool_wait_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_was_queued_is_run_before_it_ends),
        cmocka_unit_test(as_many_run_at_once_as_there_are_threads),
        cmocka_unit_test(one_thread_keeps_the_order),
        cmocka_unit_test(jobs_that_wait_keep_nobody_from_running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
