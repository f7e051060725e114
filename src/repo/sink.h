/* Where the new objects of a snapshot go: batch.h keeps them, scratch.h only for a while. What they
 * are made of, and the ids that they get, is the same.
 *
 * Ownership: a sink is part of what implements it. One thread at a time. */
#ifndef ONWARD_REPO_SINK_H
#define ONWARD_REPO_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "repo/object.h"

enum sink_type { SINK_BLOB, SINK_TREE, SINK_COMMIT };

struct sink;

struct sink_ops {
    /* Takes an object of `len` bytes, which are the caller's again afterwards. -ENOSPC -EIO … */
    int (*put)(struct sink *sink, enum sink_type type, const void *data, size_t len,
               struct oid *ret, struct diag *reterr);
    /* Takes the first `size` bytes of a file as a blob, in bounded memory. -EIO: it is shorter. */
    int (*put_fd)(struct sink *sink, int fd, uint64_t size, struct oid *ret, struct diag *reterr);
};

struct sink {
    const struct sink_ops *ops;
};

/* Where trees are changed: old ones are read from `repo`, new ones go to `sink`. Borrowed. */
struct sink_place {
    struct repo *repo;
    struct sink *sink;
};

int sink_blob(struct sink *sink, const void *data, size_t len, struct oid *ret,
              struct diag *reterr);
int sink_blob_fd(struct sink *sink, int fd, uint64_t size, struct oid *ret, struct diag *reterr);
/* The tree of `n` entries in any order (sorted here the way Git wants); none is the empty tree.
 * -EINVAL with the reason for a name that Git refuses, or one that is there twice. */
int sink_tree(struct sink *sink, const struct tree_entry *entries, size_t n, struct oid *ret,
              struct diag *reterr);

#endif
