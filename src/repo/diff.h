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

/* A tree of a few kilobytes can claim billions of files. So no two trees are compared that differ
 * in more names, files and directories, than this, or in more bytes of paths: -EFBIG. */
#define DIFF_CHANGES_MOST (1u << 20)
#define DIFF_PATHS_MOST   (128u << 20)
/* Of a patch, which libgit2 makes in memory: files; and bytes of each of them,
 * which must not have more than BLOB_LINES_MOST lines. */
#define DIFF_FILES_MOST 200000
#define DIFF_FILE_MOST  (128u << 20)

/* Calls `each` for every path that differs (never for directories), in the order of paths, until it
 * returns non-zero, which is then returned. Renames are a D and an A. -EFBIG: see above; the calls
 * up to there have been made. -ENAMETOOLONG: deeper than any path can be long. */
int diff_changes(struct repo *repo, const struct oid *from, const struct oid *to,
                 int (*each)(const struct change *c, void *arg), void *arg);

/* Adds the difference as a patch that `git apply` takes (binary files included, full ids, 3 lines
 * of context), restricted to the `npaths` paths (files or directories; 0: everything). -EFBIG when
 * it would be more than `limit` bytes, or of more or larger files than said above. */
int diff_patch(struct repo *repo, const struct oid *from, const struct oid *to,
               const char *const *paths, size_t npaths, size_t limit, struct buf *out);
#endif
