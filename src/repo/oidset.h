/* A set of object ids. Zero is a valid empty set. Not thread-safe. Inside src/repo only. */
#ifndef ONWARD_REPO_OIDSET_H
#define ONWARD_REPO_OIDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/oid.h"

struct oidset {
    struct oid *slots; /* the zero id marks a free one, and can therefore not be a member */
    size_t nslots;     /* a power of two */
    size_t n;
};

/* Ids are the output of a hash already: their first bytes serve as one. */
static inline size_t oid_slot(const struct oid *oid, size_t nslots)
{
    uint64_t h;
    memcpy(&h, oid->id, sizeof(h));
    return h & (nslots - 1);
}

void oidset_done(struct oidset *s);
/* True if it was not in the set before. */
bool oidset_add(struct oidset *s, const struct oid *oid);
bool oidset_has(const struct oidset *s, const struct oid *oid);

#endif
