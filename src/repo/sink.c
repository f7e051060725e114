#include "repo/sink.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/object_write.h"

/* Files up to this size are given as one piece. */
#define IN_MEMORY_MOST (1u << 20)

git_object_t sink_git_type(enum sink_type type)
{
    static const git_object_t types[] = {[SINK_BLOB] = GIT_OBJECT_BLOB,
                                         [SINK_TREE] = GIT_OBJECT_TREE,
                                         [SINK_COMMIT] = GIT_OBJECT_COMMIT};

    return types[type];
}

int sink_blob(struct sink *sink, const void *data, size_t len, struct oid *ret, struct diag *reterr)
{
    return sink->ops->put(sink, SINK_BLOB, data, len, ret, reterr);
}

int sink_blob_fd(struct sink *sink, int fd, uint64_t size, struct oid *ret, struct diag *reterr)
{
    if (size > IN_MEMORY_MOST)
        return sink->ops->put_fd(sink, fd, size, ret, reterr);
    _cleanup_free_ char *data = xmalloc(size + 1);
    int r = object_read_file(fd, data, size, 0, reterr);
    return r < 0 ? r : sink_blob(sink, data, size, ret, reterr);
}

int sink_tree(struct sink *sink, const struct tree_entry *entries, size_t n, struct oid *ret,
              struct diag *reterr)
{
    _cleanup_(buf_done) struct buf raw = {0};
    int r = tree_encode(entries, n, &raw, reterr);

    return r < 0 ? r : sink->ops->put(sink, SINK_TREE, buf_str(&raw), raw.len, ret, reterr);
}
