/* A cache of immutable objects by id: shared, counted, bounded by bytes, least recently used out
 * first. The newest object stays even when it alone is larger than the budget: otherwise a large
 * file that is read piece by piece would be inflated anew for each piece. Misses of one object at
 * the same time are one load: the others wait for it. Thread-safe. Inside src/repo only. */
#ifndef ONWARD_REPO_CACHE_H
#define ONWARD_REPO_CACHE_H

#include <stdatomic.h>
#include <stddef.h>

#include "repo/oid.h"

/* The head of every cached object. Whoever makes one sets oid, bytes and destroy. */
struct cached {
    struct oid oid;
    size_t bytes;
    void (*destroy)(struct cached *c);
    atomic_uint refs; /* the cache itself holds one while it is in it */
    struct cached *next_in_slot, *newer, *older;
};

struct cache;

struct cache *cache_new(size_t budget);
/* Objects that are still referred to live on. */
void cache_free(struct cache *c);

/* The object, with a reference for the caller; or NULL, and then the caller must load it and call
 * cache_finish(). Waits while another thread loads the same. */
struct cached *cache_begin(struct cache *c, const struct oid *oid);
/* Ends the load of `oid`: with the object (whose first reference is the caller's), or NULL if it
 * failed. */
void cache_finish(struct cache *c, const struct oid *oid, struct cached *loaded);

void cached_unref(struct cached *o);

#endif
