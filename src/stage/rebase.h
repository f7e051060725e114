/* A workspace onto head: its changes, merged three-way with what head has. */
#ifndef ONWARD_STAGE_REBASE_H
#define ONWARD_STAGE_REBASE_H

#include "stage/workspace.h"

/* Brings the workspace onto head, for `who`. 0: it is there, or was already (then nothing happens,
 * and `outcome` stays). Else:
 *   -EUCLEAN  it is there, and somebody has to look at what both had changed: text has the marks of
 *             conflicts, of everything else the workspace's own is kept; `outcome` lists them
 *   -EBUSY    the mainline was rewritten, or has no revision any more
 *   -EACCES   not the owner
 *   -ESTALE   the workspace has ended
 *   -ENOSPC, -EIO … as they come
 * and, but for -EUCLEAN, the workspace is as it was. What it was, is in `outcome`. */
int rebase_workspace(struct workspace *ws, const struct caller *who);

#endif
