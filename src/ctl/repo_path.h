/* Paths in the repository, as a person writes them. */
#ifndef ONWARD_CTL_REPO_PATH_H
#define ONWARD_CTL_REPO_PATH_H

#include "ctl/mountpoint.h"

/* The path from the repository's root that `path` means ("" for the root), without "." and "..";
 * yours. As in Git it is relative to the working directory, when that is inside a revision
 * (sites/<site>/deployed is a link to one), a workspace or history/; anywhere else to the root. An
 * absolute path must lead into one of these. -EINVAL with a reason. */
int repo_path(const struct mountpoint *m, const char *path, char **ret, struct diag *reterr);

#endif
