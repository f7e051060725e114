/* Litter: what a program or a host that died has left among the objects. Temporary files: some of
 * their names no `git gc` ever removes (libgit2's tmp_object_git2_…), others only after weeks. And
 * after a loss of power, loose objects without all of their content: Git does not sync those that
 * it writes, nor those of a push. Nobody can read them, and as long as they are there, Git takes
 * them for written when the same content comes again. Only for who alone may write here. */
#ifndef ONWARD_REPO_LITTER_H
#define ONWARD_REPO_LITTER_H

#include <stdint.h>

#include "repo/repo.h"

/* Removes temporary files that nobody has open and nobody has written to for a while:
 * another program may be writing one at this moment. Waits for that while if there are any. */
void litter_clear(struct repo *repo);
/* Removes loose objects written since then (real ns) that cannot be inflated to their end. One that
 * the disk fails to read stays, as does all that is whole, whatever is in it. */
void litter_clear_torn(struct repo *repo, int64_t since);

#endif
