/* Which trees are the same to a check of the host: those that differ in no path that its globs
 * match. One of them stands for all, so that what a check has said of it answers for the others:
 * otherwise a slow check would have to run anew whenever somebody else's change has moved the
 * mainline, and on a busy one never be done. Private to this folder.
 *
 * Trees are compared with the last ones that the check has seen, which costs what differs between
 * them. Two that are the same may be taken for different (then the check runs once more), never the
 * other way round. Threads: any. */
#ifndef ONWARD_CHECK_INPUTS_H
#define ONWARD_CHECK_INPUTS_H

#include <stdbool.h>

#include "check/check_config.h"
#include "repo/oid.h"
#include "repo/repo.h"

struct inputs;

struct inputs *inputs_new(struct repo *repo);
/* NULL is allowed. */
void inputs_free(struct inputs *in);

/* Do the check's globs match the path? Those of a check without any match every path. */
bool check_looks_at(const struct check_config *check, const char *path);

/* The tree that stands for `tree`; itself for a check without globs. */
struct oid inputs_of(struct inputs *in, const struct check_config *check, const struct oid *tree);

#endif
