#include "mount/evictor.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#define BATCH 512               /* ids in one message, as many as the kernel takes at once */
#define PAUSE (100 * NS_PER_MS) /* until the kernel has told us what it has let go */

struct evictor {
    struct node_table *table;
    struct node_bounds bounds;
    int (*prune)(const uint64_t *ids, size_t n, void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool wanted, stopped, joined;
    pthread_t thread;
};

static bool is_stopped(struct evictor *e)
{
    return __atomic_load_n(&e->stopped, __ATOMIC_ACQUIRE);
}

/* Newest first: a directory can only be let go when nothing below it is known any more, and what is
 * below it became known later. */
static int tell(struct evictor *e, const uint64_t *ids, size_t n)
{
    uint64_t batch[BATCH];
    int r = 0;

    while (r == 0 && n && !is_stopped(e)) {
        size_t m = 0;
        while (m < BATCH && n)
            batch[m++] = ids[--n];
        r = e->prune(batch, m, e->arg);
    }
    return r;
}

/* All but the youngest, so that the next sweep is some way off. */
static int sweep_nodes(struct evictor *e)
{
    _cleanup_free_ uint64_t *ids = NULL;
    size_t n = node_table_known(e->table, false, &ids), stay = e->bounds.nodes / 4 * 3;

    return n > stay ? tell(e, ids, n - stay) : 0;
}

static int sweep_texts(struct evictor *e)
{
    _cleanup_free_ uint64_t *ids = NULL;
    size_t n = node_table_known(e->table, true, &ids);

    return tell(e, ids, n);
}

/* False: the kernel cannot be told. */
static bool sweep(struct evictor *e)
{
    struct node_bounds load = node_table_load(e->table);
    int r = 0;

    if (load.nodes > e->bounds.nodes)
        r = sweep_nodes(e);
    if (r == 0 && load.bytes > e->bounds.bytes)
        r = sweep_texts(e);
    if (r < 0)
        log_info("kernel-keeps-names",
                 "reason=\"it cannot be told to forget before Linux 6.18: %s\" nodes=%zu",
                 strerrordesc_np(-r), load.nodes);
    return r == 0;
}

static bool is_too_much(const struct evictor *e, const struct node_bounds *load)
{
    return load->nodes > e->bounds.nodes || load->bytes > e->bounds.bytes;
}

/* Called with the lock held. Is there too much left after a sweep, and was it of use? */
static bool is_worth_another(struct evictor *e, const struct node_bounds *before)
{
    struct timespec end = clock_timespec(clock_mono() + PAUSE);

    while (!e->stopped && pthread_cond_clockwait(&e->work, &e->lock, CLOCK_MONOTONIC, &end) == 0)
        continue;
    struct node_bounds now = node_table_load(e->table);
    return is_too_much(e, &now) && (now.nodes < before->nodes || now.bytes < before->bytes);
}

static void *evictor_run(void *arg)
{
    struct evictor *e = arg;
    bool works = true;

    pthread_setname_np(pthread_self(), "evictor");
    pthread_mutex_lock(&e->lock);
    while (!e->stopped && works) {
        if (!e->wanted) {
            pthread_cond_wait(&e->work, &e->lock);
            continue;
        }
        e->wanted = false;
        struct node_bounds before = node_table_load(e->table);
        pthread_mutex_unlock(&e->lock);
        works = sweep(e);
        pthread_mutex_lock(&e->lock);
        if (works && is_too_much(e, &before) && is_worth_another(e, &before))
            e->wanted = true;
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

int evictor_new(struct node_table *table, const struct node_bounds *bounds,
                int (*prune)(const uint64_t *ids, size_t n, void *arg), void *arg,
                struct evictor **ret)
{
    struct evictor *e = NEW(struct evictor);

    e->table = table;
    e->bounds = *bounds;
    e->prune = prune;
    e->arg = arg;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    int r = -pthread_create(&e->thread, NULL, evictor_run, e);
    if (r < 0) {
        e->joined = true;
        evictor_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

void evictor_wake(struct evictor *e)
{
    pthread_mutex_lock(&e->lock);
    e->wanted = true;
    pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->lock);
}

void evictor_stop(struct evictor *e)
{
    if (e->joined)
        return;
    pthread_mutex_lock(&e->lock);
    __atomic_store_n(&e->stopped, true, __ATOMIC_RELEASE);
    pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
    e->joined = true;
}

void evictor_free(struct evictor *e)
{
    if (!e)
        return;
    evictor_stop(e);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->work);
    free(e);
}
