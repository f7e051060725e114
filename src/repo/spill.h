/* Large blobs, unpacked to files without names: each once, verified as a whole before its first
 * byte is given, then read at any offset like a file. Memory stays bounded whatever the size of the
 * blob, and reading one piece costs one piece.
 *
 * The files are those of the last blobs read: at most SPILL_NUMBER of them and SPILL_BYTES of disk
 * in all; the last one stays whatever its size, and those being written come on top. When the disk
 * is full, all that nobody reads at the moment are given up and the one that is wanted is tried
 * again; then in TMPDIR or /var/tmp, which may be on another disk. They are gone with the process,
 * however it ends.
 *
 * Readers of one blob wait while it is unpacked, others do not. Thread-safe. Inside src/repo only.
 */
#ifndef ONWARD_REPO_SPILL_H
#define ONWARD_REPO_SPILL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "repo/oid.h"

#define SPILL_BYTES  (UINT64_C(4) << 30)
#define SPILL_NUMBER 64

struct repo;
struct spill;

/* The files go to TMPDIR or /var/tmp. */
struct spill *spill_new(struct repo *repo);
void spill_free(struct spill *s);
DEFINE_CLEANUP(struct spill *, spill_free)
/* Where they go; borrowed. */
const char *spill_dir(const struct spill *s);
/* From now on they go to `dir`. Not while others use it. */
void spill_in(struct spill *s, const char *dir);

/* Up to `size` bytes of the blob from `off` on, if it is unpacked; -ENOENT if it is not. */
ssize_t spill_peek(struct spill *s, const struct oid *oid, void *buf, size_t size, uint64_t off);
/* The same, and unpacks it first if need be. -EIO -ENOMEM; -ENOSPC: there is no place for the file,
 * which the log says; -ENOENT: there is no such blob. */
ssize_t spill_read(struct spill *s, const struct oid *oid, void *buf, size_t size, uint64_t off);

#endif
