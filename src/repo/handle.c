#include "repo/handle.h"

#include <errno.h>
#include <git2/sys/repository.h>

#include "base/alloc.h"
#include "repo/faults.h"
#include "repo/giterr.h"
#include "repo/odb.h"

static void handle_free(struct handle *h)
{
    git_odb_free(h->odb);
    git_repository_free(h->git);
    free(h);
}
DEFINE_CLEANUP(struct handle *, handle_free)

static int handle_open(struct repo *repo, struct handle **ret, struct diag *reterr)
{
    _cleanup_(handle_freep) struct handle *h = NEW(struct handle);
    int code = git_repository_open_ext(&h->git, repo->path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);

    if (code < 0)
        return giterr_fail(code, reterr, "cannot open %s", repo->path);
    code = odb_new(repo, &h->odb);
    if (code == 0)
        code = git_repository_set_odb(h->git, h->odb);
    if (code < 0)
        return giterr_fail(code, reterr, "cannot open %s", repo->objects_dir);
    h->repo = repo;
    *ret = TAKE(h);
    return 0;
}

int handle_borrow(struct repo *repo, struct handle **ret, struct diag *reterr)
{
    pthread_mutex_lock(&repo->idle_lock);
    struct handle *h = repo->idle;
    if (h)
        repo->idle = h->next;
    pthread_mutex_unlock(&repo->idle_lock);
    if (h) {
        *ret = h;
        return 0;
    }
    int r = handle_open(repo, ret, reterr);
    /* A repository that was there and cannot be opened now is not "no such object". */
    return r == -ENOENT ? -EIO : r;
}

void handle_give_back(struct handle *h)
{
    struct repo *repo = h->repo;

    pthread_mutex_lock(&repo->idle_lock);
    h->next = repo->idle;
    repo->idle = h;
    pthread_mutex_unlock(&repo->idle_lock);
}

void handle_close_all(struct repo *repo)
{
    while (repo->idle) {
        struct handle *h = repo->idle;
        repo->idle = h->next;
        handle_free(h);
    }
}

int repo_object_bad(struct repo *repo, const struct oid *oid, const char *why)
{
    faults_object(repo->faults, oid, why);
    return -EIO;
}
