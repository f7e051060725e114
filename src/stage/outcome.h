/* What the last commit or rebase of a workspace answered: the file `.onward/outcome`, as text. */
#ifndef ONWARD_STAGE_OUTCOME_H
#define ONWARD_STAGE_OUTCOME_H

#include "base/buf.h"
#include "repo/merge.h"
#include "stage/workspace.h"

#define OUTCOME_MOST (4 << 20)

/* Adds the line `WORD: path base ours theirs`; "-" stands for a side that is absent. */
void outcome_add_conflict(struct buf *out, const char *word, const struct conflict *c);
/* Adds the line that says which revision it was. */
void outcome_add_revision(struct buf *out, const struct oid *revision);
/* Replaces the outcome; of a text longer than OUTCOME_MOST it has whole lines, and how many more
 * there were. That it cannot be saved is logged: what it speaks of has happened. */
void outcome_save(struct workspace *ws, const struct buf *text);
/* Adds the outcome as it is; nothing if there has been none. */
int outcome_read(struct workspace *ws, struct buf *out);

#endif
