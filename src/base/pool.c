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
    pthread_t *threads;
    int most, started, idle;
    bool ending;
};

static void *worker(void *arg)
{
    struct pool *p = arg;

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
    p->threads = xcalloc(threads, sizeof(*p->threads));
    return p;
}

void pool_submit(struct pool *p, void (*fn)(void *), void *arg)
{
    struct job *j = NEW(struct job);

    *j = (struct job){.fn = fn, .arg = arg};
    pthread_mutex_lock(&p->lock);
    bool busy = p->first || !p->idle;
    *p->last = j;
    p->last = &j->next;
    if (busy && p->started < p->most && !pthread_create(&p->threads[p->started], NULL, worker, p))
        p->started++;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    free(p->threads);
    free(p);
}
