/* Loose objects, read safely. libgit2 1.5 writes beyond its buffer when a loose object's header
 * lies about the size, and loops for ever on a truncated one, which is what a power failure leaves.
 * So this reads them: bounded by the header, which is bounded by the file, and to the exact end.
 *
 * Writing is libgit2's own (a temporary file, fsync, rename, fsync of the directory). An object
 * that is already there is read before it is taken for written; if it is broken, it is written anew
 * over it, so what a crash has torn heals with the next write of the same content. */
#ifndef ONWARD_REPO_LOOSE_H
#define ONWARD_REPO_LOOSE_H

#include <git2.h>
#include <git2/sys/odb_backend.h>
#include <stdint.h>

#include "repo/oid.h"

/* A backend for the objects in `objects_dir`. Returns libgit2's code. The database that it is added
 * to owns it. */
int loose_backend_new(const char *objects_dir, git_odb *odb, git_odb_backend **ret);

/* Compares the loose blob `oid` with `size` bytes of the file `fd`, in pieces. 0: the same;
 * -ENOENT: not a loose object; -EIO: broken or different. */
int loose_compare_blob(const char *objects_dir, const struct oid *oid, int fd, uint64_t size);

#endif
