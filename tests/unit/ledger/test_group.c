/* Group commit: what comes while a commit is being written goes into the next one, together. */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

#define LOCK "refs/onward/ledger/ops-1.lock"

/* A thread that appends one record. */
struct appender {
    struct ledger *ledger;
    char *site;
    pthread_t thread;
    pid_t tid; /* atomic; 0: not there yet */
    int result;
    struct diag why;
};

static void *run(void *arg)
{
    struct appender *a = arg;
    _cleanup_(record_done) struct record r = make_record(a->site, 1, RECORD_ATTEMPT);

    __atomic_store_n(&a->tid, gettid(), __ATOMIC_RELEASE);
    a->result = ledger_append(a->ledger, &r, 1, &a->why);
    return NULL;
}

static void start(struct appender *a, struct ledger *l, int number)
{
    *a = (struct appender){.ledger = l, .site = xasprintf("s%d", number)};
    assert_int_equal(pthread_create(&a->thread, NULL, run, a), 0);
}

static void join(struct appender *a)
{
    pthread_join(a->thread, NULL);
}

static void appender_done(struct appender *a)
{
    free(a->site);
    diag_done(&a->why);
}

static void pause_shortly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
}

/* Waits until it sleeps: in the queue, since the queue's lock is held for moments. */
static void await_sleep(const struct appender *a)
{
    pid_t tid;
    char state = 0;

    while (!(tid = __atomic_load_n(&a->tid, __ATOMIC_ACQUIRE)))
        pause_shortly();
    _cleanup_free_ char *path = xasprintf("/proc/self/task/%d/stat", tid);
    while (state != 'S') {
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
        fclose(f);
        if (state != 'S')
            pause_shortly();
    }
}

/* Starts n appenders: the first is held up by a lock on the ref, the others wait for it. */
static void start_all(struct fixture *f, struct ledger *l, struct appender *v, int n)
{
    append(l, "zero", 1, RECORD_ATTEMPT);
    test_run(f->path, ": > " LOCK);
    for (int i = 0; i < n; i++) {
        start(&v[i], l, i);
        await_sleep(&v[i]);
    }
}

static char *count_commits(struct fixture *f)
{
    return test_output(f->path, "git rev-list --count refs/onward/ledger/ops-1");
}

static void test_those_that_wait_share_a_commit(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    struct appender v[8];

    start_all(f, l, v, 8);
    test_run(f->path, "rm " LOCK);
    for (int i = 0; i < 8; i++) {
        join(&v[i]);
        if (v[i].result < 0)
            fail_msg("%s", diag_text(&v[i].why, v[i].result));
    }
    _cleanup_free_ char *commits = count_commits(f);
    assert_string_equal(commits, "3");
    _cleanup_(ledger_freep) struct ledger *again = open_ledger(f, "ops-1");
    for (int i = 0; i < 8; i++) {
        _cleanup_free_ char *found = history(again, v[i].site);
        assert_string_equal(found, "1:attempt");
        appender_done(&v[i]);
    }
}

static void limit_files(rlim_t size)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* As on a full disk: each of a group is told, nothing of it is there, the next one works. */
static void test_a_group_fails_as_one_and_the_next_works(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    struct appender v[4];
    _cleanup_free_ char *lock = xasprintf("%s/" LOCK, f->path);

    start_all(f, l, v, 4);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(0);
    assert_int_equal(unlink(lock), 0);
    for (int i = 0; i < 4; i++)
        join(&v[i]);
    limit_files(RLIM_INFINITY);
    for (int i = 0; i < 4; i++) {
        assert_true(v[i].result < 0);
        assert_non_null(strstr(v[i].why.text, "cannot write the ledger: "));
        _cleanup_free_ char *found = history(l, v[i].site);
        assert_string_equal(found, "");
        appender_done(&v[i]);
    }
    append(l, "s1", 1, RECORD_ATTEMPT);
    _cleanup_free_ char *commits = count_commits(f), *found = history(l, "s1");
    assert_string_equal(commits, "2");
    assert_string_equal(found, "1:attempt");
}

/* `git gc --prune=now`, again and again, until there is a file `stop`. */
static void *collect_garbage(void *fixture)
{
    const struct fixture *f = fixture;

    test_status(f->path, "while [ ! -e stop ]; do git gc -q --prune=now; done");
    return NULL;
}

static int show_finding(const struct ledger_finding *f, void *arg)
{
    fail_msg("%s: %s", f->site ? f->site : f->host, f->what);
    return 0;
}

/* What no ref leads to yet is not taken away under us, logs included. */
static void test_collecting_garbage_takes_nothing(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    struct ledger_totals totals;
    pthread_t collector;

    assert_int_equal(pthread_create(&collector, NULL, collect_garbage, f), 0);
    for (int i = 0; i < 40; i++) {
        _cleanup_(record_done) struct record r = make_record("a", i + 1, RECORD_DEPLOYED);
        _cleanup_(diag_done) struct diag why = {0};
        const struct buf log = {(char *)&i, sizeof(i)};
        r.output = &log;
        if (ledger_append(l, &r, 1, &why) < 0)
            fail_msg("%s", why.text);
    }
    test_run(f->path, ": > stop");
    pthread_join(collector, NULL);
    assert_int_equal(ledger_verify(l, show_finding, NULL, &totals, NULL), 0);
    assert_int_equal(totals.records, 40);
    test_run(f->path, "git fsck --strict");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_those_that_wait_share_a_commit),
        TEST(test_collecting_garbage_takes_nothing),
        TEST(test_a_group_fails_as_one_and_the_next_works),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
