/* Puts files into a tree: the trees on the way are read, changed and written, once each, whatever
 * the number of files. Private to the ledger. */
#ifndef ONWARD_LEDGER_TREE_EDIT_H
#define ONWARD_LEDGER_TREE_EDIT_H

#include "base/alloc.h"
#include "base/diag.h"
#include "repo/oid.h"
#include "repo/repo.h"

struct tree_edit {
    char *path; /* "sites/5f/store-0001.json" */
    struct oid blob;
};

/* Paths are unique, and none is a directory of another. */
struct tree_edits {
    VEC(struct tree_edit);
};
void tree_edits_done(struct tree_edits *e);
/* Takes the path. */
void tree_edits_add(struct tree_edits *e, char *path, const struct oid *blob);

/* Writes the tree that `root` (zero: empty) becomes. The edits are used up. Errors as
 * repo/object.h. */
int tree_edits_apply(struct repo *repo, const struct oid *root, struct tree_edits *e,
                     struct oid *ret, struct diag *reterr);

#endif
