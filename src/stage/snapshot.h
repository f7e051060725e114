/* A workspace as a tree of Git: the files of the upper as blobs, and the trees above them, to be
 * kept (batch.h) or only to be looked at (scratch.h). */
#ifndef ONWARD_STAGE_SNAPSHOT_H
#define ONWARD_STAGE_SNAPSHOT_H

#include "repo/batch.h"
#include "stage/workspace.h"

/* The tree that the workspace is now, put into `sink`. Empty directories are left out of it, and
 * named in `keep` (sorted by path; may be NULL). What has not changed is not put there. The caller
 * has the workspace frozen. Without a base and without files: the zero id. */
int snapshot_take(struct workspace *ws, struct sink *sink, struct oid *ret, struct kept_dirs *keep,
                  struct diag *reterr);
/* The same, durable on return. */
int snapshot_write(struct workspace *ws, struct batch *batch, struct oid *ret,
                   struct kept_dirs *keep, struct diag *reterr);
/* The same, if only the id is wanted: nothing is written. */
int snapshot_id(struct workspace *ws, struct oid *ret, struct kept_dirs *keep, struct diag *reterr);

#endif
