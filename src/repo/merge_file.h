/* Merging one file that both sides changed. Inside src/repo only. */
#ifndef ONWARD_REPO_MERGE_FILE_H
#define ONWARD_REPO_MERGE_FILE_H

#include "repo/object.h"

/* Merges the contents and execute bits of three plain files. 0: `ret` has the merged oid (written,
 * durable) and kind; 1: they cannot be merged. */
int merge_file(struct repo *repo, const struct tree_entry *base, const struct tree_entry *ours,
               const struct tree_entry *theirs, struct tree_entry *ret, struct diag *reterr);

#endif
