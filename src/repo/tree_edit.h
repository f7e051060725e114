/* Puts entries into a tree, at any depth: the trees on the way are read, changed and written, once
 * each, whatever the number of edits. */
#ifndef ONWARD_REPO_TREE_EDIT_H
#define ONWARD_REPO_TREE_EDIT_H

#include "base/alloc.h"
#include "base/diag.h"
#include "repo/object.h"
#include "repo/sink.h"

struct tree_edit {
    char *path; /* "sites/5f/store-0001.json" */
    enum entry_kind kind;
    struct oid oid;
};

/* Paths are unique. What is put into a directory that is put, too, comes after it. */
struct tree_edits {
    VEC(struct tree_edit);
};
void tree_edits_done(struct tree_edits *e);
/* Takes the path. What is there gives way, be it a file or a directory; a file in the place of a
 * directory that the path leads through, too. */
void tree_edits_add(struct tree_edits *e, char *path, enum entry_kind kind, const struct oid *oid);

/* Makes the tree that `root` (zero: empty) becomes; the new trees go to `sink`. The edits are used
 * up. Errors as repo/object.h. */
int tree_edits_put(const struct sink_place *place, const struct oid *root, struct tree_edits *e,
                   struct oid *ret, struct diag *reterr);

#endif
