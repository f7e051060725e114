#include "repo/base_cache.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/metric.h"

#define SLOTS 8192
/* One object never takes more of the budget than this part of it. */
#define SHARE 4

struct base_cache {
    pthread_mutex_t lock;
    size_t budget, bytes;
    int64_t *gauge; /* METRIC_OBJECT_CACHE, which other caches count in, too */
    struct base *newest, *oldest;
    struct base *slots[SLOTS];
};

struct base_cache *base_cache_new(size_t budget)
{
    struct base_cache *c = NEW(struct base_cache);

    c->budget = budget;
    c->gauge = metric_counter(METRIC_OBJECT_CACHE, NULL);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

struct base *base_new(git_object_t type, size_t size)
{
    struct base *b = size < SIZE_MAX - sizeof(*b) ? malloc(sizeof(*b) + size) : NULL;

    if (b)
        *b = (struct base){.refs = 1, .type = type, .size = size};
    return b;
}

void base_unref(struct base *b)
{
    if (b && atomic_fetch_sub(&b->refs, 1) == 1)
        free(b);
}

static struct base **place(struct base_cache *c, uint64_t serial, uint64_t at)
{
    uint64_t h = (at ^ serial << 40) * UINT64_C(0x9e3779b97f4a7c15);
    struct base **b = &c->slots[(h >> 32) % SLOTS];

    while (*b && ((*b)->serial != serial || (*b)->at != at))
        b = &(*b)->next_in_slot;
    return b;
}

static void age_remove(struct base_cache *c, struct base *b)
{
    *(b->newer ? &b->newer->older : &c->newest) = b->older;
    *(b->older ? &b->older->newer : &c->oldest) = b->newer;
    b->newer = b->older = NULL;
}

static void age_add(struct base_cache *c, struct base *b)
{
    b->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = b;
    c->newest = b;
}

struct base *base_cache_get(struct base_cache *c, uint64_t serial, uint64_t at)
{
    pthread_mutex_lock(&c->lock);
    struct base *b = *place(c, serial, at);
    if (b) {
        atomic_fetch_add(&b->refs, 1);
        age_remove(c, b);
        age_add(c, b);
    }
    pthread_mutex_unlock(&c->lock);
    return b;
}

static size_t cost(const struct base *b)
{
    return sizeof(*b) + b->size;
}

static void count(struct base_cache *c, int64_t bytes)
{
    c->bytes += bytes;
    metric_bump(c->gauge, bytes);
}

/* Takes out the one that was used longest ago. The cache's reference is the caller's. */
static struct base *take_oldest(struct base_cache *c)
{
    struct base *b = c->oldest;

    *place(c, b->serial, b->at) = b->next_in_slot;
    b->next_in_slot = NULL;
    age_remove(c, b);
    count(c, -(int64_t)cost(b));
    return b;
}

static void add(struct base_cache *c, struct base **slot, struct base *b)
{
    atomic_fetch_add(&b->refs, 1);
    b->next_in_slot = NULL;
    *slot = b;
    age_add(c, b);
    count(c, cost(b));
}

void base_cache_put(struct base_cache *c, uint64_t serial, uint64_t at, struct base *b)
{
    struct base *dropped = NULL; /* freed outside the lock: giving back pages takes long */

    if (cost(b) > c->budget / SHARE)
        return;
    b->serial = serial;
    b->at = at;
    pthread_mutex_lock(&c->lock);
    bool known = *place(c, serial, at);
    while (!known && c->bytes + cost(b) > c->budget) {
        struct base *oldest = take_oldest(c);
        oldest->next_in_slot = dropped;
        dropped = oldest;
    }
    if (!known)
        add(c, place(c, serial, at), b);
    pthread_mutex_unlock(&c->lock);
    for (struct base *next; dropped; dropped = next) {
        next = dropped->next_in_slot;
        base_unref(dropped);
    }
}

void base_cache_free(struct base_cache *c)
{
    if (!c)
        return;
    while (c->oldest)
        base_unref(take_oldest(c));
    pthread_mutex_destroy(&c->lock);
    free(c);
}
