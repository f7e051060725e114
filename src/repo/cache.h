/* A cache of immutable objects by id: shared, counted, bounded, least recently used out first.
 * Misses of one object at the same time are one load: the others wait for it, and only those.
 * Thread-safe. Inside src/repo only. */
#ifndef ONWARD_REPO_CACHE_H
#define ONWARD_REPO_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/oid.h"

/* The head of every cached object. Whoever makes one sets oid, bytes and destroy. */
struct cached {
    struct oid oid;
    uint64_t bytes;
    void (*destroy)(struct cached *c);
    atomic_uint refs; /* the cache itself holds one while it is in it */
    struct cached *next_in_slot, *newer, *older;
};

struct cache_bounds {
    uint64_t bytes;
    size_t number; /* of objects; 0: any */
    /* The newest object stays even when it is larger than all that is allowed; without it such an
     * object is not kept. For what is asked in pieces and costs much to load: without it each piece
     * would load it anew. */
    bool newest_stays;
    bool in_memory; /* its bytes count in METRIC_OBJECT_CACHE */
};

struct cache;

struct cache *cache_new(const struct cache_bounds *bounds);
/* Objects that are still referred to live on. */
void cache_free(struct cache *c);
/* Other bounds from now on; `in_memory` must be as it was. */
void cache_rebound(struct cache *c, const struct cache_bounds *bounds);
/* Drops all objects. */
void cache_clear(struct cache *c);

/* The object, with a reference for the caller, if it is there. */
struct cached *cache_get(struct cache *c, const struct oid *oid);
/* The same; but NULL says that the caller must load it and call cache_finish(). Waits while another
 * thread loads the same. */
struct cached *cache_begin(struct cache *c, const struct oid *oid);
/* Ends the load of `oid`: with the object (whose first reference is the caller's), or NULL if it
 * failed. */
void cache_finish(struct cache *c, const struct oid *oid, struct cached *loaded);

void cached_unref(struct cached *o);

#endif
