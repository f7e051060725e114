/* The notifier (mount/notifier.h): what is told is told once, in a thread of its own, and no reply
 * that was true before can be written after. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "mount/notifier.h"
#include "testlib.h"

/* A kernel that notes what it is told, and takes as long as the test wants. */
struct kernel {
    struct notifier *notifier;
    uint64_t told[64];
    int n;
    bool gated; /* each notification posts `arrived` and waits for `go` */
    sem_t arrived, go;
};

static void drop(const struct node_notice *notice, void *arg)
{
    struct kernel *k = arg;

    if (__atomic_load_n(&k->gated, __ATOMIC_ACQUIRE)) {
        sem_post(&k->arrived);
        sem_wait(&k->go);
    }
    k->told[k->n] = notice->id;
    __atomic_add_fetch(&k->n, 1, __ATOMIC_RELEASE);
}

static void open_gate(struct kernel *k)
{
    __atomic_store_n(&k->gated, false, __ATOMIC_RELEASE);
    sem_post(&k->go);
}

static void tell(struct kernel *k, uint64_t id)
{
    notifier_tell(k->notifier, &(struct node_notice){.id = id, .content = true}, 1);
}

static int setup(void **state)
{
    struct kernel *k = calloc(1, sizeof(*k));

    sem_init(&k->arrived, 0, 0);
    sem_init(&k->go, 0, 0);
    assert_int_equal(notifier_new(drop, k, &k->notifier), 0);
    *state = k;
    return 0;
}

static int teardown(void **state)
{
    struct kernel *k = *state;

    notifier_free(k->notifier);
    sem_destroy(&k->arrived);
    sem_destroy(&k->go);
    free(k);
    return 0;
}

static void telling_returns_when_the_kernel_knows(void **state)
{
    struct kernel *k = *state;

    for (int i = 1; i <= 20; i++) {
        tell(k, i);
        assert_int_equal(k->n, i);
        assert_int_equal(k->told[i - 1], i);
    }
}

static void what_waits_already_is_told_once(void **state)
{
    struct kernel *k = *state;

    k->gated = true;
    notifier_post(k->notifier, 1);
    sem_wait(&k->arrived);
    for (int i = 0; i < 5; i++) {
        notifier_post(k->notifier, 1); /* the one that is being told came too early for these */
        notifier_post(k->notifier, 2);
    }
    open_gate(k);
    tell(k, 3);
    assert_int_equal(k->n, 4);
    assert_int_equal(k->told[1], 1);
    assert_int_equal(k->told[2], 2);
    assert_int_equal(k->told[3], 3);
}

static void a_reply_knows_whether_it_is_overtaken(void **state)
{
    struct kernel *k = *state;
    uint64_t epoch = notifier_epoch(k->notifier);

    assert_true(notifier_enter(k->notifier, epoch));
    notifier_leave(k->notifier);
    tell(k, 1);
    assert_false(notifier_enter(k->notifier, epoch));
    notifier_leave(k->notifier);
    assert_true(notifier_enter(k->notifier, notifier_epoch(k->notifier)));
    notifier_leave(k->notifier);
}

static bool epoch_moved(void *arg)
{
    struct kernel *k = arg;

    return notifier_epoch(k->notifier) > 0;
}

static void the_kernel_is_told_after_replies_under_way(void **state)
{
    struct kernel *k = *state;

    k->gated = true;
    assert_true(notifier_enter(k->notifier, notifier_epoch(k->notifier)));
    notifier_post(k->notifier, 1);
    assert_false(test_wait(epoch_moved, k, 30)); /* it cannot pass us */
    assert_int_equal(sem_trywait(&k->arrived), -1);
    notifier_leave(k->notifier);
    sem_wait(&k->arrived);
    assert_int_equal(notifier_epoch(k->notifier), 1);
    open_gate(k);
}

static void *tell_two(void *arg)
{
    struct kernel *k = arg;

    tell(k, 2);
    return NULL;
}

static void *stop(void *arg)
{
    struct kernel *k = arg;

    notifier_stop(k->notifier);
    return NULL;
}

static void stopping_lets_those_go_who_wait(void **state)
{
    struct kernel *k = *state;
    pthread_t teller, stopper;

    k->gated = true;
    notifier_post(k->notifier, 1);
    sem_wait(&k->arrived);
    pthread_create(&teller, NULL, tell_two, k);
    pthread_create(&stopper, NULL, stop, k);
    pthread_join(teller, NULL); /* although nobody ends the notification before it */
    assert_int_equal(k->n, 0);
    open_gate(k);
    pthread_join(stopper, NULL);
    assert_int_equal(k->n, 1);
    tell(k, 3);
    notifier_post(k->notifier, 3);
    assert_int_equal(k->n, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(telling_returns_when_the_kernel_knows),
        TEST(what_waits_already_is_told_once),
        TEST(a_reply_knows_whether_it_is_overtaken),
        TEST(the_kernel_is_told_after_replies_under_way),
        TEST(stopping_lets_those_go_who_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
