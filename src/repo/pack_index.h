/* The index of a pack (.idx, version 1 or 2): where in the pack an object is. Read with pread(2), a
 * probe for a look-up: ids are spread evenly, so a guess lands close. Mapping it would save two
 * microseconds, count what is touched as this process' memory (all of it, soon: 48 MB for 1.7
 * million objects), and die of a file that is cut short.
 *
 * Checked when opened: version, a fan-out that never falls, a size that fits the count. Each offset
 * is checked when it is used, so that a broken one makes nothing worse than objects that cannot be
 * found or have another content than their id says. pack_index_check() tells whether it is broken:
 * it reads all of it, and is for when that has been seen. Thread-safe. Inside src/repo only. */
#ifndef ONWARD_REPO_PACK_INDEX_H
#define ONWARD_REPO_PACK_INDEX_H

#include <stdint.h>

#include "base/diag.h"
#include "repo/oid.h"
#include "repo/pack_file.h"

/* Indexes up to this size are worth keeping in memory. */
#define PACK_INDEX_SMALL (128 << 10)

struct pack_index {
    struct pack_file file;
    unsigned char *held;  /* the whole file, when it is small; the file is at rest then */
    unsigned version;     /* 1 or 2 */
    uint32_t fanout[256]; /* [b]: objects whose first byte is at most b */
    uint32_t count;       /* objects */
    uint32_t large;       /* offsets of 64 bits */
};

/* Holds it in memory if it is not larger than `small`. -errno of the file; -EBADMSG: not an index
 * that this can read. On failure, nothing is to be done. */
int pack_index_open(struct pack_index *ix, const char *path, size_t small, struct diag *reterr);
void pack_index_done(struct pack_index *ix);

/* The offset of an object in the pack, which is not checked against the pack. -ENOENT: not in it;
 * -EBADMSG: broken; -errno of the file. */
int pack_index_find(const struct pack_index *ix, const struct oid *oid, uint64_t *ret);
/* The first two ids that are not less than `least`; fewer at the end. Returns how many, or as
 * pack_index_find(). */
int pack_index_from(const struct pack_index *ix, const struct oid *least, struct oid ret[2]);
/* The checksum of the pack that the index was made for. */
int pack_index_pack_checksum(const struct pack_index *ix, struct oid *ret);
/* Reads all of it: its checksum, ids that rise and are where the fan-out says, offsets inside of a
 * pack whose entries end at `end`. -EBADMSG: broken; -errno of the file. */
int pack_index_check(const struct pack_index *ix, uint64_t end, struct diag *reterr);

#endif
