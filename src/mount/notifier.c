#include "mount/notifier.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* What is told at once. The names are copies. */
struct job {
    struct node_notice *notices;
    size_t n;
};

struct notifier {
    void (*drop)(const struct node_notice *notice, void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t work, told_more;
    struct {
        VEC(struct job);
    } queue;        /* not begun yet; each posted id once */
    uint64_t begun; /* how many left the queue */
    uint64_t told;  /* …and are done: begun, or one less */
    bool stopped, joined;
    pthread_t thread;
    pthread_rwlock_t replying; /* held for reading while a reply is written */
    uint64_t epoch;
};

static struct job job_new(const struct node_notice *notices, size_t n)
{
    struct job job = {xcalloc(n, sizeof(*notices)), n};

    for (size_t i = 0; i < n; i++) {
        job.notices[i] = notices[i];
        if (notices[i].name)
            job.notices[i].name = xstrdup(notices[i].name);
    }
    return job;
}

static void job_done(struct job *job)
{
    for (size_t i = 0; i < job->n; i++)
        free((char *)job->notices[i].name);
    free(job->notices);
}

/* After this no reply can be written that says what was true before. */
static void begin_epoch(struct notifier *n)
{
    pthread_rwlock_wrlock(&n->replying);
    __atomic_add_fetch(&n->epoch, 1, __ATOMIC_RELEASE);
    pthread_rwlock_unlock(&n->replying);
}

static void do_job(struct notifier *n, const struct job *job)
{
    begin_epoch(n);
    for (size_t i = 0; i < job->n && !__atomic_load_n(&n->stopped, __ATOMIC_ACQUIRE); i++)
        n->drop(&job->notices[i], n->arg);
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
        _cleanup_(job_done) struct job job = n->queue.v[0];
        memmove(n->queue.v, n->queue.v + 1, --n->queue.n * sizeof(*n->queue.v));
        n->begun++;
        pthread_mutex_unlock(&n->lock);
        do_job(n, &job);
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

int notifier_new(void (*drop)(const struct node_notice *notice, void *arg), void *arg,
                 struct notifier **ret)
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

/* The value of `told` at which the job is done; 0: it never will be, the notifier has been stopped.
 */
static uint64_t queue_job(struct notifier *n, struct job job)
{
    if (n->stopped) {
        job_done(&job);
        return 0;
    }
    *VEC_ADD(&n->queue) = job;
    pthread_cond_signal(&n->work);
    return n->begun + n->queue.n;
}

static bool is_queued(const struct notifier *n, const struct node_notice *notice)
{
    vec_foreach (job, &n->queue)
        if (job->n == 1 && job->notices->id == notice->id && !job->notices->name &&
            job->notices->content)
            return true;
    return false;
}

void notifier_tell(struct notifier *n, const struct node_notice *notices, size_t count)
{
    struct job job = job_new(notices, count);

    pthread_mutex_lock(&n->lock);
    for (uint64_t at = queue_job(n, job); !n->stopped && n->told < at;)
        pthread_cond_wait(&n->told_more, &n->lock);
    pthread_mutex_unlock(&n->lock);
}

void notifier_queue(struct notifier *n, const struct node_notice *notices, size_t count)
{
    struct job job = job_new(notices, count);

    pthread_mutex_lock(&n->lock);
    queue_job(n, job);
    pthread_mutex_unlock(&n->lock);
}

void notifier_post(struct notifier *n, uint64_t id)
{
    const struct node_notice notice = {.id = id, .content = true};

    pthread_mutex_lock(&n->lock);
    if (!n->stopped && !is_queued(n, &notice))
        queue_job(n, job_new(&notice, 1));
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
    __atomic_store_n(&n->stopped, true, __ATOMIC_RELEASE);
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
    vec_foreach (job, &n->queue)
        job_done(job);
    free(n->queue.v);
    pthread_rwlock_destroy(&n->replying);
    pthread_cond_destroy(&n->told_more);
    pthread_cond_destroy(&n->work);
    pthread_mutex_destroy(&n->lock);
    free(n);
}
