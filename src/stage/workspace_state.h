/* The file `state` of a workspace: JSON, a few hundred bytes, replaced as a whole. */
#ifndef ONWARD_STAGE_WORKSPACE_STATE_H
#define ONWARD_STAGE_WORKSPACE_STATE_H

#include "stage/workspace.h"

/* Reads `state` in the workspace's directory. -ENOENT, -EIO when it is not one. */
int workspace_state_load(int dirfd, struct workspace_state *ret, struct diag *reterr);
/* Durable on return. When it fails, `state` may be the old one or, not for good, the new one. */
int workspace_state_save(int dirfd, const struct workspace_state *state);
/* Is this what is there? */
bool workspace_state_is(int dirfd, const struct workspace_state *state);

#endif
