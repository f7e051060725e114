/* Writes a new pack: objects as they come, deflated, none as a delta (git makes those when it packs
 * anew). Two files, so two fsyncs, for any number of objects.
 *
 *     pack_writer_new, pack_writer_add …, pack_writer_finish or pack_writer_free
 *
 * Beside it lies a file `.keep`, which no `git repack` passes over, from before the pack can be
 * seen. It is locked (flock) as long as its maker holds it: without the lock it is what a crash has
 * left, and pack_keep_tidy() removes it. The pack's name means nothing, and is never given twice.
 * Inside src/repo only. */
#ifndef ONWARD_REPO_PACK_WRITER_H
#define ONWARD_REPO_PACK_WRITER_H

#include <git2.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "repo/oid.h"

/* How the names of its files begin while they are written. */
#define PACK_DRAFT "onward_draft_"

struct pack_writer;

/* The `.keep` of a pack. */
struct pack_keep {
    char *path;
    int fd;
};

int pack_writer_new(const char *objects_dir, struct pack_writer **ret, struct diag *reterr);
/* Removes what was written, unless it is finished. NULL is allowed. */
void pack_writer_free(struct pack_writer *w);
DEFINE_CLEANUP(struct pack_writer *, pack_writer_free)
/* The object of that id, which must not have been added before. */
int pack_writer_add(struct pack_writer *w, const struct oid *oid, git_object_t type,
                    const void *data, size_t len, struct diag *reterr);
/* The same of one whose deflated bytes come in pieces: it begins, and has what is appended until
 * the next one. */
int pack_writer_begin(struct pack_writer *w, const struct oid *oid, git_object_t type,
                      uint64_t size, struct diag *reterr);
int pack_writer_append(struct pack_writer *w, const void *data, size_t n, struct diag *reterr);
/* The pack is durable and there for all. To be followed by pack_writer_free(). */
int pack_writer_finish(struct pack_writer *w, struct pack_keep *ret, struct diag *reterr);

/* Removes it: from now on the pack is like any other. */
void pack_keep_drop(struct pack_keep *keep);
/* Removes those in `objects_dir` that nobody holds. */
void pack_keep_tidy(const char *objects_dir);

#endif
