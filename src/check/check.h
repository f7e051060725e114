/* Checks over one immutable tree: what was checked is what is committed, by id.
 *
 * Built in: `yaml` and `json` (every changed file of that kind parses; several YAML documents in a
 * file are fine; duplicate keys are a finding), `declaration` (onward.yaml is right, and the
 * directories that it names exist). Only what differs between `base` and `tree` can give a finding:
 * a commit is never refused for what was wrong before it. Symlinks are not followed, and files of
 * more than CHECK_FILE_SIZE bytes are passed over with a line in the log: they are data, and a
 * limit on what a commit costs. A check of another name is a finding in the change that first names
 * it. */
#ifndef ONWARD_CHECK_CHECK_H
#define ONWARD_CHECK_CHECK_H

#include "base/diag.h"
#include "base/finding.h"
#include "repo/oid.h"
#include "repo/repo.h"

#define CHECK_FILE_SIZE (16 << 20)

/* Runs the checks that the declaration in `tree` names (without `checks:`, or without a usable
 * declaration: yaml, json, declaration; `declaration` always runs). `base` zero: everything is new.
 * 0 also when there are findings; an error only when the checks could not be run. */
int check_tree(struct repo *repo, const struct oid *base, const struct oid *tree,
               struct findings *ret, struct diag *reterr);

/* How many approvals a change to the mainline with this tree needs (`review.approvals`); 0 without
 * a usable declaration, so that one that is wrong can be mended. `tree` zero: 0. */
int check_approvals(struct repo *repo, const struct oid *tree);

#endif
