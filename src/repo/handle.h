/* What the other files of src/repo share: the inside of `struct repo`, and its pool of handles.
 *
 * libgit2's objects are not safe between threads, and its object database serves one reader at a
 * time. So each call borrows a handle (a git_repository with a database of its own) and gives it
 * back:
 *
 *     _cleanup_(handle_give_backp) struct handle *h = NULL;
 *     int r = handle_borrow(repo, &h, reterr);
 *     if (r < 0)
 *         return r;
 *
 * There are as many as were ever in use at once; idle ones wait in a list, the warmest first. */
#ifndef ONWARD_REPO_HANDLE_H
#define ONWARD_REPO_HANDLE_H

#include <git2.h>
#include <pthread.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "repo/cache.h"
#include "repo/oid.h"
#include "repo/repo.h"

struct faults;
struct scratches;
struct source;
struct spill;

struct handle {
    struct repo *repo;
    git_repository *git;
    git_odb *odb; /* also that of `git` */
    struct handle *next;
};

struct repo {
    char *path; /* absolute: what is opened for each handle */
    char *git_dir, *common_dir, *objects_dir;

    pthread_mutex_t idle_lock;
    struct handle *idle;

    struct faults *faults;
    struct scratches *scratches;
    struct source *source;
    struct cache *trees, *blobs;
    uint64_t blob_most; /* larger ones are read by way of `spill`, */
    uint64_t blob_held; /* or, where that has no place, up to this as smaller ones are */
    struct spill *spill;
};

int handle_borrow(struct repo *repo, struct handle **ret, struct diag *reterr);
void handle_give_back(struct handle *h);
DEFINE_CLEANUP(struct handle *, handle_give_back)
/* Closes all idle handles; none may be in use. */
void handle_close_all(struct repo *repo);

/* Says that the object cannot be read, and why, once, and counts it. Returns -EIO. */
int repo_object_bad(struct repo *repo, const struct oid *oid, const char *why);

#endif
