/* Objects that are looked at and never written: what a workspace would be if it were committed now.
 * As long as a scratch lives, its objects can be read like any others of the repository, by their
 * ids (tree_load, blob_read, diff.h …), and nothing of them is in the object database.
 *
 * Small objects are in memory, up to SCRATCH_MEMORY bytes of each scratch; what is large, and what
 * comes then, is in a file without a name in the spool directory (repo_spool_in). Of blobs that
 * are larger than the scratch was told to keep, only type and size are known, which is all that
 * many questions need: whoever reads one all the same finds it missing.
 *
 * Whether an object is *stored* is never answered from here: who writes it, writes it.
 *
 * Threads: one fills and frees a scratch; anyone reads. */
#ifndef ONWARD_REPO_SCRATCH_H
#define ONWARD_REPO_SCRATCH_H

#include <stdint.h>

#include "base/cleanup.h"
#include "repo/repo.h"
#include "repo/sink.h"

#define SCRATCH_MEMORY (16u << 20)
#define SCRATCH_WHOLE  UINT64_MAX /* as `keep`: every blob */

struct scratch;

/* `keep`: the largest blobs, in bytes, whose content will be read. */
struct scratch *scratch_new(struct repo *repo, uint64_t keep);
/* NULL is allowed. */
void scratch_free(struct scratch *s);
DEFINE_CLEANUP(struct scratch *, scratch_free)
/* Where its objects come from; borrowed. */
struct sink *scratch_sink(struct scratch *s);

#endif
