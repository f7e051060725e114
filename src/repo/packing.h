/* Keeping the repository packed. Every commit here and every record in the ledger leaves a few
 * loose objects, or a small pack: after a million records these would be millions of files, a disk
 * full of half-empty blocks, and a look-up in a hundred packs for each object.
 *
 * What `git gc --auto` would do is too much for us (it packs the whole repository anew and takes
 * away what no ref leads to); this does the least: `git repack --geometric`, which joins what is
 * loose and what is small, leaves the large packs as they are, and removes nothing but what it has
 * packed. So it may run beside readers, writers and an operator's own gc. In a process of its own:
 * its memory is not ours, and when it fails everything is as it was.
 *
 * When: by Git's own limits, gc.auto (6700 loose objects) and gc.autoPackLimit (50 packs), of which
 * 0 switches it off, as it does gc; not while a gc is running. */
#ifndef ONWARD_REPO_PACKING_H
#define ONWARD_REPO_PACKING_H

#include <stdbool.h>

#include "base/diag.h"
#include "repo/repo.h"

/* Whether there is enough to pack. Looks at two directories. */
bool packing_is_due(struct repo *repo);
/* Packs; takes as long as it takes, or until `stop_fd` is readable (-1: nothing stops it), which is
 * no failure. -ENOENT: there is no git; -EIO with what git said. */
int packing_run(struct repo *repo, int stop_fd, struct diag *reterr);

#endif
