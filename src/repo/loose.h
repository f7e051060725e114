/* Loose objects, read safely. libgit2 1.5 writes beyond its buffer when a loose object's header
 * lies about the size, and loops for ever on a truncated one, which is what a power failure leaves.
 * So this reads them: bounded by the header, which is bounded by the file, and to the exact end.
 *
 * Git beside us writes them, and older versions of ours did; we write packs (batch.h).
 *
 * None of these compares the content with the id, which source.h does. -ENOENT: not a loose object;
 * -EIO: broken; -errno of the file. */
#ifndef ONWARD_REPO_LOOSE_H
#define ONWARD_REPO_LOOSE_H

#include <git2.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/oid.h"

/* Type and size of an object, from its header. */
int loose_header(const char *objects_dir, const struct oid *oid, git_object_t *ret_type,
                 uint64_t *ret_size);
/* The object; `*ret` is malloc'ed, with a NUL behind `*ret_size` bytes. -EFBIG: larger than `most`;
 * -ENOMEM. */
int loose_load(const char *objects_dir, const struct oid *oid, uint64_t most,
               git_object_t *ret_type, void **ret, size_t *ret_size);
/* Writes the object's content to the file `fd`, from 0, in pieces. Errors of writing as they come.
 */
int loose_spill(const char *objects_dir, const struct oid *oid, int fd, git_object_t *ret_type,
                uint64_t *ret_size);
/* Removes it if it is broken, or not what its id says: when it is elsewhere, too. */
void loose_remove_broken(const char *objects_dir, const struct oid *oid);
/* The path of its file, the caller's; NULL: it has none. */
char *loose_where(const char *objects_dir, const struct oid *oid);
/* Up to two objects whose ids begin with the `n` digits `hex`, in lower case, n >= 2. Returns how
 * many. */
int loose_find(const char *objects_dir, const char *hex, size_t n, struct oid ret[2]);

#endif
