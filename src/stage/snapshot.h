/* A workspace as a tree of Git: writes the files of the upper as blobs, and the trees above them.
 */
#ifndef ONWARD_STAGE_SNAPSHOT_H
#define ONWARD_STAGE_SNAPSHOT_H

#include "stage/workspace.h"

/* The tree that the workspace is now; durable. Empty directories are left out of it, and named in
 * `keep` (sorted by path; may be NULL). What has not changed is not written. The caller has the
 * workspace frozen. Without a base and without files: the zero id. */
int snapshot_write(struct workspace *ws, struct oid *ret, struct kept_dirs *keep,
                   struct diag *reterr);

#endif
