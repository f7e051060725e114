#include "repo/odb.h"

#include <errno.h>
#include <git2/sys/odb_backend.h>
#include <git2/sys/repository.h>
#include <string.h>

#include "base/alloc.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/loose_writer.h"
#include "repo/source.h"

struct backend {
    git_odb_backend parent;
    git_odb_backend *writer; /* libgit2's, of loose objects */
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

/* "Is it there already?", asked before a write. A broken object is as good as none: it is written
 * anew over it. */
static int backend_freshen(git_odb_backend *parent, const git_oid *oid)
{
    struct repo *repo = backend_of(parent)->repo;
    struct oid ours = oid_from_git(oid);
    bool there = loose_freshen(repo->objects_dir, &ours, false) > 0 ||
                 source_freshen(repo->source, &ours, false) == 0;

    return there ? 0 : GIT_ENOTFOUND;
}

static int backend_write(git_odb_backend *parent, const git_oid *oid, const void *data, size_t len,
                         git_object_t type)
{
    git_odb_backend *writer = backend_of(parent)->writer;

    return writer->write(writer, oid, data, len, type);
}

static int backend_writestream(git_odb_stream **stream, git_odb_backend *parent,
                               git_object_size_t size, git_object_t type)
{
    git_odb_backend *writer = backend_of(parent)->writer;

    return writer->writestream(stream, writer, size, type);
}

static void backend_free(git_odb_backend *parent)
{
    struct backend *b = backend_of(parent);

    b->writer->free(b->writer);
    free(b);
}

static int backend_new(struct repo *repo, git_odb *odb, git_odb_backend **ret)
{
    git_odb_backend *writer;
    int code = git_odb_backend_loose(&writer, repo->objects_dir, -1, 1, 0, 0);

    if (code < 0)
        return code;
    struct backend *b = NEW(struct backend);
    writer->odb = odb; /* its streams find the database by it */
    b->writer = writer;
    b->repo = repo;
    b->parent = (git_odb_backend){
        .version = GIT_ODB_BACKEND_VERSION,
        .read = backend_read,
        .read_header = backend_read_header,
        .exists = backend_exists,
        .freshen = backend_freshen,
        .write = backend_write,
        .writestream = backend_writestream,
        .free = backend_free,
    };
    *ret = &b->parent;
    return 0;
}

int odb_new(struct repo *repo, git_odb **ret)
{
    git_odb_backend *backend;
    git_odb *odb;
    int code = git_odb_new(&odb);

    if (code < 0)
        return code;
    code = backend_new(repo, odb, &backend);
    if (code == 0 && (code = git_odb_add_backend(odb, backend, 1)) < 0)
        backend->free(backend);
    if (code < 0)
        git_odb_free(odb);
    else
        *ret = odb;
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
