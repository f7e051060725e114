/* What differs between two trees. A zero oid stands for the empty tree. */
#ifndef ONWARD_REPO_DIFF_H
#define ONWARD_REPO_DIFF_H

#include "base/buf.h"
#include "repo/object.h"

struct change {
    char status;      /* 'A' added, 'M' content or execute bit, 'D' deleted, 'T' another kind */
    const char *path; /* from the root of the trees; borrowed during the call */
    enum entry_kind old_kind, new_kind; /* the one that is absent is meaningless */
    struct oid old_oid, new_oid;        /* zero: absent */
};

/* Calls `each` for every path that differs (never for directories), in the order of paths, until it
 * returns non-zero, which is then returned. Renames are a D and an A. */
int diff_changes(struct repo *repo, const struct oid *from, const struct oid *to,
                 int (*each)(const struct change *c, void *arg), void *arg);

/* Adds the difference as a patch that `git apply` takes (binary files included, full ids, 3 lines
 * of context), restricted to the `npaths` paths (files or directories; 0: everything). -EFBIG when
 * it would be more than `limit` bytes. */
int diff_patch(struct repo *repo, const struct oid *from, const struct oid *to,
               const char *const *paths, size_t npaths, size_t limit, struct buf *out);

#endif
