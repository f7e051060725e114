#include "base/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct job {
    struct job *next;
    void (*fn)(void *);
    void *arg;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct job *first, **last;
    const char *name;
    VEC(pthread_t) threads;
    size_t most;    /* threads that do not wait */
    size_t waiting; /* threads between pool_wait_begin() and pool_wait_end() */
    int idle;
    bool ending;
};

/* The pool that this thread belongs to. */
static _Thread_local struct pool *own;

static void *worker(void *arg)
{
    struct pool *p = own = arg;

    pthread_setname_np(pthread_self(), p->name);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->first && !p->ending) {
            p->idle++;
            pthread_cond_wait(&p->work, &p->lock);
            p->idle--;
        }
        struct job *j = p->first;
        if (!j)
            break;
        if (!(p->first = j->next))
            p->last = &p->first;
        pthread_mutex_unlock(&p->lock);
        j->fn(j->arg);
        free(j);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct pool *pool_new(const char *name, int threads)
{
    struct pool *p = NEW(struct pool);

    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->last = &p->first;
    p->name = name;
    p->most = threads;
    return p;
}

/* One more thread, if there may be one. With the lock held. */
static void grow(struct pool *p)
{
    pthread_t thread;

    if (p->threads.n < p->most + p->waiting && !pthread_create(&thread, NULL, worker, p))
        *VEC_ADD(&p->threads) = thread;
}

void pool_submit(struct pool *p, void (*fn)(void *), void *arg)
{
    struct job *j = NEW(struct job);

    *j = (struct job){.fn = fn, .arg = arg};
    pthread_mutex_lock(&p->lock);
    bool busy = p->first || !p->idle;
    *p->last = j;
    p->last = &j->next;
    if (busy)
        grow(p);
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

void pool_wait_begin(void)
{
    struct pool *p = own;

    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->waiting++;
    if (p->first)
        grow(p);
    pthread_mutex_unlock(&p->lock);
}

void pool_wait_end(void)
{
    struct pool *p = own;

    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->waiting--;
    pthread_mutex_unlock(&p->lock);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->work);
    while (p->threads.n) { /* one that still runs may start another */
        pthread_t thread = p->threads.v[--p->threads.n];
        pthread_mutex_unlock(&p->lock);
        pthread_join(thread, NULL);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    free(p->threads.v);
    free(p);
}
