/* Objects that a test wants to be there, one at a time: written as all of ours are (repo/batch.h),
 * and held by nothing. */
#ifndef ONWARD_TESTS_WRITTEN_H
#define ONWARD_TESTS_WRITTEN_H

#include "repo/batch.h"
#include "repo/object.h"
#include "repo/revision.h"
#include "repo/tree_edit.h"

static inline int blob_write(struct repo *repo, const void *data, size_t len, struct oid *ret,
                             struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *b = batch_new(repo);
    int r = sink_blob(batch_sink(b), data, len, ret, reterr);

    return r < 0 ? r : batch_store(b, reterr);
}

static inline int blob_write_fd(struct repo *repo, int fd, uint64_t size, struct oid *ret,
                                struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *b = batch_new(repo);
    int r = sink_blob_fd(batch_sink(b), fd, size, ret, reterr);

    return r < 0 ? r : batch_store(b, reterr);
}

static inline int tree_write(struct repo *repo, const struct tree_entry *entries, size_t n,
                             struct oid *ret, struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *b = batch_new(repo);
    int r = sink_tree(batch_sink(b), entries, n, ret, reterr);

    return r < 0 ? r : batch_store(b, reterr);
}

static inline int tree_edits_apply(struct repo *repo, const struct oid *root, struct tree_edits *e,
                                   struct oid *ret, struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *b = batch_new(repo);
    int r = tree_edits_put(&(struct sink_place){repo, batch_sink(b)}, root, e, ret, reterr);

    return r < 0 ? r : batch_store(b, reterr);
}

static inline int commit_write(struct repo *repo, const struct revision *draft, struct oid *ret,
                               struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *b = batch_new(repo);

    return revision_write(b, draft, ret, reterr);
}

#endif
