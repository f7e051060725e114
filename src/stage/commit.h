/* A workspace's way into the mainline: snapshot, checks, merge, compare-and-swap. */
#ifndef ONWARD_STAGE_COMMIT_H
#define ONWARD_STAGE_COMMIT_H

#include "base/buf.h"
#include "base/finding.h"
#include "stage/workspace.h"

/* Commits the workspace for `who`. `line` is the message; "-": it is in the file `message`. 0 when
 * the revision is durable and the workspace clean on it, or, where the mainline asks for approvals,
 * when the proposal is durable (review.h) and the workspace as it was. Else it is as it was, too:
 *   -EINVAL      findings, or a message that cannot be taken (commit_message.h)
 *   -EBUSY       conflicts with the mainline, or its work tree
 *   -ENODATA     nothing changed
 *   -EACCES      not the owner
 *   -ESTALE      the workspace has ended
 *   -EDQUOT      too many proposals are open
 *   -ENOSPC, -EIO … as they come
 * What it was, is in `outcome` either way. */
int commit_workspace(struct workspace *ws, const struct caller *who, const char *line);

/* The same in its owner's name, with a message that says that nobody has said anything. When
 * nothing has changed, `outcome` stays. */
int commit_by_itself(struct workspace *ws);

/* Finishes or undoes a commit that a crash interrupted. After workspace_open(). */
int commit_recover(struct workspace *ws, struct diag *reterr);

/* Runs the checks on the workspace as it is now. */
int commit_check(struct workspace *ws, struct findings *ret, struct diag *reterr);

#endif
