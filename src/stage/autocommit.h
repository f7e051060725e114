/* Workspaces that commit by themselves, some time after the last write to them.
 *
 * One thread waits for the workspace that is due first; workspaces that nobody writes to cost
 * nothing. The commits themselves run in threads of a pool: one that waits for its checks keeps no
 * other waiting. A commit that fails is not tried again before the next write. */
#ifndef ONWARD_STAGE_AUTOCOMMIT_H
#define ONWARD_STAGE_AUTOCOMMIT_H

#include "stage/workspace.h"

struct autocommit;

/* -EAGAIN if no thread can be started. */
int autocommit_new(struct autocommit **ret);
/* Commits no more, and waits for commits that are under way. NULL is allowed. */
void autocommit_end(struct autocommit *a);
/* Ends it, if need be. NULL is allowed. */
void autocommit_free(struct autocommit *a);

/* The workspace was written to: it is due so long after now, unless it is written to again. Cheap
 * when it waits already. Not under ws->tree held for writing. */
void autocommit_arm(struct autocommit *a, struct workspace *ws);
/* The same after ws->autocommit has changed: it may be due sooner than it was. */
void autocommit_rearm(struct autocommit *a, struct workspace *ws);

#endif
