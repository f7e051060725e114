#include "repo/odb.h"

#include <errno.h>
#include <git2/sys/odb_backend.h>
#include <git2/sys/repository.h>
#include <string.h>

#include "base/alloc.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/source.h"

struct backend {
    git_odb_backend parent;
    struct repo *repo;
};

static struct backend *backend_of(git_odb_backend *parent)
{
    return container_of(parent, struct backend, parent);
}

/* Our -errno as libgit2's code, with words that giterr_errno() knows. */
static int to_git(int r)
{
    if (r == -ENOENT)
        return GIT_ENOTFOUND;
    if (r == -ENOMEM)
        git_error_set_oom();
    else
        git_error_set_str(GIT_ERROR_ODB, strerrordesc_np(-r));
    return GIT_ERROR;
}

static int backend_read(void **data, size_t *len, git_object_t *type, git_odb_backend *parent,
                        const git_oid *oid)
{
    _cleanup_(unpacked_done) struct unpacked o = {0};
    struct oid ours = oid_from_git(oid);
    int r = source_read(backend_of(parent)->repo->source, &ours, SIZE_MAX, &o);

    if (r < 0)
        return to_git(r);
    *data = git_odb_backend_data_alloc(parent, o.size + 1);
    if (!*data)
        return GIT_ERROR;
    memcpy(*data, o.data, o.size + 1);
    *len = o.size;
    *type = o.type;
    return 0;
}

static int backend_read_header(size_t *len, git_object_t *type, git_odb_backend *parent,
                               const git_oid *oid)
{
    struct oid ours = oid_from_git(oid);
    uint64_t size;
    int r = source_header(backend_of(parent)->repo->source, &ours, type, &size);

    if (r < 0)
        return to_git(r);
    *len = size;
    return 0;
}

static int backend_exists(git_odb_backend *parent, const git_oid *oid)
{
    git_object_t type;
    size_t len;

    return backend_read_header(&len, &type, parent, oid) == 0;
}

static void backend_free(git_odb_backend *parent)
{
    free(backend_of(parent));
}

static git_odb_backend *backend_new(struct repo *repo)
{
    struct backend *b = NEW(struct backend);

    b->repo = repo;
    b->parent = (git_odb_backend){
        .version = GIT_ODB_BACKEND_VERSION,
        .read = backend_read,
        .read_header = backend_read_header,
        .exists = backend_exists,
        .free = backend_free,
    };
    return &b->parent;
}

int odb_new(struct repo *repo, git_odb **ret)
{
    git_odb *odb;
    int code = git_odb_new(&odb);

    if (code < 0)
        return code;
    git_odb_backend *backend = backend_new(repo);
    code = git_odb_add_backend(odb, backend, 1);
    if (code < 0) {
        backend->free(backend);
        git_odb_free(odb);
    } else {
        *ret = odb;
    }
    return code;
}

int odb_give(struct repo *repo, git_repository *git)
{
    git_odb *odb;
    int code = odb_new(repo, &odb);

    if (code < 0)
        return code;
    code = git_repository_set_odb(git, odb);
    git_odb_free(odb);
    return code;
}
