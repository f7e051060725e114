/* Packs, read by us: the objects in the packs of one object directory and of its alternates, found
 * by their indexes, unpacked with libdeflate, deltas resolved over a cache of bases. Faster than
 * libgit2, from many threads at once (locks are held to find things, never to read or unpack), and
 * able to unpack an object that is larger than memory to a file.
 *
 * Content is not verified against the id here: that is the caller's, who can ask for another copy
 * when one is no good. Nothing that a pack or an index holds can make it read or write out of
 * bounds, loop, or take more memory than the sizes allow that the caller has been told. A pack
 * whose header, index or end is not right is left out, and said (packs_on_fault); whether an index
 * is right as a whole is looked at once, when something was not found in it or did not come out
 * right (packs_suspect).
 *
 * Packs come and go (git repack): a miss looks whether the directories have changed, which costs a
 * stat for each, and so does a hit now and then; a pack that is gone stays readable while somebody
 * reads it and until that look. Thread-safe. Inside src/repo only.
 *
 *     packs         the public face: which packs there are, who works
 *     pack_list     the packs at one time; immutable, counted
 *     pack          one pack: its entries       pack_index   where in it an object is
 *     pack_file     a file of either, open or at rest
 *     unpacker      one object, by its chain of deltas: inflater, pack_delta, base_cache
 *     pack_spill    the same into a file */
#ifndef ONWARD_REPO_PACKS_H
#define ONWARD_REPO_PACKS_H

#include <git2.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "repo/oid.h"
#include "repo/unpacked.h"

struct packs;

/* `bases`: bytes for the cache of delta bases. Never fails: what cannot be opened is left out. */
struct packs *packs_new(const char *objects_dir, size_t bases);
void packs_free(struct packs *p);
DEFINE_CLEANUP(struct packs *, packs_free)

/* Who is told, once, of each pack that cannot be read, in a line that begins with its file; also of
 * those that were found so before. From any thread. Before the first question. */
void packs_on_fault(struct packs *p, void (*fault)(const char *why, void *arg), void *arg);
/* Something was missing or wrong: looks at the indexes as a whole that were not looked at yet. */
void packs_suspect(struct packs *p);
/* The path of the pack that has the copy, the caller's; NULL: none. Copies as of packs_read(). */
char *packs_where(struct packs *p, const struct oid *oid, unsigned copy);

/* Each of these: -ENOENT: not in a pack; -EBADMSG: it is, and broken there; -errno of files, as
 * -EMFILE, which say nothing of the object. */

/* Type and size of an object, from its header. `ret_type` may be NULL: what a delta is, is known
 * only at the end of its chain, and its size is not worth the way there. */
int packs_header(struct packs *p, const struct oid *oid, git_object_t *ret_type,
                 uint64_t *ret_size);

/* Which of the copies that several packs may have: 0 is the one that is found first; from 1 on all
 * of them, that one again among them, until -ENOENT. */
struct packed_copy {
    const struct oid *oid;
    unsigned number;
};

/* The object; ret->data is malloc'ed, with a NUL behind `size` bytes. -EFBIG: it, or an object that
 * it is made from, is larger than `most`; -ENOMEM. Meanwhile it takes memory for four such objects
 * at most. */
int packs_read(struct packs *p, const struct packed_copy *copy, uint64_t most,
               struct unpacked *ret);
/* Writes the object's content to the file `fd`, from 0, in bounded memory: the pages of deltas'
 * bases are those of files in `dir`. ret->data is NULL. -ENOSPC, -EIO … of the file. */
int packs_spill(struct packs *p, const struct packed_copy *copy, const char *dir, int fd,
                struct unpacked *ret);
/* The first two ids that are not less than `least` among all packs; fewer if there are no more.
 * Returns how many. */
int packs_from(struct packs *p, const struct oid *least, struct oid ret[2]);

#endif
