/* The embedded lease: one holder at a time, named to others, free again when the holder dies. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "coord/lease.h"
#include "testlib.h"

static void one_holder(void **state)
{
    char *dir = test_dir_new();
    _cleanup_free_ char *path = xasprintf("%s/lock", dir);
    _cleanup_(diag_done) struct diag why = {0};
    struct lease *a, *b;

    assert_int_equal(lease_take(path, "a long note of the first holder", &a, &why), 0);
    assert_int_equal(lease_take(path, "second", &b, &why), -EBUSY);
    assert_non_null(strstr(why.text, "held by a long note of the first holder"));
    lease_free(a);
    assert_int_equal(lease_take(path, "second", &b, &why), 0);
    assert_int_equal(lease_take(path, "third", &a, &why), -EBUSY);
    assert_non_null(strstr(why.text, "held by second"));
    assert_null(strstr(why.text, "first"));
    lease_free(b);
    test_dir_free(dir);
}

static void a_dead_holder_holds_nothing(void **state)
{
    char *dir = test_dir_new();
    _cleanup_free_ char *path = xasprintf("%s/lock", dir);
    int ready[2];
    struct lease *l;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (lease_take(path, "child", &l, NULL) == 0 && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(lease_take(path, "parent", &l, NULL), -EBUSY);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(lease_take(path, "parent", &l, NULL), 0);
    lease_free(l);
    close(ready[0]);
    close(ready[1]);
    test_dir_free(dir);
}

/* A holder that is not quite dead: who has its open file goes on with the lock. */
static void a_successor_has_the_lock_already(void **state)
{
    char *dir = test_dir_new();
    _cleanup_free_ char *path = xasprintf("%s/lock", dir), *other = xasprintf("%s/other", dir);
    struct lease *a, *b, *c;

    assert_int_equal(lease_take(path, "first", &a, NULL), 0);
    lease_inherit(dup(lease_fd(a)));
    assert_int_equal(lease_take(other, "another", &c, NULL), 0);
    assert_int_equal(lease_take(path, "second", &b, NULL), 0);
    lease_free(a);
    assert_int_equal(lease_take(path, "third", &a, NULL), -EBUSY);
    lease_free(b);
    assert_int_equal(lease_take(path, "third", &a, NULL), 0);
    lease_free(a);
    lease_free(c);
    test_dir_free(dir);
}

static void *let_go_later(void *lease)
{
    nanosleep(&(struct timespec){.tv_nsec = 700 * NS_PER_MS}, NULL);
    lease_free(lease);
    return NULL;
}

static void who_is_ending_is_waited_for(void **state)
{
    char *dir = test_dir_new();
    _cleanup_free_ char *path = xasprintf("%s/lock", dir);
    _cleanup_(diag_done) struct diag why = {0};
    struct lease *a, *b;
    pthread_t thread;

    assert_int_equal(lease_take(path, "first", &a, NULL), 0);
    int64_t start = clock_mono();
    assert_int_equal(lease_wait(path, "second", &b, &why), -EBUSY);
    assert_non_null(strstr(why.text, "held by first"));
    assert_true(clock_mono() - start < 5 * NS_PER_SEC);
    lease_ending(a);
    assert_int_equal(pthread_create(&thread, NULL, let_go_later, a), 0);
    assert_int_equal(lease_wait(path, "second", &b, NULL), 0);
    pthread_join(thread, NULL);
    lease_free(b);
    test_dir_free(dir);
}

static void what_cannot_be_opened_is_named(void **state)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct lease *l;

    assert_int_equal(lease_take("/no/such/lock", "x", &l, &why), -ENOENT);
    assert_non_null(strstr(why.text, "/no/such/lock"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_holder),
        cmocka_unit_test(a_dead_holder_holds_nothing),
        cmocka_unit_test(a_successor_has_the_lock_already),
        cmocka_unit_test(who_is_ending_is_waited_for),
        cmocka_unit_test(what_cannot_be_opened_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
