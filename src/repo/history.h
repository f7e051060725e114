/* Questions about history. None is asked at mount or in a lookup: costs grow with the distance
 * walked. */
#ifndef ONWARD_REPO_HISTORY_H
#define ONWARD_REPO_HISTORY_H

#include <stdint.h>

#include "repo/oid.h"
#include "repo/repo.h"

/* 1 if `old` is `new` or an ancestor of it, 0 if not. */
int history_is_ancestor(struct repo *repo, const struct oid *old, const struct oid *new);
/* How many first-parent steps lead from `tip` back to `old`; -ENOENT if it is not on that line
 * within `most` steps. */
int history_distance(struct repo *repo, const struct oid *tip, const struct oid *old, int most);

/* Calls `each` for `tip` and its first parents, newest first, until it returns non-zero (which is
 * then returned), the root is reached, or the history of a shallow clone ends (0). */
int history_first_parents(struct repo *repo, const struct oid *tip,
                          int (*each)(const struct oid *rev, const struct oid *tree, int64_t time,
                                      void *arg),
                          void *arg);

#endif
