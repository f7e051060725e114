/* A comparison of two trees in the mount, made by `git diff --no-index`, or by diff(1) where there
 * is no git. */
#ifndef ONWARD_CTL_COMPARISON_H
#define ONWARD_CTL_COMPARISON_H

#include "ctl/mountpoint.h"
#include "ctl/patch.h"

/* Compares `path` ("." for all) of revision `from` (NULL: nothing) with `path_to` of revision `to`
 * and prints the patch through `patch`, whose strips are set. 1 when something differs, 0 when
 * nothing does. */
int comparison_print(const struct mountpoint *m, const char *from, const char *path, const char *to,
                     const char *path_to, struct patch *patch, struct diag *reterr);

#endif
