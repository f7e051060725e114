/* What this process does for a site: an attempt to bring it to a revision, or an observation. It is
 * one call of the backend after the other (of an attempt: apply, then health as often as need be),
 * each in a thread of a pool, and everything that they need, kept until the reconciler has recorded
 * the end. */
#ifndef ONWARD_DEPLOY_ATTEMPT_H
#define ONWARD_DEPLOY_ATTEMPT_H

#include "base/pool.h"
#include "deploy/backend.h"
#include "deploy/plan.h"
#include "ledger/record.h"

struct attempt {
    struct attempt *next; /* for whoever keeps a list of them */
    struct backend *backend;
    size_t backend_index;
    struct declaration *declaration; /* holds request.site */
    struct backend_request request;
    struct record record; /* as it began: what the record of its end repeats */
    void (*ended)(struct attempt *a, void *arg);
    void *arg;

    enum backend_verb call; /* that runs, or whose end was not looked at yet; VERB_NONE: none */
    bool stopping;          /* it was told to stop */
    int asked;              /* how often for its health */
    int64_t health_at, health_until; /* mono: when to ask again; when it has failed */

    int64_t started, duration;    /* mono ns: of the first call; from there to the last one's end */
    int64_t deadline;             /* real ns: when the call that runs is stopped */
    struct backend_result result; /* of the last call */
    struct buf applied;           /* what apply said; at the end, all the output */
    struct oid log;               /* the id of that; zero: there was none, or it is not over */
};

/* -errno if there is no room for another descriptor. */
int attempt_init(struct attempt *a);
/* Asks the backend, in `pool`; `a->ended(a, a->arg)` is called from there when it has answered. */
void attempt_call(struct attempt *a, enum backend_verb verb, struct pool *pool);
/* What follows on the call that has ended, by its result. Not of an observation. */
enum plan_next attempt_next(const struct attempt *a);
/* Stops the call that runs: it ends soon, as BACKEND_STOPPED. */
void attempt_stop(struct attempt *a);
/* It was not healthy in time: makes that its result. Of one that has no call. */
void attempt_give_up(struct attempt *a);
/* Of one that has no call. NULL is allowed. */
void attempt_free(struct attempt *a);

#endif
