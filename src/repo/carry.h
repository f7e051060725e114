/* Taking along: what a ref is about to lead to, and only another ref led to that is about to go,
 * is put into the batch that is held meanwhile (batch.h, B4). A git beside us that has read the one
 * ref before it moves and the other after it went has seen neither.
 *
 * Reads and puts what differs, whatever its size in bounded memory. Errors are those of reading and
 * of the sink. */
#ifndef ONWARD_REPO_CARRY_H
#define ONWARD_REPO_CARRY_H

#include "repo/sink.h"

/* Puts what the tree `new` has and the tree `old` (zero: the empty one) has not. */
int carry_tree(const struct sink_place *place, const struct oid *old, const struct oid *new,
               struct diag *reterr);
/* Puts the commits from `tip` back to those that `head` has, and what their trees have that was not
 * there before. Of a branch of more than CARRY_MOST commits, the newest: somebody else keeps it. */
#define CARRY_MOST 1000
int carry_commits(const struct sink_place *place, const struct oid *tip, const struct oid *head,
                  struct diag *reterr);

#endif
