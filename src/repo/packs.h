/* Packs, read by us: the objects in the packs of one object directory and of its alternates, found
 * by their indexes, unpacked with libdeflate, deltas resolved over a cache of bases. Faster than
 * libgit2, from many threads at once (locks are held to find things, never to read or unpack), and
 * able to unpack an object that is larger than memory to a file.
 *
 * It answers what it is sure of. What is unusual (an index of another version, a pack that it
 * cannot read, the 201st pack, an object that does not come out right) is "not found" here, and the
 * caller asks libgit2 (source.h). Content is not verified against the id here either: that is the
 * caller's. Nothing that a pack holds can make it read or write out of bounds, loop, or take more
 * memory than the sizes allow that the caller has been told.
 *
 * Packs come and go (git repack): a miss looks whether the directories have changed, which costs a
 * stat for each, and so does a hit now and then; a pack that is gone stays readable while somebody
 * reads it and until that look. Thread-safe. Inside src/repo only.
 *
 *     packs         the public face: which packs there are, who works
 *     pack_list     the packs at one time; immutable, counted
 *     pack          one pack: its entries       pack_index   where in it an object is
 *     unpacker      one object, by its chain of deltas: inflater, pack_delta, base_cache
 *     pack_spill    the same into a file */
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

/* Type and size of an object, from its header. `ret_type` may be NULL: what a delta is, is known
 * only at the end of its chain, and its size is not worth the way there. -ENOENT: ask elsewhere. */
int packs_header(struct packs *p, const struct oid *oid, git_object_t *ret_type,
                 uint64_t *ret_size);
/* The object; `*ret` is malloc'ed, with a NUL behind `*ret_size` bytes. -ENOENT: ask elsewhere;
 * -EFBIG: it, or an object that it is made from, is larger than `most`; -ENOMEM. Meanwhile it takes
 * memory for four such objects at most. */
int packs_read(struct packs *p, const struct oid *oid, uint64_t most, git_object_t *ret_type,
               void **ret, size_t *ret_size);
/* Makes the pack that has the object durable, and sets its time, so that `git gc` takes it for one
 * that is in use. Negative: none of the packs that were seen last has it, or that one is gone, or
 * not ours. */
int packs_freshen(struct packs *p, const struct oid *oid);
/* Writes the object's content to the file `fd`, from 0, in bounded memory: the pages of deltas'
 * bases are those of files in `dir`. -ENOENT: ask elsewhere; -ENOSPC, -EIO … of the file. */
int packs_spill(struct packs *p, const struct oid *oid, const char *dir, int fd,
                git_object_t *ret_type, uint64_t *ret_size);

#endif
