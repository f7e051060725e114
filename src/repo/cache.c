#include "repo/cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/metric.h"
#include "repo/oidset.h"

struct cache {
    pthread_mutex_t lock; /* held for a few pointers only: never while objects load or are freed */
    pthread_cond_t loaded;
    struct cached **slots;
    size_t nslots, n; /* a power of two; objects */
    struct cached *newest, *oldest;
    uint64_t bytes;
    struct cache_bounds bounds;
    int64_t *gauge;          /* NULL: not counted */
    VEC(struct oid) loading; /* at most one for each thread */
    size_t waiting;          /* threads that wait for another's load */
};

struct cache *cache_new(const struct cache_bounds *bounds)
{
    struct cache *c = NEW(struct cache);

    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->loaded, NULL);
    c->nslots = 1024;
    c->slots = xcalloc(c->nslots, sizeof(*c->slots));
    c->bounds = *bounds;
    c->gauge = bounds->in_memory ? metric_counter(METRIC_OBJECT_CACHE, NULL) : NULL;
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

static void count(struct cache *c, int64_t bytes)
{
    c->bytes += bytes;
    if (c->gauge)
        metric_bump(c->gauge, bytes);
}

/* Takes objects out until at most this much is left. Returns them in a list (by next_in_slot), to
 * be given back when the lock is not held. */
static struct cached *shrink(struct cache *c, uint64_t bytes, size_t number)
{
    struct cached *out = NULL, *o;

    while ((o = c->oldest) && (c->bytes > bytes || c->n > number)) {
        *place(c, &o->oid) = o->next_in_slot;
        age_remove(c, o);
        c->n--;
        count(c, -(int64_t)o->bytes);
        o->next_in_slot = out;
        out = o;
    }
    return out;
}

/* Room for one more object: before it comes in, so that the bounds hold at any time. */
static struct cached *make_room(struct cache *c, uint64_t bytes)
{
    size_t number = c->bounds.number ? c->bounds.number - 1 : SIZE_MAX;

    return shrink(c, c->bounds.bytes > bytes ? c->bounds.bytes - bytes : 0, number);
}

static void unref_list(struct cached *list)
{
    while (list) {
        struct cached *next = list->next_in_slot;
        cached_unref(list);
        list = next;
    }
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
    count(c, o->bytes);
}

static struct oid *loading_find(struct cache *c, const struct oid *oid)
{
    vec_foreach (l, &c->loading)
        if (oid_equal(l, oid))
            return l;
    return NULL;
}

/* The object, used just now; or NULL. */
static struct cached *use(struct cache *c, const struct oid *oid)
{
    struct cached *o = *place(c, oid);

    if (!o)
        return NULL;
    atomic_fetch_add(&o->refs, 1);
    if (o != c->newest) {
        age_remove(c, o);
        age_add(c, o);
    }
    return o;
}

struct cached *cache_get(struct cache *c, const struct oid *oid)
{
    pthread_mutex_lock(&c->lock);
    struct cached *o = use(c, oid);
    pthread_mutex_unlock(&c->lock);
    return o;
}

struct cached *cache_begin(struct cache *c, const struct oid *oid)
{
    struct cached *o;

    pthread_mutex_lock(&c->lock);
    while (!(o = use(c, oid)) && loading_find(c, oid)) {
        c->waiting++;
        pthread_cond_wait(&c->loaded, &c->lock);
        c->waiting--;
    }
    if (!o)
        *VEC_ADD(&c->loading) = *oid;
    pthread_mutex_unlock(&c->lock);
    return o;
}

void cache_finish(struct cache *c, const struct oid *oid, struct cached *loaded)
{
    struct cached *out = NULL;

    pthread_mutex_lock(&c->lock);
    struct oid *mine = loading_find(c, oid);
    *mine = c->loading.v[--c->loading.n];
    if (loaded && (c->bounds.newest_stays || loaded->bytes <= c->bounds.bytes)) {
        out = make_room(c, loaded->bytes);
        insert(c, loaded);
    }
    if (c->waiting)
        pthread_cond_broadcast(&c->loaded);
    pthread_mutex_unlock(&c->lock);
    unref_list(out);
}

void cache_rebound(struct cache *c, const struct cache_bounds *bounds)
{
    pthread_mutex_lock(&c->lock);
    c->bounds = *bounds;
    struct cached *out = shrink(c, bounds->bytes, bounds->number ? bounds->number : SIZE_MAX);
    pthread_mutex_unlock(&c->lock);
    unref_list(out);
}

void cache_clear(struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    struct cached *out = shrink(c, 0, 0);
    pthread_mutex_unlock(&c->lock);
    unref_list(out);
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    cache_clear(c);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->loaded);
    free(c->slots);
    free(c->loading.v);
    free(c);
}
