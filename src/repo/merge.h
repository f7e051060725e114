/* Three-way merge of trees: by path, without rename detection; text files that both sides changed
 * are merged line by line. Costs what differs between the three, not what exists. */
#ifndef ONWARD_REPO_MERGE_H
#define ONWARD_REPO_MERGE_H

#include <stdbool.h>

#include "base/alloc.h"
#include "repo/oid.h"
#include "repo/repo.h"
#include "repo/sink.h"

struct conflict {
    char *path;
    struct oid base, ours, theirs; /* zero: absent on that side */
    bool marked; /* the result has both sides there, between marks; else it has ours */
};

struct conflicts {
    VEC(struct conflict);
};
void conflicts_done(struct conflicts *c);

/* Text of which both sides are kept is not larger. */
#define MERGE_MARKED_MOST (16u << 20)

struct merge_sides {
    struct oid base, ours, theirs;
    const char *ours_name, *theirs_name; /* NULL: no marks */
};

/* Merges the changes base→ours and base→theirs; puts what is new, and returns the merged tree.
 * Returns 1 and fills `conflicts` (sorted by path) when both changed the same thing differently;
 * nothing is then returned in `ret`.
 *
 * With names, it goes through: what both changed differently is in the result too, for somebody to
 * decide. Text has both sides, between the marks that Git uses:
 *
 *     <<<<<<< theirs_name
 *     what theirs has
 *     =======
 *     what ours has
 *     >>>>>>> ours_name
 *
 * Of everything else (binary files, marked text of more than MERGE_MARKED_MOST bytes, what one side
 * deleted, other kinds), the result has what ours has. Returns 1 if there are such conflicts. */
int merge_trees(const struct sink_place *place, const struct merge_sides *sides, struct oid *ret,
                struct conflicts *conflicts, struct diag *reterr);

#endif
