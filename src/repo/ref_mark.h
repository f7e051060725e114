/* Marks: how a lock file that a killed onwardfs left on a ref is told from one that a living
 * program holds.
 *
 * libgit2 and Git guard a ref by `<ref>.lock`, a file that stays when its maker dies, and then
 * blocks every later change for ever. So before we change a ref we leave a mark beside the refs: a
 * symlink (made in one step, never half-written) whose target says which ref is going where.
 * Whoever starts next, alone (under the repository's lease), takes away the locks that the marks
 * explain: the lock's content is the very id that we were writing, or nothing yet. Locks that no
 * mark explains are somebody else's and stay. */
#ifndef ONWARD_REPO_REF_MARK_H
#define ONWARD_REPO_REF_MARK_H

#include <stdbool.h>

#include "repo/oid.h"
#include "repo/repo.h"

/* Says that this process is about to move `ref` to `to`, and that it has done so or given up.
 * Changes of one ref exclude each other between the two calls. Marks are a help, not a condition:
 * in a repository that cannot be written they do nothing. `unclean`: it failed, and its lock may
 * have stayed; the mark stays with it, and the next change of the ref takes both away. */
void ref_mark_set(struct repo *repo, const char *ref, const struct oid *to);
void ref_mark_clear(struct repo *repo, const char *ref, bool unclean);

/* Takes away what a process of ours that died has left. Only while no other onwardfs works on the
 * repository. Each lock that goes is logged. */
void ref_marks_recover(struct repo *repo);

#endif
