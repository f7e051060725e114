#include "repo/cache.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/metric.h"
#include "repo/oidset.h"

struct cache {
    pthread_mutex_t lock;
    pthread_cond_t loaded;
    struct cached **slots;
    size_t nslots, n; /* a power of two; objects */
    struct cached *newest, *oldest;
    size_t bytes, budget;
    VEC(struct oid) loading; /* at most one for each thread */
};

struct cache *cache_new(size_t budget)
{
    struct cache *c = NEW(struct cache);

    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->loaded, NULL);
    c->nslots = 1024;
    c->slots = xcalloc(c->nslots, sizeof(*c->slots));
    c->budget = budget;
    return c;
}

void cached_unref(struct cached *o)
{
    if (o && atomic_fetch_sub(&o->refs, 1) == 1)
        o->destroy(o);
}

static struct cached **place(struct cache *c, const struct oid *oid)
{
    struct cached **p = &c->slots[oid_slot(oid, c->nslots)];

    while (*p && !oid_equal(&(*p)->oid, oid))
        p = &(*p)->next_in_slot;
    return p;
}

static void rehash(struct cache *c)
{
    struct cached **old = c->slots;
    size_t n = c->nslots;

    c->nslots = n * 2;
    c->slots = xcalloc(c->nslots, sizeof(*c->slots));
    for (size_t i = 0; i < n; i++)
        for (struct cached *o = old[i], *next; o; o = next) {
            next = o->next_in_slot;
            struct cached **head = &c->slots[oid_slot(&o->oid, c->nslots)];
            o->next_in_slot = *head;
            *head = o;
        }
    free(old);
}

static void age_remove(struct cache *c, struct cached *o)
{
    *(o->newer ? &o->newer->older : &c->newest) = o->older;
    *(o->older ? &o->older->newer : &c->oldest) = o->newer;
    o->newer = o->older = NULL;
}

static void age_add(struct cache *c, struct cached *o)
{
    o->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = o;
    c->newest = o;
}

static void drop_oldest(struct cache *c)
{
    struct cached *o = c->oldest;

    *place(c, &o->oid) = o->next_in_slot;
    age_remove(c, o);
    c->n--;
    c->bytes -= o->bytes;
    metric_add(METRIC_OBJECT_CACHE, NULL, -(int64_t)o->bytes);
    cached_unref(o);
}

static void insert(struct cache *c, struct cached *o)
{
    if (c->n >= c->nslots)
        rehash(c);
    struct cached **slot = &c->slots[oid_slot(&o->oid, c->nslots)];
    o->next_in_slot = *slot;
    *slot = o;
    atomic_fetch_add(&o->refs, 1);
    age_add(c, o);
    c->n++;
    c->bytes += o->bytes;
    metric_add(METRIC_OBJECT_CACHE, NULL, o->bytes);
    while (c->bytes > c->budget && c->oldest != c->newest)
        drop_oldest(c);
}

static struct oid *loading_find(struct cache *c, const struct oid *oid)
{
    vec_foreach (l, &c->loading)
        if (oid_equal(l, oid))
            return l;
    return NULL;
}

struct cached *cache_begin(struct cache *c, const struct oid *oid)
{
    struct cached *o;

    pthread_mutex_lock(&c->lock);
    while (!(o = *place(c, oid)) && loading_find(c, oid))
        pthread_cond_wait(&c->loaded, &c->lock);
    if (o) {
        atomic_fetch_add(&o->refs, 1);
        age_remove(c, o);
        age_add(c, o);
    } else {
        *VEC_ADD(&c->loading) = *oid;
    }
    pthread_mutex_unlock(&c->lock);
    return o;
}

void cache_finish(struct cache *c, const struct oid *oid, struct cached *loaded)
{
    pthread_mutex_lock(&c->lock);
    struct oid *mine = loading_find(c, oid);
    *mine = c->loading.v[--c->loading.n];
    if (loaded)
        insert(c, loaded);
    pthread_cond_broadcast(&c->loaded);
    pthread_mutex_unlock(&c->lock);
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    while (c->oldest)
        drop_oldest(c);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->loaded);
    free(c->slots);
    free(c->loading.v);
    free(c);
}
