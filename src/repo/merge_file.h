/* Merging one file that both sides changed. Inside src/repo only. */
#ifndef ONWARD_REPO_MERGE_FILE_H
#define ONWARD_REPO_MERGE_FILE_H

#include "repo/merge.h"
#include "repo/object.h"

/* One entry of a name on the three sides; NULL: absent. */
struct three {
    const struct tree_entry *base, *ours, *theirs;
};

/* Merges the contents and execute bits of plain files, of which only the base may be absent. 0:
 * `ret` has the merged oid (put) and kind; 1: they cannot be merged. With `marks` (its
 * names; NULL: without), 2: `ret` has both, between marks. */
int merge_file(const struct sink_place *place, const struct three *e,
               const struct merge_sides *marks, struct tree_entry *ret, struct diag *reterr);

#endif
