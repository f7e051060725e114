/* The reconciler: brings every site to the revision that it should run, and says what it does.
 *
 * One thread decides; it wakes when the mainline moved, a backend answered, a time came or an
 * operator spoke. Each time it makes the inputs of deploy/plan.h (pure: declaration, records, clock
 * → actions), carries the actions out and publishes a new fleet on the board. Backends run in
 * threads and processes of their own, at most `concurrency` at once for each.
 *
 * Invariants: an attempt is in the ledger before its backend starts, its outcome before it shows as
 * deployed; an attempt found without an outcome at start is recorded as interrupted and started
 * again; a site's generation only grows; backends are never called with an older target than the
 * one before unless the declaration (pin) or a new commit says so. */
#ifndef ONWARD_DEPLOY_RECONCILE_H
#define ONWARD_DEPLOY_RECONCILE_H

#include <stdbool.h>

#include "deploy/backend_config.h"
#include "deploy/order.h"
#include "ledger/ledger.h"
#include "repo/history_index.h"
#include "repo/mainline.h"
#include "site/fleet.h"

struct reconcile_config {
    struct repo *repo;
    struct mainline *mainline;
    struct ledger *ledger;
    struct history_index *history; /* spares long walks; NULL: none */
    struct fleet_board *board;
    const struct backend_config *backends;
    size_t nbackends;
    const char *mountpoint; /* absolute: backends work in <mountpoint>/revisions/<id>/<source> */
    const char *host;
    bool enabled; /* false: decide and show, start nothing (-o noreconcile) */
    const char
        *disabled_why; /* when a lease keeps this host from acting: shown as blocked_by lease */
    /* Each event as one JSON object, for `.onward/events`; may be NULL. Takes the reference. */
    void (*event)(json_t *event, void *arg);
    void *event_arg;
};

struct reconcile;

/* Everything in `config` must outlive it. Starts the thread. */
int reconcile_start(const struct reconcile_config *config, struct reconcile **ret,
                    struct diag *reterr);
/* Tells that refs changed: cheap, from any thread. */
void reconcile_wake(struct reconcile *r);
/* What an operator orders, any but ORDER_ROLLBACK; `who` stands in the record. Returns when it is
 * in force (and, if it is of those that are recorded, in the ledger). -EINVAL, -ENOENT (no such
 * site), with a reason. */
int reconcile_order(struct reconcile *r, const char *who, const struct order *order,
                    struct diag *reterr);
/* Lets running attempts end for at most `grace` ns, then stops them (TERM, KILL) and records them
 * as interrupted; ends the thread. NULL is allowed. */
void reconcile_stop(struct reconcile *r, int64_t grace);

#endif
