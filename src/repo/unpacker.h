/* Makes objects of pack entries, deltas included. An object that is a delta is the end of a chain:
 * walked from the object down to one that is whole, or to a base that is in the cache; then made
 * again from there up. A chain may lead from pack to pack.
 *
 * An unpacker belongs to one thread at a time, the cache of bases is everybody's. Inside src/repo
 * only. */
#ifndef ONWARD_REPO_UNPACKER_H
#define ONWARD_REPO_UNPACKER_H

#include <git2.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "repo/base_cache.h"
#include "repo/inflater.h"
#include "repo/pack_list.h"
#include "repo/unpacked.h"

/* Where an object is. */
struct place {
    struct pack *pack;
    uint64_t at;
};

/* A delta that is to be applied. */
struct chain_link {
    struct pack *pack;
    struct pack_entry entry;
    const unsigned char *held; /* inflated already, in `held`; NULL: it is not */
};

struct unpacker {
    struct pack_list *list; /* the packs; a reference while it is at work */
    struct base_cache *bases;
    struct inflater inflater;
    VEC(struct chain_link) chain; /* the object first; the last is made of what `root` says */
    struct chain_link root;       /* an entry that is whole, … */
    struct base *cached;          /* … unless this is it already: a reference */
    unsigned char *delta;         /* where deltas are inflated to */
    size_t delta_cap;
    unsigned char *held; /* small deltas of the chain, inflated while the walk had their bytes */
    size_t held_len;
    struct unpacker *next; /* of those that have nothing to do */
};

struct unpacker *unpacker_new(struct base_cache *bases);
void unpacker_free(struct unpacker *u);
/* Ends a piece of work: lets go of the list, keeps buffers of usual size. */
void unpacker_reset(struct unpacker *u);

/* Each of these: -EBADMSG: not right, or nothing that this can read; -ENOMEM. */

/* Walks the chain of the object: sets `chain`, `root` and `cached`. `want`: how much to read of an
 * entry whose header is wanted. */
int unpacker_walk(struct unpacker *u, struct place place, size_t want);
/* `ret_type` as packs_header(). */
int unpacker_header(struct unpacker *u, struct place place, git_object_t *ret_type,
                    uint64_t *ret_size);
/* The object, which is the caller's. -EFBIG: it, or one that it is made from, is larger than
 * `most`. */
int unpacker_read(struct unpacker *u, struct place place, uint64_t most, struct unpacked *ret);

#endif
