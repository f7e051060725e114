/* The history index: which revisions the mainline's first-parent line has, and for each path at
 * which of them it changed, and to what. Everything that would otherwise walk history asks it.
 *
 * It is a cache on disk: made from the repository alone, extended in a thread of its own as the
 * mainline moves, cut back to where a rewritten mainline leaves the line that it holds, and made
 * anew when it is damaged or of another version. Losing it costs time, never an answer.
 *
 * Words. Revisions are numbered from the oldest, 0, along the line: a `pos` is such a number. A
 * `path_id` names a path that ever was on the line: PATH_ROOT is the root directory, all others
 * have a parent and a name. Both keep their meaning for an epoch (history_index_epoch), which ends
 * when the index is made anew or the mainline is rewritten.
 * A change is a pos at which a path is not what it was at pos - 1: it appeared, became another
 * object or another kind, or vanished. A directory changes whenever anything in it does.
 * Entries that object.h hides do not exist here either, nor what lies deeper than any path can be
 * long.
 *
 * Calling sequence: history_index_open(); history_index_follow() with each new head; questions from
 * any thread at any time; history_index_free(). Each question sees the line as of one revision
 * (history_index_count); who needs the answer as of the newest head calls history_index_wait()
 * first. Questions never wait for the thread that extends.
 *
 * Errors: -ENOENT: no such revision, path or change; -EAGAIN: there is nothing yet (it is being
 * made); -EIO: damaged (it is made anew now).
 *
 * Costs: a question about one path or revision takes microseconds, a list what it has items;
 * extending costs what a revision changed.
 *
 * What must not grow here: declarations, sites, anything that is not a function of the mainline's
 * commits. */
#ifndef ONWARD_REPO_HISTORY_INDEX_H
#define ONWARD_REPO_HISTORY_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/object.h"
#include "repo/oid.h"
#include "repo/repo.h"

struct history_index;

typedef uint32_t path_id;
#define PATH_ROOT ((path_id)0)

/* Opens the index in the directory `dir`, which is made if it is not there; a damaged one is made
 * anew. Starts the thread, which looks through what is there first: until then, and that is some
 * 10 ms for 10,000 revisions, there are no answers. Only one process may have it open, and none may
 * fork and go on with it. */
int history_index_open(struct repo *repo, const char *dir, struct history_index **ret,
                       struct diag *reterr);
/* Ends the thread, also in the middle of its work, which is kept as far as it is right. */
void history_index_free(struct history_index *ix);
DEFINE_CLEANUP(struct history_index *, history_index_free)

/* Says where the mainline is now. Returns at once. */
void history_index_follow(struct history_index *ix, const struct oid *head);
/* Waits until the index holds the newest revision that history_index_follow() has named so far, for
 * at most `timeout` ns (0: only asks); if none was named, until it is open. -EAGAIN: not yet; other
 * errors: it cannot be made (the reason is in the log and in history_index_progress). */
int history_index_wait(struct history_index *ix, int64_t timeout);

struct history_progress {
    uint32_t done, total; /* revisions in the index and on the line; total 0: not known yet */
    bool current;         /* it holds the newest head */
    char problem[256];    /* why it cannot be made; "" */
};
void history_index_progress(struct history_index *ix, struct history_progress *ret);
/* Another number whenever positions and path_ids have come to mean something else. Between two
 * questions for it that have the same answer, all others were about one line, longer or shorter:
 * whoever remembers a position asks for the epoch before and compares it later. */
uint32_t history_index_epoch(struct history_index *ix);

/* ---- revisions ---- */

struct history_revision {
    uint32_t pos;
    struct oid oid;
    int64_t time; /* committer's, seconds since 1970, as stored */
};

/* How many revisions it holds. */
int history_index_count(struct history_index *ix, uint32_t *ret);
int history_index_at(struct history_index *ix, uint32_t pos, struct history_revision *ret);
/* -ENOENT: it is not (yet) on the line. */
int history_index_find(struct history_index *ix, const struct oid *rev,
                       struct history_revision *ret);
/* The revision of the line whose id begins with these hex digits (at least 4); -ENOENT also if
 * there are several. */
int history_index_find_abbrev(struct history_index *ix, const char *hex,
                              struct history_revision *ret);
/* The line as it was at `time` (seconds): the newest revision, by position, that is not younger.
 * Clocks of committers go wrong, so times need not grow along the line. -ENOENT: it began later. */
int history_index_at_time(struct history_index *ix, int64_t time, struct history_revision *ret);
/* Calls `each` with the revisions from `pos` on, in order, until it returns non-zero, which is then
 * returned. */
int history_index_revisions(struct history_index *ix, uint32_t pos,
                            int (*each)(const struct history_revision *rev, void *arg), void *arg);

/* ---- paths ---- */

/* The child `name` of a directory, if it ever was there. */
int history_index_child(struct history_index *ix, path_id dir, const char *name, path_id *ret);
/* The same for a path "a/b/c"; "" is the root. */
int history_index_path(struct history_index *ix, const char *path, path_id *ret);
/* Calls `each` with the children that ever were in `dir`, sorted by name (strcmp), from behind the
 * child `after` (PATH_ROOT: from the first), until it returns non-zero, which is then returned. */
int history_index_children(struct history_index *ix, path_id dir, path_id after,
                           int (*each)(path_id id, const char *name, void *arg), void *arg);

/* ---- changes ---- */

struct history_change {
    uint32_t pos;
    uint32_t number; /* counts the changes of the path, from 1 */
    bool there;      /* false: it vanished; kind and oid then mean nothing */
    bool listing;    /* a directory got or lost an entry, or one became another kind */
    enum entry_kind kind;
    struct oid oid;
};

/* The newest change of the path at or before `pos`. -ENOENT: it was not there yet. */
int history_index_last_change(struct history_index *ix, path_id path, uint32_t pos,
                              struct history_change *ret);
/* Calls `each` with the changes of the path from `pos` on, oldest first, until it returns non-zero,
 * which is then returned. */
int history_index_changes(struct history_index *ix, path_id path, uint32_t pos,
                          int (*each)(const struct history_change *change, void *arg), void *arg);
/* The same from `pos` back, newest first. */
int history_index_changes_back(struct history_index *ix, path_id path, uint32_t pos,
                               int (*each)(const struct history_change *change, void *arg),
                               void *arg);

#endif
