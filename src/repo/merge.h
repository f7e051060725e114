/* Three-way merge of trees: by path, without rename detection; text files that both sides changed
 * are merged line by line. Costs what differs between the three, not what exists. */
#ifndef ONWARD_REPO_MERGE_H
#define ONWARD_REPO_MERGE_H

#include "base/alloc.h"
#include "repo/oid.h"
#include "repo/repo.h"

struct conflict {
    char *path;
    struct oid base, ours, theirs; /* zero: absent on that side */
};

struct conflicts {
    VEC(struct conflict);
};
void conflicts_done(struct conflicts *c);

/* Merges the changes base→ours and base→theirs; writes what is new (durable) and returns the merged
 * tree. Returns 1 and fills `conflicts` (sorted by path) when both changed the same thing
 * differently; nothing is then returned in `ret`. */
int merge_trees(struct repo *repo, const struct oid *base, const struct oid *ours,
                const struct oid *theirs, struct oid *ret, struct conflicts *conflicts,
                struct diag *reterr);

#endif
