/* Refs that keep the bases of workspaces from `git gc`, for those that are not based on the
 * mainline (whose history keeps the others): refs/onward/workspaces/<host>/<state>/<name>. <state>
 * tells apart the state directories of one host; what a ref may not contain is a '-' in <name>,
 * which ends in a hash of the real one. */
#ifndef ONWARD_STAGE_KEEP_REF_H
#define ONWARD_STAGE_KEEP_REF_H

#include "stage/workspace.h"

/* Does a workspace of that name need one when it is made? Those on a revision of their own do. */
bool keep_ref_needed(const char *name);
/* The ref names `base`; durable on return. */
int keep_ref_make(const struct staging_config *config, const char *name, const struct oid *base,
                  struct diag *reterr);
/* There is no ref any more. */
void keep_ref_drop(const struct staging_config *config, const char *name);
/* Drops the refs of all workspaces of this state directory but those that `is_kept` says need
 * theirs: a crash may have left them. */
void keep_ref_prune(const struct staging_config *config,
                    bool (*is_kept)(const char *ref, void *arg), void *arg);
/* The name of a workspace's ref; yours. */
char *keep_ref_name(const struct staging_config *config, const char *name);

#endif
