/* Which directories of a tree a pattern matches: `stores/eu-?`, one glob a path component, as
 * fnmatch() takes it; a leading dot must be written. Symlinks and submodules are no directories. */
#ifndef ONWARD_SITE_DISCOVER_H
#define ONWARD_SITE_DISCOVER_H

#include "repo/object.h"

/* Calls `each` for every matching directory below the tree `root`, in the order of paths, until it
 * returns non-zero, which is then returned. `name` is the last component of `path`. */
int discover_each(struct repo *repo, const struct oid *root, const char *pattern,
                  int (*each)(const char *path, const char *name, void *arg), void *arg);
/* 0 if the pattern matches the same directories in both trees (their content may differ), 1 if
 * perhaps not. Costs what differs. */
int discover_differs(struct repo *repo, const struct oid *a, const struct oid *b,
                     const char *pattern);
/* The leading components of a pattern that are plain names ("" if there is none); yours. */
char *discover_prefix(const char *pattern);

#endif
