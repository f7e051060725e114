/* Packs, read by us: the objects in the packs of one object directory and of its alternates, found
 * by their indexes, unpacked with libdeflate, deltas resolved over a cache of bases. Faster than
 * libgit2 where history is read, from many threads at once without a common lock, and able to
 * unpack an object that is larger than memory to a file.
 *
 * It answers what it is sure of. What is unusual (an index of another version, a pack that it
 * cannot read, an object that does not come out right) is "not found" here, and the caller asks
 * libgit2 (source.h). Content is not verified against the id here either: that is the caller's.
 * Nothing that a pack holds can make it read or write out of bounds, loop, or take more memory than
 * the sizes allow that the caller has been told.
 *
 * Packs come and go (git repack): a miss looks again whether the directories have changed, a pack
 * that is gone stays readable while somebody reads it. Thread-safe. Inside src/repo only. */
#ifndef ONWARD_REPO_PACKS_H
#define ONWARD_REPO_PACKS_H

#include <git2.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "repo/oid.h"

struct packs;

/* `bases`: bytes for the cache of delta bases. Never fails: what cannot be opened is left out. */
struct packs *packs_new(const char *objects_dir, size_t bases);
void packs_free(struct packs *p);
DEFINE_CLEANUP(struct packs *, packs_free)

/* Type and size of an object, from its header. -ENOENT: ask elsewhere. */
int packs_header(struct packs *p, const struct oid *oid, git_object_t *ret_type,
                 uint64_t *ret_size);
/* The object; `*ret` is malloc'ed, with a NUL behind `*ret_size` bytes. -ENOENT: ask elsewhere;
 * -EFBIG: larger than `most`; -ENOMEM. */
int packs_read(struct packs *p, const struct oid *oid, uint64_t most, git_object_t *ret_type,
               void **ret, size_t *ret_size);
/* Writes the object's content to the file `fd`, from 0, in bounded memory: the pages of deltas'
 * bases are those of files in `dir`. -ENOENT: ask elsewhere; -ENOSPC, -EIO … of the file. */
int packs_spill(struct packs *p, const struct oid *oid, const char *dir, int fd,
                git_object_t *ret_type, uint64_t *ret_size);

#endif
