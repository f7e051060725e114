/* New objects that are written together, as a pack: durable at one moment, all of them, for what
 * one of them costs; and safe from every git beside us until batch_free().
 *
 *     batch_new, batch_sink: put objects, in any order
 *     batch_store            they can be read from here on; may be called again after more
 *     (move a ref to them)
 *     batch_free
 *
 * Git takes away what no ref leads to, and it may have read the refs long ago by then. So:
 *   B1  A pack has a `.keep` beside it from before it can be seen until batch_free(): no `git
 *       repack` removes it or takes it apart. Loose objects have nothing of the kind, and there
 *       are none of ours: `git prune` may remove one also after a ref leads to it.
 *   B2  A pack's name is new each time. A repack that begins while there is a `.keep` will not
 *       remove the pack, also when the `.keep` is gone by then; one that begins later finds the
 *       ref. (Both list packs before they read refs.)
 *   B3  All that is put is written, also what is in the repository already: that may be about to
 *       go.
 *   B4  What a ref is to lead to, and did not before, is in the batch that is held while it moves.
 *       This is the callers' part; carry.h helps.
 * What is there twice is there once after the next repack (packing.h). `.keep`s that a crash has
 * left are removed by batch_tidy().
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
/* What was put and not stored is forgotten. NULL is allowed. */
void batch_free(struct batch *b);
DEFINE_CLEANUP(struct batch *, batch_free)
/* Where its objects come from; borrowed. */
struct sink *batch_sink(struct batch *b);
struct repo *batch_repo(const struct batch *b);
/* Everything that was put is durable, and was read back. -ENOSPC -EIO -EROFS … When this fails, or
 * putting does, what was put and not stored is forgotten. */
int batch_store(struct batch *b, struct diag *reterr);

/* Removes what batches of a process that has died have left in their packs' way. When the
 * repository is opened for writing. */
void batch_tidy(struct repo *repo);

#endif
