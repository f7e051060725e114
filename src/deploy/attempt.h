/* One attempt under way: a backend's call in a thread of its own, and everything that it needs,
 * kept until the reconciler has recorded its end. */
#ifndef ONWARD_DEPLOY_ATTEMPT_H
#define ONWARD_DEPLOY_ATTEMPT_H

#include "base/pool.h"
#include "deploy/backend.h"
#include "ledger/ledger.h"

struct attempt {
    struct attempt *next; /* for whoever keeps a list of them */
    struct backend *backend;
    size_t backend_index;
    struct ledger *ledger;
    struct declaration *declaration; /* holds request.site */
    struct backend_request request;
    struct record record; /* as it began: what the record of its end repeats */
    void (*ended)(struct attempt *a, void *arg);
    void *arg;
    /* known once it runs, or ended */
    int64_t started, duration; /* mono ns */
    int64_t started_at;        /* real ns */
    struct backend_result result;
    struct oid log; /* the output in the repository; zero: there was none */
};

/* Starts it in `pool`; `a->ended(a, a->arg)` is called from there when it is over. */
void attempt_start(struct attempt *a, struct pool *pool);
/* Of one that does not run. NULL is allowed. */
void attempt_free(struct attempt *a);

#endif
