/* When the packer looks, packs and rests, by a clock of its own: waiting for a time is that time
 * passing, at once. So each run says when it began, to the nanosecond. */
#include "testlib.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "daemon/packer.h"
#include "repo/packing.h"

#define LOOK (NS_PER_SEC)
#define RUNS 4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t over = PTHREAD_COND_INITIALIZER;
static struct packer *packer;
static int64_t now, took[RUNS], begun[RUNS];
static int runs, failing; /* failing: the run that fails; -1: none */
static bool hold_rest;    /* a rest of an hour does not pass */

int64_t __wrap_clock_mono(void);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t);
bool __wrap_packing_is_due(struct repo *repo);
int __wrap_packing_run(struct repo *repo, int stop_fd, struct diag *reterr);

int64_t __wrap_clock_mono(void)
{
    return now;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t)
{
    if (hold_rest && clock_ns(*t) - now > 60 * NS_PER_SEC)
        return pthread_cond_wait(c, m);
    now = clock_ns(*t);
    return ETIMEDOUT;
}

bool __wrap_packing_is_due(struct repo *repo)
{
    return runs < RUNS;
}

/* More comes while it runs, always. */
int __wrap_packing_run(struct repo *repo, int stop_fd, struct diag *reterr)
{
    pthread_mutex_lock(&lock);
    int run = runs++;
    begun[run] = now;
    now += took[run];
    if (runs == RUNS || run == failing)
        pthread_cond_signal(&over);
    pthread_mutex_unlock(&lock);
    packer_wake(packer);
    return run == failing ? diag_fail(reterr, -EIO, "no") : 0;
}

static void run_until(int n)
{
    packer = NULL;
    pthread_mutex_lock(&lock); /* no run before `packer` is known */
    assert_int_equal(packer_start(NULL, &packer, NULL), 0);
    while (runs < n)
        pthread_cond_wait(&over, &lock);
    pthread_mutex_unlock(&lock);
    packer_stop(packer);
}

static int reset(void **state)
{
    now = 1000 * NS_PER_SEC;
    runs = 0;
    failing = -1;
    hold_rest = false;
    memset(took, 0, sizeof(took));
    return 0;
}

/* Nine times as long as it took, ten seconds at most; then it looks as after any news. */
static void test_it_rests_in_proportion_to_its_work(void **state)
{
    took[0] = 100 * NS_PER_MS;
    took[1] = NS_PER_SEC;
    took[2] = 60 * NS_PER_SEC;
    run_until(RUNS);
    assert_int_equal(begun[0], 1000 * NS_PER_SEC + LOOK);
    assert_int_equal(begun[1] - begun[0], 10 * took[0] + LOOK);
    assert_int_equal(begun[2] - begun[1], 10 * took[1] + LOOK);
    assert_int_equal(begun[3] - begun[2], took[2] + 10 * NS_PER_SEC + LOOK);
}

static void test_after_a_failure_it_rests_for_an_hour(void **state)
{
    failing = 0;
    run_until(RUNS);
    assert_int_equal(begun[1] - begun[0], 3600 * NS_PER_SEC + LOOK);
    assert_int_equal(begun[2] - begun[1], LOOK);
}

/* …but ends at once. */
static void test_who_ends_does_not_wait_for_a_rest(void **state)
{
    failing = 0;
    hold_rest = true;
    run_until(1);
    assert_int_equal(runs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_it_rests_in_proportion_to_its_work, reset),
        cmocka_unit_test_setup(test_after_a_failure_it_rests_for_an_hour, reset),
        cmocka_unit_test_setup(test_who_ends_does_not_wait_for_a_rest, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
