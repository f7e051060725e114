/* Where objects are read from, whoever wants them: the one way by which trees, blobs and commits
 * come into memory. Asked in this order:
 *
 *   1. what is only looked at and not stored (scratches.h), if there is any at the moment;
 *   2. our own reader of packs (packs.h): most objects of most repositories;
 *   3. loose objects (loose.h): what was written a moment ago;
 *   4. libgit2: whatever is unusual, and the last word on what is missing.
 *
 * What comes back has been verified against its id: by OpenSSL what the first three gave, by
 * libgit2's own check what it gave. A copy that is broken counts as not there: the next in order
 * may have a whole one. Only when none has is it -EIO, logged once and counted (repo_object_bad).
 *
 * Headers are not verified, which would cost reading everything: a size may be wrong for an object
 * that then cannot be read.
 *
 * An object that nobody has is remembered as missing for a while (missing.h). One that is being
 * packed by `git repack` meanwhile is found all the same: libgit2 looks again before it says no.
 *
 * Thread-safe; readers share no lock. Inside src/repo only. */
#ifndef ONWARD_REPO_SOURCE_H
#define ONWARD_REPO_SOURCE_H

#include <git2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "repo/oid.h"

struct repo;
struct source;

/* An object as it is stored. Zero is one that holds nothing. */
struct raw {
    git_object_t type;
    size_t size;
    void *data;            /* with a NUL behind `size` */
    git_odb_object *owner; /* of `data`; NULL: it is malloc'ed */
};

void raw_done(struct raw *raw);

/* `bases`: bytes for the cache of delta bases. */
struct source *source_new(struct repo *repo, size_t bases);
void source_free(struct source *s);
DEFINE_CLEANUP(struct source *, source_free)

/* Type and size of an object, from its header, as cheaply as can be. `ret_type` may be NULL, which
 * is cheaper still. -ENOENT -EIO -ENOMEM. */
int source_header(struct source *s, const struct oid *oid, git_object_t *ret_type,
                  uint64_t *ret_size);
/* The object, of any type; the caller gives it back with raw_done(). -EFBIG: it is larger than
 * `most`, or a delta to something larger; -ENOENT -EIO -ENOMEM. */
int source_read(struct source *s, const struct oid *oid, uint64_t most, struct raw *ret);
/* Whether the object is stored, and whole: 0. It is read. */
int source_verify(struct source *s, const struct oid *oid);
/* Whether a pack has the object, whole (`trusted`: it was found so before) and young for `git gc`
 * from now on. 0: it has. */
int source_freshen(struct source *s, const struct oid *oid, bool trusted);
/* Writes the object's content to the empty file `fd` in bounded memory (unless only libgit2 can
 * read it: in as much as it is large); `dir` is for what else must be unpacked meanwhile. The file
 * is verified when this returns. -ENOENT -EIO -ENOMEM; -ENOSPC … of the file as they come. */
int source_spill(struct source *s, const struct oid *oid, const char *dir, int fd,
                 git_object_t *ret_type, uint64_t *ret_size);

/* The commit that an object is or, as a tag, leads to; zero if it is or leads to something else. */
struct oid source_peel(struct source *s, const struct oid *start);

#endif
