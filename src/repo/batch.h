/* New objects that are written together: durable at one moment, all of them, for what one of them
 * costs. As few of them as an ordinary commit has become loose objects; many become a pack.
 *
 *     batch_new, batch_sink: put objects, in any order
 *     batch_store            they can be read from here on; may be called again after more
 *     batch_free
 *
 * What is in the repository already is not written again: an object in a pack is read and verified
 * once, and the pack, which git may just have written, is synced once; a loose one is read, too,
 * which a crash may have left empty or torn; then it is written anew. What this process has stored
 * or verified before is remembered, but whether it is still there (`git gc` removes what no ref
 * leads to) is looked at each time.
 *
 * A pack has a `.keep` beside it until batch_free(), so that no `git repack` takes it apart before
 * a ref leads there: hold the batch until then. Those that a crash has left are removed by
 * batch_tidy().
 *
 * Threads: one at a time. */
#ifndef ONWARD_REPO_BATCH_H
#define ONWARD_REPO_BATCH_H

#include "base/cleanup.h"
#include "base/diag.h"
#include "repo/repo.h"
#include "repo/sink.h"

struct batch;

struct batch *batch_new(struct repo *repo);
/* The same, and all of it goes into packs, however little it is: until batch_free() nothing can
 * take away what has been stored, not even `git gc --prune=now`, which removes at once what is
 * loose and what no ref led to when it began to look. Costs a file more than it might. */
struct batch *batch_new_held(struct repo *repo);
/* What was put and not stored is forgotten. NULL is allowed. */
void batch_free(struct batch *b);
DEFINE_CLEANUP(struct batch *, batch_free)
/* Where its objects come from; borrowed. */
struct sink *batch_sink(struct batch *b);
/* Everything that was put is durable, and was read back. -ENOSPC -EIO -EROFS … */
int batch_store(struct batch *b, struct diag *reterr);

/* Removes what batches of a process that has died have left in their packs' way. When the
 * repository is opened for writing. */
void batch_tidy(struct repo *repo);

#endif
