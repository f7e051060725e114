/* Files that are too large for memory, as blobs of a new pack: named, and deflated, in pieces. What
 * was deflated is inflated again at once and must have the name: so a file that changes under
 * this, or a fault in memory, is an error and not an object that nobody can read. Inside src/repo
 * only. */
#ifndef ONWARD_REPO_PACK_LARGE_H
#define ONWARD_REPO_PACK_LARGE_H

#include "repo/pack_writer.h"

/* The id that the `size` bytes of a file have as a blob: libgit2's, which looks for known attacks
 * on SHA-1, as git does. -EIO: it is of another size. */
int pack_large_name(int fd, uint64_t size, struct oid *ret, struct diag *reterr);
/* Adds them, of that id, to the pack, which is of no use when this fails. */
int pack_large_add(struct pack_writer *w, const struct oid *oid, int fd, uint64_t size,
                   struct diag *reterr);

#endif
