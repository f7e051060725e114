/* Litter: the temporary files that a killed program has left among the objects and packs. Some of
 * their names no `git gc` ever removes (libgit2's tmp_object_git2_…), others only after weeks. */
#ifndef ONWARD_REPO_LITTER_H
#define ONWARD_REPO_LITTER_H

#include "repo/repo.h"

/* Removes temporary files that nobody has open and nobody has written to for a while:
 * another program may be writing one at this moment. Waits for that while if there are any. */
void litter_clear(struct repo *repo);

#endif
