/* The index of a pack (.idx, version 2): where in the pack an object is. Read with pread(2), a
 * probe for a look-up: ids are spread evenly, so a guess lands close. Mapping it would save two
 * microseconds, count what is touched as this process' memory (all of it, soon: 48 MB for 1.7
 * million objects), and die of a file that is cut short.
 *
 * Checked when opened: version, a fan-out that never falls, a size that fits the count. Each offset
 * is checked when it is used. Thread-safe. Inside src/repo only. */
#ifndef ONWARD_REPO_PACK_INDEX_H
#define ONWARD_REPO_PACK_INDEX_H

#include <stdint.h>
#include <sys/stat.h>

#include "repo/oid.h"

struct pack_index {
    int fd;               /* -1 when `held` */
    unsigned char *held;  /* the whole file, when it is small */
    uint64_t size;        /* of the file */
    uint32_t fanout[256]; /* [b]: objects whose first byte is at most b */
    uint32_t count;       /* objects */
    uint32_t large;       /* offsets of 64 bits */
    dev_t dev;            /* what tells it from another file of the same name */
    ino_t ino;
    struct timespec mtime;
};

/* -errno of the file; -EBADMSG: not an index that this can read. On failure, nothing is to be
 * done. */
int pack_index_open(struct pack_index *ix, const char *path);
void pack_index_done(struct pack_index *ix);
/* Whether the file with this status is the one that was opened. */
bool pack_index_is(const struct pack_index *ix, const struct stat *st);

/* The offset of an object in the pack, which is not checked against the pack. -ENOENT: not in it;
 * -EBADMSG: broken. */
int pack_index_find(const struct pack_index *ix, const struct oid *oid, uint64_t *ret);
/* The checksum of the pack that the index was made for. */
int pack_index_pack_checksum(const struct pack_index *ix, struct oid *ret);

#endif
