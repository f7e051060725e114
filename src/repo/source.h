/* Where objects are read from, whoever wants them: the one way by which bytes of the repository's
 * objects come into memory. libgit2 has it too, as its only backend (odb.h): of what it would read
 * itself, a loose object that lies about its size makes it write beyond its buffer, a torn one
 * holds it for ever, and an index with a wrong offset crashes it. Asked in this order:
 *
 *   1. what is only looked at and not stored (scratches.h), if there is any at the moment;
 *   2. packs (packs.h): most objects of most repositories;
 *   3. loose objects (loose.h): what was written a moment ago;
 *   4. packs again, since `git repack` may have moved it there meanwhile.
 *
 * What comes back has been verified against its id. A copy that is broken counts as not there: the
 * next in order may be a whole one. Only when none is it is -EIO, said once with the files that
 * have a broken one, and counted (repo_object_bad).
 *
 * Headers are not verified, which would cost reading everything: a size may be wrong for an object
 * that then cannot be read. Sizes are bounded by what the file can hold.
 *
 * Thread-safe; readers share no lock. Inside src/repo only. */
#ifndef ONWARD_REPO_SOURCE_H
#define ONWARD_REPO_SOURCE_H

#include <git2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/oid.h"
#include "repo/unpacked.h"

/* A commit or tag that is larger is refused unread. */
#define COMMIT_MOST (UINT64_C(64) << 20)

struct repo;
struct source;

/* `bases`: bytes for the cache of delta bases. */
struct source *source_new(struct repo *repo, size_t bases);
void source_free(struct source *s);
DEFINE_CLEANUP(struct source *, source_free)

/* Type and size of an object, from its header, as cheaply as can be. `ret_type` may be NULL, which
 * is cheaper still. -ENOENT -EIO -ENOMEM. */
int source_header(struct source *s, const struct oid *oid, git_object_t *ret_type,
                  uint64_t *ret_size);
/* The object, of any type; the caller gives it back with unpacked_done(). -EFBIG: it is larger than
 * `most`, or a delta to something larger; -ENOENT -EIO -ENOMEM. */
int source_read(struct source *s, const struct oid *oid, uint64_t most, struct unpacked *ret);
/* Adds the words for an object that cannot be read: "missing", or "broken …" with its files. */
void source_explain(struct source *s, const struct oid *oid, struct buf *out);
/* Whether the object is stored, and whole: 0. It is read. */
int source_verify(struct source *s, const struct oid *oid);
/* Writes the object's content to the empty file `fd` in bounded memory; `dir` is for what else must
 * be unpacked meanwhile. The file is verified when this returns. -ENOENT -EIO
 * -ENOMEM; -ENOSPC … of the file as they come. */
int source_spill(struct source *s, const struct oid *oid, const char *dir, int fd,
                 git_object_t *ret_type, uint64_t *ret_size);

/* The object whose id begins with these digits, `n` of them, 2 to 40. -ENOENT: there is none, or
 * there are several. */
int source_find(struct source *s, const char *prefix, size_t n, struct oid *ret);

/* The commit that an object is or, as a tag, leads to; zero if it is or leads to something else. */
struct oid source_peel(struct source *s, const struct oid *start);

#endif
