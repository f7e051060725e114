/* Reading a history store: all questions to one snapshot see the same state. They are those of
 * history_index.h, which says what they mean; here -EUCLEAN means damaged. A snapshot is used by
 * one thread at a time, and kept no longer than a question: while it lives, no page of the file
 * that it could see is used again. Inside src/repo only. */
#ifndef ONWARD_REPO_HISTORY_SNAPSHOT_H
#define ONWARD_REPO_HISTORY_SNAPSHOT_H

#include "repo/history_record.h"
#include "repo/history_store.h"

struct history_snapshot;

int history_snapshot_begin(struct history_store *store, struct history_snapshot **ret);
void history_snapshot_end(struct history_snapshot *s);
DEFINE_CLEANUP(struct history_snapshot *, history_snapshot_end)

/* All zero while there is nothing in it. */
int history_snapshot_line(struct history_snapshot *s, struct history_line *ret);

int history_snapshot_at(struct history_snapshot *s, uint32_t pos, struct history_revision *ret);
int history_snapshot_find(struct history_snapshot *s, const struct oid *rev, uint32_t *ret);
int history_snapshot_find_abbrev(struct history_snapshot *s, const char *hex, uint32_t *ret);
int history_snapshot_at_time(struct history_snapshot *s, int64_t time, uint32_t *ret);
int history_snapshot_revisions(struct history_snapshot *s, uint32_t pos,
                               int (*each)(const struct history_revision *rev, void *arg),
                               void *arg);

int history_snapshot_child(struct history_snapshot *s, path_id dir, const char *name, path_id *ret);
int history_snapshot_children(struct history_snapshot *s, path_id dir, path_id after,
                              int (*each)(path_id id, const char *name, void *arg), void *arg);

int history_snapshot_last_change(struct history_snapshot *s, path_id path, uint32_t pos,
                                 struct history_change *ret);
int history_snapshot_changes(struct history_snapshot *s, path_id path, uint32_t pos,
                             int (*each)(const struct history_change *change, void *arg),
                             void *arg);
int history_snapshot_changes_back(struct history_snapshot *s, path_id path, uint32_t pos,
                                  int (*each)(const struct history_change *change, void *arg),
                                  void *arg);

#endif
