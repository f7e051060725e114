/* A Git repository. Everything that onwardfs knows of Git goes through the headers of this folder;
 * nothing outside includes <git2.h>, and no libgit2 code or handle crosses these headers.
 *
 * Calling sequence: repo_open(); then the functions of object.h (trees, blobs), revision.h
 * (commits), refs.h, history.h, merge.h, diff.h and watch.h, from any thread; repo_free() last.
 *
 * Threads: all functions may be called from any thread at once. Objects are read without a common
 * lock; what needs libgit2 borrows a handle from a pool inside (a handle is used by one thread at a
 * time). So readers do not wait for each other or for a writer, but for one thing: those of one
 * object that is not in memory wait for the first of them to load it.
 *
 * Errors: 0 or -errno. -ENOENT: no such object, path, name; -EIO: an object is corrupt, missing or
 * cannot be read (counted in METRIC_OBJECT_ERRORS and logged once per object); -EAGAIN: a ref was
 * moved by someone else (compare-and-swap lost); -EINVAL: a name or object that Git does not allow;
 * -ENOSPC, -EROFS, -EACCES as they come. libgit2's words go into `reterr`.
 *
 * Durability: what the writing functions acknowledge has been fsynced (objects, refs and their
 * directories). What they write is read back through the same code that readers use. */
#ifndef ONWARD_REPO_REPO_H
#define ONWARD_REPO_REPO_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/diag.h"

struct repo;

/* Opens the repository at `path`: bare, with a work tree, or a linked worktree; no search in parent
 * directories. Fails with one line that says what to do for: not there, not a repository, another
 * owner (safe.directory), SHA-256 or another unsupported extension (named). -ENOENT -EACCES
 * -EOPNOTSUPP -EINVAL -EIO. */
int repo_open(const char *path, struct repo **ret, struct diag *reterr);
void repo_free(struct repo *repo);
DEFINE_CLEANUP(struct repo *, repo_free)

/* Absolute, without a slash at the end. `git_dir` is that of this (work)tree (HEAD is in it),
 * `common_dir` holds refs and objects; the same unless it is a linked worktree. Borrowed. */
const char *repo_git_dir(const struct repo *repo);
const char *repo_common_dir(const struct repo *repo);

/* Bounds the memory of all caches of objects together, in bytes (default REPO_CACHE): a quarter is
 * for trees, a quarter for blobs, and half for the bases of deltas in packs. Blobs larger than a
 * 64th (but at most 8 MiB) are never in memory as a whole to be read by blob_read(), see object.h,
 * but where nothing can be unpacked to a file: then those up to an eighth are.
 * What may come on top: what readers have in hand at the moment, and one tree that is larger than
 * its quarter (a directory of half a million files), for it would otherwise be parsed anew for each
 * name. Before the first question. */
#define REPO_CACHE (UINT64_C(64) << 20)
void repo_cache_limit(struct repo *repo, uint64_t bytes);
/* The directory in which large blobs are unpacked to files without names (default: TMPDIR, or
 * /var/tmp, which also stands in when that one fails): up to 4 GiB, or the last one if that is
 * larger. Before the first question. */
void repo_spool_in(struct repo *repo, const char *dir);

/* Something that was found to be wrong with the repository's files; each is told once. All are
 * borrowed for the call. */
struct repo_fault {
    const char *event;  /* "bad-object", "bad-pack" */
    const char *id;     /* of the object; NULL: a pack */
    const char *reason; /* names the files */
};
typedef void repo_fault_fn(const struct repo_fault *fault, void *arg);
/* Has `fault` called from any thread, also for what was found before; NULL ends it. It must not ask
 * the repository. */
void repo_on_fault(struct repo *repo, repo_fault_fn *fault, void *arg);

#endif
