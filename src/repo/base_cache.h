/* Objects that deltas were made from, by where they are: the base of one is often the base of the
 * next. Bounded by bytes, least recently used out first. Immutable and counted: one that is dropped
 * lives on while it is used.
 * Thread-safe: one lock, held for a look-up at most, which is nothing beside what it saves. Inside
 * src/repo only. */
#ifndef ONWARD_REPO_BASE_CACHE_H
#define ONWARD_REPO_BASE_CACHE_H

#include <git2.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct base {
    atomic_uint refs;
    git_object_t type;
    size_t size;
    uint64_t serial, at; /* the pack and the offset in it */
    struct base *next_in_slot, *newer, *older;
    unsigned char data[];
};

struct base_cache;

struct base_cache *base_cache_new(size_t budget);
/* Bases that are still referred to live on. */
void base_cache_free(struct base_cache *c);

/* A base of `size` bytes that the caller fills, with one reference; NULL when there is no memory.
 */
struct base *base_new(git_object_t type, size_t size);
void base_unref(struct base *b);
DEFINE_CLEANUP(struct base *, base_unref)

/* The object at that place, with a reference for the caller, or NULL. */
struct base *base_cache_get(struct base_cache *c, uint64_t serial, uint64_t at);
/* Keeps `b`, which is complete and not in a cache, for that place, unless there is one or it is too
 * large. The caller keeps its own reference. */
void base_cache_put(struct base_cache *c, uint64_t serial, uint64_t at, struct base *b);

#endif
