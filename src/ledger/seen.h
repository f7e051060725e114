/* The high-water mark: the newest revision of the mainline that this host has taken in. It moves to
 * descendants only, unless a person accepts another history; whoever deploys asks first whether the
 * mainline still holds it.
 *
 * It is kept in two places, so that it outlives the loss of either:
 *   - the repository: the ref refs/onward/seen/<host>, which also keeps the revision from being
 *     pruned;
 *   - the state directory: the file `seen`, lines "key value": mark, root, branch, repository.
 * The one that is further on counts, and the next move brings the other along. A repository that
 * was set back as a whole, its refs as well, is found out by the file; a state directory that was
 * lost is made up for by the ref. What neither has is not known.
 *
 * The state directory is that of a path. Where it knows nothing of this one, the file of another
 * path speaks for it: the one that was written last, of the same history (the same first revision
 * of the same branch). So an old copy does not pass for the repository by lying elsewhere. From its
 * first move on a path has a mark of its own: two copies that go on side by side do not disturb
 * each other. (The first revision is written down once the history index knows it: at the first
 * move or start thereafter.)
 *
 * Invariants
 *   S1  A mark that was there holds until its place is lost, or it is accepted away, in both.
 *   S2  Moved: the ref first, then the file. Accepted: the file first, then the ref. Between the
 *       two, what holds both of them passes, and nothing else does.
 *
 * Private to the ledger. Threads: seen_get() from any, the others from one. */
#ifndef ONWARD_LEDGER_SEEN_H
#define ONWARD_LEDGER_SEEN_H

#include <pthread.h>

#include "ledger/ledger.h"

/* What a file says. */
struct seen_file {
    struct oid mark, root; /* root: the first revision of its history; zero: not known */
    char *branch;          /* "refs/heads/main" */
    char *repository;      /* path of its common directory */
};

struct seen {
    struct repo *repo;
    char *ref;
    char *path; /* of the file; NULL: there is no state directory */
    struct history_index *history;
    pthread_mutex_t lock; /* guards file.mark */
    struct seen_file file;
    bool adopted; /* `file` is that of another path */
};

/* `host` is a part of a ref's name. */
void seen_init(struct seen *s, struct repo *repo, const char *host);
void seen_done(struct seen *s);
/* Keeps the mark in the file `path`, <state>/<any>/seen, too; those of other paths are its cousins
 * there. A file that cannot be understood is logged, and counts as lost. */
int seen_keep(struct seen *s, const char *path, const struct ledger_mainline *mainline,
              struct diag *reterr);

/* The mark. If the two places name revisions of which neither is behind the other, the one that
 * `head` (zero: none) does not hold. -ENOENT while there is none. */
int seen_get(struct seen *s, const struct oid *head, struct oid *ret);
/* Moves it to `rev`. -ESTALE, and nothing changed: `rev` is not a descendant of it. */
int seen_move(struct seen *s, const struct oid *rev, struct diag *reterr);
/* Moves it to `rev` wherever it was. */
int seen_accept(struct seen *s, const struct oid *rev, struct diag *reterr);

#endif
