#include "repo/batch.h"

#include "base/alloc.h"
#include "repo/handle.h"
#include "repo/object_write.h"

struct batch {
    struct sink sink;
    struct repo *repo;
};

static int put(struct sink *sink, enum sink_type type, const void *data, size_t len,
               struct oid *ret, struct diag *reterr)
{
    struct batch *b = container_of(sink, struct batch, sink);
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    int r = handle_borrow(b->repo, &h, reterr);

    return r < 0 ? r
                 : object_write(h, data, len, type == SINK_TREE ? GIT_OBJECT_TREE : GIT_OBJECT_BLOB,
                                ret, reterr);
}

static int put_fd(struct sink *sink, int fd, uint64_t size, struct oid *ret, struct diag *reterr)
{
    struct batch *b = container_of(sink, struct batch, sink);

    return blob_write_fd(b->repo, fd, size, ret, reterr);
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
    free(b);
}

struct sink *batch_sink(struct batch *b)
{
    return &b->sink;
}

int batch_store(struct batch *b, struct diag *reterr)
{
    return 0;
}
