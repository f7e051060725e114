/* The group asks the disk through this file's own syncfs(), fsync() and fstatfs(). */
#include "testlib.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "deploy/sync_group.h"

#define THREADS 16

static long magic;
static atomic_int begun, ended, failing;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* held: syncs do not end */

int fstatfs(int fd, struct statfs *ret)
{
    *ret = (struct statfs){.f_type = magic};
    return 0;
}

int syncfs(int fd)
{
    int number = ++begun;

    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    if (failing) {
        failing--;
        errno = EIO;
        return -1;
    }
    ended = number;
    return 0;
}

int fsync(int fd)
{
    return 0;
}

struct crowd {
    struct sync_group *group;
    int fd;
    struct sync_member members[THREADS];
};

static void crowd_come(struct crowd *c)
{
    magic = EXT4_SUPER_MAGIC;
    begun = ended = failing = 0;
    c->group = sync_group_new();
    c->fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < THREADS; i++)
        sync_group_join(c->group, c->fd, &c->members[i]);
}

static void crowd_go(struct crowd *c)
{
    for (int i = 0; i < THREADS; i++)
        sync_member_leave(&c->members[i]);
    sync_group_free(c->group);
    close(c->fd);
}

static void test_a_few_sync_by_themselves(void **state)
{
    struct crowd c;
    struct sync_member alone;

    crowd_come(&c);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(c.members[i].together, i + 1 >= SYNC_GROUP_FROM);
    magic = FUSE_SUPER_MAGIC; /* its syncfs() need not reach a disk */
    sync_group_join(c.group, c.fd, &alone);
    assert_false(alone.together);
    sync_member_leave(&alone);
    crowd_go(&c);
}

struct waiter {
    struct sync_member *member;
    atomic_int tid;
    int result;
    bool late; /* a sync that began after it had come has not ended */
};

static void *wait_once(void *arg)
{
    struct waiter *w = arg;
    int before = begun;

    w->tid = (int)syscall(SYS_gettid);
    w->result = sync_member_wait(w->member);
    w->late = ended <= before;
    return NULL;
}

/* It has come, and does nothing. */
static bool sleeps(void *waiter)
{
    const struct waiter *w = waiter;
    char path[64], state = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", w->tid);
    _cleanup_(fclosep) FILE *f = w->tid ? fopen(path, "re") : NULL;
    return f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1 && state == 'S';
}

static void test_who_comes_meanwhile_shares_the_next_one(void **state)
{
    struct crowd c;
    struct waiter waiters[THREADS] = {0};
    pthread_t threads[THREADS];

    crowd_come(&c);
    pthread_mutex_lock(&gate);
    for (int i = 0; i < THREADS; i++) {
        waiters[i].member = &c.members[i];
        assert_int_equal(pthread_create(&threads[i], NULL, wait_once, &waiters[i]), 0);
        assert_true(test_wait(sleeps, &waiters[i], 20000));
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(waiters[i].result, 0);
        assert_false(waiters[i].late);
    }
    assert_in_range(begun, 2, THREADS / 2);
    crowd_go(&c);
}

static void test_an_error_is_told_to_all_whose_it_may_be(void **state)
{
    struct crowd c;
    struct sync_member later;

    crowd_come(&c);
    failing = 1;
    assert_int_equal(sync_member_wait(&c.members[8]), -EIO);
    sync_group_join(c.group, c.fd, &later);
    assert_int_equal(sync_member_wait(&c.members[9]), -EIO);
    assert_int_equal(sync_member_wait(&later), 0);
    sync_member_leave(&later);
    crowd_go(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_few_sync_by_themselves),
        cmocka_unit_test(test_who_comes_meanwhile_shares_the_next_one),
        cmocka_unit_test(test_an_error_is_told_to_all_whose_it_may_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
