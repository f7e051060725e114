/* The one who decides, and has done what was decided: a round of
 *
 *     decider_take_in, _follow_refs, _obey ─► _decide ─────► ledger ──► call ─► … ─► publish
 *                                     (plan; ended calls     (one      backends
 *                                     and actions become     commit)
 *                                     records)
 *
 * Deciding makes a transaction on the roster: what cannot be recorded has not happened,
 * and is decided again a second later. It is repeated until there is nothing to record, which is
 * when views are made. In a large fleet most rounds have no view to make: each then takes in what
 * has ended while the one before was recorded, since to look at every site once costs enough.
 *
 * One thread at a time: reconcile.c has that thread, and the mailbox of everybody else. Private to
 * this folder. */
#ifndef ONWARD_DEPLOY_DECIDER_H
#define ONWARD_DEPLOY_DECIDER_H

#include "deploy/attempt.h"
#include "deploy/journal.h"
#include "deploy/order.h"
#include "deploy/reconcile.h"
#include "deploy/roster.h"
#include "deploy/targets.h"
#include "deploy/transaction.h"

/* An operator's order. */
struct command {
    const char *who;
    const struct order *order;
    struct diag *reterr;
};

struct decider {
    const struct reconcile_config *config;
    struct journal journal;
    struct backend **backends; /* as in the configuration, by index */
    struct pool **pools;
    struct targets targets;
    struct roster roster;
    struct transaction transaction;
    struct veto paused;         /* its text may be why nobody can tell */
    struct attempt *unrecorded; /* over, and not in the ledger yet */
    size_t calls;               /* that run, those included that ended and were not taken in… */
    int *running;               /* …of each backend */
    bool cancel;                /* polled by long walks */
    bool ending;                /* the mount may be gone: what fails now says nothing of a site */
    char *set_back;             /* the ledger does not hold what it had: how; NULL: it does */
    char *ledger_problem;       /* why records could not be written; NULL: they could */
    char *told;                 /* the problem that was last told */
    bool shown;                 /* a fleet was published */
    bool dirty;                 /* there is something new to show; true at first */
    bool urgent;                /* …and somebody waits for it */
    int64_t shown_at;           /* mono: when one was published last */

    void (*ended)(struct attempt *a, void *arg); /* a call has ended; from its thread */
    void *ended_arg;
};

/* `config` must outlive it. Set `ended` before anything else. */
int decider_new(const struct reconcile_config *config, struct decider **ret, struct diag *reterr);
/* No call may run. */
void decider_free(struct decider *r);

/* Takes in calls that have ended: a list. */
void decider_take_in(struct decider *r, struct attempt *ended);
/* Takes in where the refs are now. -ECANCELED: `cancel` was set, and nothing was done. */
int decider_follow_refs(struct decider *r);
/* Returns when it is in force, and in the ledger. -ENOENT, -EINVAL, with the reason; -errno of the
 * ledger, and nothing was done. */
int decider_obey(struct decider *r, const struct command *c);
/* Decides, records, calls; publishes when there is nothing more to do, or it is time to. Returns
 * when (mono) to decide again. */
int64_t decider_decide(struct decider *r);

/* Before the end: asks those for their health that have applied, and were not asked yet. */
void decider_ask_last(struct decider *r);
/* Stops all calls: they end soon. */
void decider_stop_calls(struct decider *r);
/* Records the end of every attempt. No call may run. */
void decider_wind_up(struct decider *r);

#endif
