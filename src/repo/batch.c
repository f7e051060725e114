#include "repo/batch.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/loose.h"
#include "repo/object_write.h"
#include "repo/oidset.h"
#include "repo/pack_large.h"
#include "repo/source.h"

struct batch {
    struct sink sink;
    struct repo *repo;
    struct oidset put; /* in `writer`, or in a pack that is kept */
    struct pack_writer *writer;
    VEC(struct oid) small, large; /* what is in `writer` */
    VEC(struct pack_keep) keeps;
};

/* What was put and not stored. */
static void forget(struct batch *b)
{
    pack_writer_free(TAKE(b->writer));
    b->small.n = b->large.n = 0;
    oidset_done(&b->put);
}

/* ---- putting ---- */

/* True if it is to be added, to `writer`. */
static int begin(struct batch *b, const struct oid *oid, struct diag *reterr)
{
    if (oidset_has(&b->put, oid))
        return false;
    int r = b->writer ? 0 : pack_writer_new(b->repo->objects_dir, &b->writer, reterr);
    return r < 0 ? r : true;
}

static int end(struct batch *b, int r, const struct oid *oid, struct oid *ret)
{
    if (r == 0)
        *ret = *oid;
    else
        forget(b);
    return r;
}

/* The id is libgit2's, which looks for known attacks on SHA-1, as git does. */
static int put(struct sink *sink, enum sink_type type, const void *data, size_t len,
               struct oid *ret, struct diag *reterr)
{
    struct batch *b = container_of(sink, struct batch, sink);
    git_object_t git_type = sink_git_type(type);
    git_oid git;
    int code = git_odb_hash(&git, data, len, git_type);

    if (code < 0)
        return giterr_fail(code, reterr, "cannot name an object");
    struct oid oid = oid_from_git(&git);
    int r = begin(b, &oid, reterr);
    if (r > 0) {
        oidset_add(&b->put, &oid);
        *VEC_ADD(&b->small) = oid;
        r = pack_writer_add(b->writer, &oid, git_type, data, len, reterr);
    }
    return end(b, r, &oid, ret);
}

static int put_fd(struct sink *sink, int fd, uint64_t size, struct oid *ret, struct diag *reterr)
{
    struct batch *b = container_of(sink, struct batch, sink);
    struct oid oid;
    int r = pack_large_name(fd, size, &oid, reterr);

    if (r == 0)
        r = begin(b, &oid, reterr);
    if (r > 0) {
        oidset_add(&b->put, &oid);
        *VEC_ADD(&b->large) = oid;
        r = pack_large_add(b->writer, &oid, fd, size, reterr);
    }
    return end(b, r, &oid, ret);
}

static const struct sink_ops ops = {put, put_fd};

struct batch *batch_new(struct repo *repo)
{
    struct batch *b = NEW(struct batch);

    b->sink.ops = &ops;
    b->repo = repo;
    return b;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    forget(b);
    free(b->small.v);
    free(b->large.v);
    vec_foreach (keep, &b->keeps)
        pack_keep_drop(keep);
    free(b->keeps.v);
    free(b);
}

struct sink *batch_sink(struct batch *b)
{
    return &b->sink;
}

struct repo *batch_repo(const struct batch *b)
{
    return b->repo;
}

/* ---- storing ---- */

/* Reads it where readers find it: a large one's header, as pack_large.h has seen the rest. */
static int read_back(struct batch *b, const struct oid *oid, bool large, struct diag *reterr)
{
    char hex[OID_HEX + 1];
    git_object_t type;
    uint64_t size;
    int r = large ? source_header(b->repo->source, oid, &type, &size)
                  : source_verify(b->repo->source, oid);

    if (r == 0) {
        loose_remove_broken(b->repo->objects_dir, oid);
        return 0;
    }
    return diag_fail(reterr, r == -ENOMEM ? r : -EIO,
                     "object %s cannot be read back after it was written: %s", oid_hex(oid, hex),
                     strerrordesc_np(-r));
}

int batch_store(struct batch *b, struct diag *reterr)
{
    struct pack_keep keep;

    if (!b->writer)
        return 0;
    int r = pack_writer_finish(b->writer, &keep, reterr);
    pack_writer_free(TAKE(b->writer));
    if (r == 0)
        *VEC_ADD(&b->keeps) = keep;
    for (size_t i = 0; r == 0 && i < b->small.n; i++)
        r = read_back(b, &b->small.v[i], false, reterr);
    for (size_t i = 0; r == 0 && i < b->large.n; i++)
        r = read_back(b, &b->large.v[i], true, reterr);
    b->small.n = b->large.n = 0;
    if (r < 0)
        forget(b);
    return r;
}

void batch_tidy(struct repo *repo)
{
    pack_keep_tidy(repo->objects_dir);
}
