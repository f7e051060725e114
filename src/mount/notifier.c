#include "mount/notifier.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct notifier {
    void (*drop)(uint64_t id, void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t work, told_more;
    struct {
        VEC(uint64_t);
    } queue;        /* not begun yet; each id once */
    uint64_t begun; /* how many left the queue */
    uint64_t told;  /* …and are done: begun, or one less */
    bool stopped, joined;
    pthread_t thread;
    pthread_rwlock_t replying; /* held for reading while a reply is written */
    uint64_t epoch;
};

/* After this no reply can be written that says what was true before. */
static void begin_epoch(struct notifier *n)
{
    pthread_rwlock_wrlock(&n->replying);
    __atomic_add_fetch(&n->epoch, 1, __ATOMIC_RELEASE);
    pthread_rwlock_unlock(&n->replying);
}

static void *notifier_run(void *arg)
{
    struct notifier *n = arg;

    pthread_setname_np(pthread_self(), "notifier");
    pthread_mutex_lock(&n->lock);
    while (!n->stopped) {
        if (!n->queue.n) {
            pthread_cond_wait(&n->work, &n->lock);
            continue;
        }
        uint64_t id = n->queue.v[0];
        memmove(n->queue.v, n->queue.v + 1, --n->queue.n * sizeof(*n->queue.v));
        n->begun++;
        pthread_mutex_unlock(&n->lock);
        begin_epoch(n);
        n->drop(id, n->arg);
        pthread_mutex_lock(&n->lock);
        n->told = n->begun;
        pthread_cond_broadcast(&n->told_more);
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

/* Replies come and go without end: a notification must not have to wait for a gap. */
static void prefer_notifications(pthread_rwlock_t *replying)
{
    pthread_rwlockattr_t attr;

    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(replying, &attr);
    pthread_rwlockattr_destroy(&attr);
}

int notifier_new(void (*drop)(uint64_t id, void *arg), void *arg, struct notifier **ret)
{
    struct notifier *n = NEW(struct notifier);

    n->drop = drop;
    n->arg = arg;
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->work, NULL);
    pthread_cond_init(&n->told_more, NULL);
    prefer_notifications(&n->replying);
    int r = -pthread_create(&n->thread, NULL, notifier_run, n);
    if (r < 0) {
        n->joined = true;
        notifier_free(n);
        return r;
    }
    *ret = n;
    return 0;
}

/* Queues `id`, unless it waits there already; the value of `told` at which it is done. */
static uint64_t queue_id(struct notifier *n, uint64_t id)
{
    size_t i = 0;

    while (i < n->queue.n && n->queue.v[i] != id)
        i++;
    if (i == n->queue.n) {
        *VEC_ADD(&n->queue) = id;
        pthread_cond_signal(&n->work);
    }
    return n->begun + i + 1;
}

void notifier_tell(struct notifier *n, uint64_t id)
{
    pthread_mutex_lock(&n->lock);
    if (!n->stopped)
        for (uint64_t at = queue_id(n, id); !n->stopped && n->told < at;)
            pthread_cond_wait(&n->told_more, &n->lock);
    pthread_mutex_unlock(&n->lock);
}

void notifier_post(struct notifier *n, uint64_t id)
{
    pthread_mutex_lock(&n->lock);
    if (!n->stopped)
        queue_id(n, id);
    pthread_mutex_unlock(&n->lock);
}

uint64_t notifier_epoch(struct notifier *n)
{
    return __atomic_load_n(&n->epoch, __ATOMIC_ACQUIRE);
}

bool notifier_enter(struct notifier *n, uint64_t epoch)
{
    pthread_rwlock_rdlock(&n->replying);
    return n->epoch == epoch;
}

void notifier_leave(struct notifier *n)
{
    pthread_rwlock_unlock(&n->replying);
}

void notifier_stop(struct notifier *n)
{
    pthread_mutex_lock(&n->lock);
    n->stopped = true;
    pthread_cond_broadcast(&n->work);
    pthread_cond_broadcast(&n->told_more);
    bool join = !n->joined;
    n->joined = true;
    pthread_mutex_unlock(&n->lock);
    if (join)
        pthread_join(n->thread, NULL);
}

void notifier_free(struct notifier *n)
{
    if (!n)
        return;
    notifier_stop(n);
    free(n->queue.v);
    pthread_rwlock_destroy(&n->replying);
    pthread_cond_destroy(&n->told_more);
    pthread_cond_destroy(&n->work);
    pthread_mutex_destroy(&n->lock);
    free(n);
}
