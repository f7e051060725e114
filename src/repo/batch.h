/* New objects that are written together, of which none counts before all are there.
 *
 *     batch_new, batch_sink: put objects, in any order
 *     batch_store            they can be read from here on; may be called again after more
 *     batch_free
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
/* Everything that was put is durable, and was read back. -ENOSPC -EIO -EROFS … */
int batch_store(struct batch *b, struct diag *reterr);

#endif
