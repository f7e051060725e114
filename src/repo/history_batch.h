/* Writing a history store: one transaction that adds revisions at the end of the line, or takes
 * some off. Changes are collected and written sorted by path, so that a batch of many revisions
 * costs little more than their records.
 *
 *     history_batch_begin()
 *     for each revision: history_batch_path(), history_batch_change() …, history_batch_revision()
 *     history_batch_commit() or history_batch_abort()
 *
 * What was added since the last history_batch_revision() belongs to no revision:
 * history_batch_undo() forgets it, which must be done before a commit. Inside src/repo only. */
#ifndef ONWARD_REPO_HISTORY_BATCH_H
#define ONWARD_REPO_HISTORY_BATCH_H

#include "repo/history_record.h"
#include "repo/history_store.h"

struct history_batch;

int history_batch_begin(struct history_store *store, struct history_batch **ret);
/* Makes it durable as far as history_store.h says. Ends the batch, also when it fails: then the
 * store is as it was before. */
int history_batch_commit(struct history_batch *b);
/* Ends it without a trace. NULL is allowed. */
void history_batch_abort(struct history_batch *b);
DEFINE_CLEANUP(struct history_batch *, history_batch_abort)

/* The line as it will be. */
const struct history_line *history_batch_line(const struct history_batch *b);
/* How many changes have been collected. */
size_t history_batch_size(const struct history_batch *b);

/* The id of a child, which is given one if it has none. */
int history_batch_path(struct history_batch *b, path_id dir, const char *name, path_id *ret);
/* A change at the next revision; its pos and number are found here. */
void history_batch_change(struct history_batch *b, path_id path,
                          const struct history_change *change);
/* Ends the next revision. */
int history_batch_revision(struct history_batch *b, const struct oid *oid, int64_t time);
int history_batch_undo(struct history_batch *b);

/* Leaves the first `count` revisions only, and the paths that they have. In an empty batch. */
int history_batch_cut(struct history_batch *b, uint32_t count);

#endif
