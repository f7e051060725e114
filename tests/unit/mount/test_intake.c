/* The books of mount/intake.h: who has a written-back page in hand is waited for, nobody else. */
#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include "mount/intake.h"
#include "testlib.h"

/* A pipe for /dev/fuse, a thread that takes one request, holds it until `go`, and reads again. */
struct bench {
    struct intake *intake;
    int pipe[2];
    sem_t taken, go;
    pthread_t taker, waiter;
    bool waited;
};

static void *take(void *arg)
{
    struct bench *b = arg;
    char buf[256];
    ssize_t n;

    while ((n = intake_read(b->intake, b->pipe[0], buf, sizeof(buf))) != 0) {
        if (n < 0) {
            assert_int_equal(errno, EINTR); /* called away */
            continue;
        }
        sem_post(&b->taken);
        sem_wait(&b->go);
    }
    return NULL;
}

static bool is_seven(uint64_t id, void *arg)
{
    return id == 7;
}

static void *wait_for_seven(void *arg)
{
    struct bench *b = arg;

    intake_wait_stores(b->intake, is_seven, NULL);
    __atomic_store_n(&b->waited, true, __ATOMIC_RELEASE);
    return NULL;
}

static bool has_waited(void *arg)
{
    return __atomic_load_n(&((struct bench *)arg)->waited, __ATOMIC_ACQUIRE);
}

static void send(struct bench *b, uint32_t opcode, uint64_t node, uint32_t flags)
{
    struct {
        struct fuse_in_header head;
        struct fuse_write_in write;
    } r;

    memset(&r, 0, sizeof(r));
    r.head.opcode = opcode;
    r.head.nodeid = node;
    r.write.write_flags = flags;
    assert_int_equal(write(b->pipe[1], &r, sizeof(r)), sizeof(r));
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    b->intake = intake_new();
    assert_int_equal(pipe(b->pipe), 0);
    sem_init(&b->taken, 0, 0);
    sem_init(&b->go, 0, 0);
    pthread_create(&b->taker, NULL, take, b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    close(b->pipe[1]);
    pthread_join(b->taker, NULL);
    close(b->pipe[0]);
    intake_free(b->intake);
    free(b);
    return 0;
}

static void nothing_else_is_waited_for(void **state)
{
    struct bench *b = *state;

    intake_wait_stores(b->intake, is_seven, NULL); /* it reads, or is about to */
    static const struct {
        uint32_t opcode, flags;
        uint64_t node;
    } others[] = {
        {FUSE_READ, FUSE_WRITE_CACHE, 7}, {FUSE_WRITE, 0, 7}, {FUSE_WRITE, FUSE_WRITE_CACHE, 8}};
    for (size_t i = 0; i < 3; i++) {
        send(b, others[i].opcode, others[i].node, others[i].flags);
        sem_wait(&b->taken);
        intake_wait_stores(b->intake, is_seven, NULL);
        sem_post(&b->go);
    }
}

static void a_page_in_hand_is_waited_for(void **state)
{
    struct bench *b = *state;

    send(b, FUSE_WRITE, 7, FUSE_WRITE_CACHE);
    sem_wait(&b->taken);
    pthread_create(&b->waiter, NULL, wait_for_seven, b);
    assert_false(test_wait(has_waited, b, 30));
    sem_post(&b->go);
    assert_true(test_wait(has_waited, b, 20000));
    pthread_join(b->waiter, NULL);
}

/* Two threads, of which one is called away while the other looks out (vigil.h). */
static void a_row_of_requests_is_taken_one_by_one(void **state)
{
    struct bench *b = *state;
    pthread_t second;

    pthread_create(&second, NULL, take, b);
    for (int i = 0; i < 1000; i++) {
        send(b, FUSE_WRITE, 7, FUSE_WRITE_CACHE);
        sem_wait(&b->taken);
        assert_int_equal(sem_trywait(&b->taken), -1);
        sem_post(&b->go);
        intake_wait_stores(b->intake, is_seven, NULL);
    }
    close(b->pipe[1]);
    b->pipe[1] = -1;
    pthread_join(second, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_else_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_in_hand_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_row_of_requests_is_taken_one_by_one, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
