/* Which directories of a tree a pattern matches: `stores/eu-?`, one glob a path component, as
 * fnmatch() takes it; a leading dot must be written. Symlinks and submodules are no directories. */
#ifndef ONWARD_SITE_DISCOVER_H
#define ONWARD_SITE_DISCOVER_H

#include <stdbool.h>

#include "repo/history_index.h"
#include "repo/object.h"

/* Calls `each` for every matching directory below the tree `root`, in the order of paths, until it
 * returns non-zero, which is then returned. `name` is the last component of `path`. */
int discover_each(struct repo *repo, const struct oid *root, const char *pattern,
                  int (*each)(const char *path, const char *name, void *arg), void *arg);
/* 0 if the pattern matches the same directories in both trees (their content may differ), 1 if
 * perhaps not. Costs what differs. */
int discover_differs(struct repo *repo, const struct oid *a, const struct oid *b,
                     const char *pattern);
/* Calls `each` for every path that the pattern matches and that ever was on the line of the index,
 * whatever it was, until it returns non-zero, which is then returned. `name` is its last
 * component. */
int discover_ever(struct history_index *ix, const char *pattern,
                  int (*each)(path_id path, const char *name, void *arg), void *arg);

/* The first component of a pattern (yours), and what follows it (NULL: nothing). */
char *discover_component(const char *pattern, const char **ret_rest);
/* Whether a component may match more than one name, and whether it matches this one. */
bool discover_is_glob(const char *component);
bool discover_matches(const char *component, const char *name);
/* The leading components of a pattern that are plain names ("" if there is none); yours. */
char *discover_prefix(const char *pattern);

#endif
