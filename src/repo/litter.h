/* Litter: the temporary files that a killed program has left among the objects. libgit2 writes an
 * object into objects/tmp_object_git2_<random> and then gives it its name; no `git gc` ever removes
 * what it did not get to. */
#ifndef ONWARD_REPO_LITTER_H
#define ONWARD_REPO_LITTER_H

#include "repo/repo.h"

/* Removes temporary files of objects that nobody has open and nobody has written to for a while:
 * another program may be writing one at this moment. Waits for that while if there are any. */
void litter_clear(struct repo *repo);

#endif
