/* The proposals of a repository: which there are, their numbers, and the steps between their
 * states. Who may take a step is review.h's to say.
 *
 *             proposals_put            proposals_close
 *    (none) ────────────────▶ open ────────────────────▶ closing ────────────────▶ (none)
 *                             ▲  │                       │    │  proposals_resolve
 *                             ├──┘ proposals_put,        │    │
 *                             │    proposals_approve     │    └ withdrawn, or merged: the
 *                             └──────────────────────────┘      mainline has the revision
 *                                proposals_resolve: it has not
 *
 * Invariants
 *   P1  A proposal's ref moves only by compare-and-swap, from a record to one that was written for
 *       it, and is durable before anybody is told.
 *   P2  The closing record names the revision before the mainline can move to it. So at any
 *       instant, and after any crash, a proposal is either open or merged.
 *   P3  A number is used once. refs/onward/proposals-ended is a row of commits, one for each
 *       proposal that has ended, its last records among their parents; the newest says which number
 *       is the highest so far. It is written before the proposal's ref goes.
 *
 * Threads: any. `writing` is held over each step and its I/O; who freezes a workspace does so
 * before taking it. Readers never take it. */
#ifndef ONWARD_STAGE_PROPOSALS_H
#define ONWARD_STAGE_PROPOSALS_H

#include <pthread.h>

#include "base/map.h"
#include "repo/refs.h"
#include "stage/proposal.h"
#include "stage/staging.h"

#define PROPOSALS_MOST 1000 /* that are shown; as many may be open */

struct stage_env;

struct proposals {
    unsigned refs;
    struct staging_config config;
    struct stage_env *env; /* NULL: they are only shown */
    pthread_mutex_t writing;
    pthread_mutex_t lock; /* guards what follows */
    struct map known;     /* number and tip -> struct proposal, or `none` when it is not one */
    struct map reasons;   /* id of a content -> why it could not be merged, a string */
    bool said_many;
};

/* `config` is copied; what it points to must outlive the proposals. */
struct proposals *proposals_new(const struct staging_config *config, struct stage_env *env);
struct proposals *proposals_ref(struct proposals *s);
void proposals_unref(struct proposals *s);
/* Finishes or undoes what a crash interrupted. Before others can ask. What cannot be is logged. */
void proposals_recover(struct proposals *s);

struct proposal_list {
    VEC(struct proposal *);
};
void proposal_list_done(struct proposal_list *l);
/* Does an open one of the same id (`what` has tree, base and id) make the same change? */
bool proposals_has(struct proposals *s, const struct proposal *what);
/* Those that are open, by number, as of the refs that the mainline has. What is none is logged
 * once. */
void proposals_list(struct proposals *s, struct proposal_list *ret);
/* One of them. -ENOENT. */
int proposals_get(struct proposals *s, uint64_t number, struct proposal **ret);

/* What follows is for who holds `writing`, and tells the mainline nothing: after letting `writing`
 * go, proposals_changed(). All of it: -EAGAIN when somebody else moved the ref. */

/* The proposal as it is in the repository now, open or closing. -ENOENT. */
int proposals_read(struct proposals *s, uint64_t number, struct proposal **ret,
                   struct diag *reterr);
/* The same when it is open; closing ones are resolved first. -ENOENT: it has
 * ended, or never was. */
int proposals_fresh(struct proposals *s, uint64_t number, struct proposal **ret,
                    struct diag *reterr);
/* Makes a proposal of `what` (tree, base, author, message, workspace, owner, id; the number is
 * ours), or a new content of the open one of the same id; without workspace, owner and id, of the
 * open one that makes the same change in the same words. Approvals stay if author and message are
 * the same, and every path changes from the same content to the same content. -EDQUOT. */
int proposals_put(struct proposals *s, const struct proposal *what, struct proposal **ret,
                  struct diag *reterr);
int proposals_approve(struct proposals *s, struct proposal **p, const struct signature *who,
                      const char *comment, struct diag *reterr);
/* To closing: merged as that revision, or (NULL) withdrawn. */
int proposals_close(struct proposals *s, struct proposal **p, const struct oid *as,
                    struct diag *reterr);
/* Ends one that is closing for good, or leads it back. Sets *p to the open one, or NULL. */
int proposals_resolve(struct proposals *s, struct proposal **p, struct diag *reterr);

/* The mainline's listener and readers know of what was done. */
void proposals_changed(struct proposals *s);

/* Why the last attempt to merge it failed ("": nothing is known). Yours. NULL text: forget it. */
char *proposals_reason(struct proposals *s, const struct proposal *p);
void proposals_set_reason(struct proposals *s, const struct proposal *p, const char *text);

#endif
