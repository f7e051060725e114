/* The decision: from what is declared, what the ledger says, what runs and what time it is, to what
 * is done next and what is shown. PURE: no I/O, no clock, no globals, nothing of Git; the same
 * input gives the same output. Everything that the reconciler starts, gives up or shows was decided
 * here, so the simulator (tests/sim) tests exactly what runs. What must not grow here: anything
 * that acts.
 *
 * What a site is shown as, by the first line that holds:
 *
 *   suspended   declared `suspend`, and no backend runs
 *   migrating   a backend runs (step apply); or the newest attempt is at the target and another one
 *               follows (step retry)
 *   in-sync     the newest attempt deployed exactly the target
 *   failed      the newest attempt was at the target and was the last
 *   stalled     …and a person must look
 *   unknown     never deployed, and something that only a person changes is in the way
 *   pending     it will move when what blocks it ends, or when its backend has room
 *
 * ("The target" is the desired revision together with the inputs at it.)
 *
 * Invariants, cited by number in the tests:
 *
 *   I1   A site never has two attempts at once.
 *   I2   A start has the generation after the newest and attempt 1, or the newest generation and
 *        the attempt after the newest, and then the same target. Generations never fall.
 *   I3   A start goes to the target as it is desired now: a newer one takes over from waiting
 *        ones at once, and nothing older is ever started.
 *   I4   Nothing starts at a site that anything blocks.
 *   I5   A backend never runs more than `concurrency` attempts.
 *   I6   A retry starts no earlier than its back-off after the end of the one before, and its
 *        back-off is at least three quarters of the exponential one and never more than
 *        `longest`.
 *   I7   A generation fails at most `limit` times, unless `retry` was asked for; "later" and
 *        interruptions do not count.
 *   I8   What failed for the last time, or stalled, starts again only for a new target or
 *        `retry`.
 *   I9   In-sync means: the newest attempt on record ended as deployed, with the target's
 *        revision and inputs. A site that is in sync is left alone.
 *   I10  An attempt on record that does not run is recorded as interrupted before anything else.
 *   I11  A generation that would have gone on is recorded as superseded before the next one
 *        starts.
 *   I12  A site that waits for a time is looked at again then: `wake_at` is never later.
 *   I13  A site that nothing blocks, whose time has come and whose backend has room, starts now.
 *        A plan made again after its actions were carried out has none.
 *   I14  A site starts only when all that it depends on are in sync (I9).
 *   I15  While the plan is frozen (the declaration is wrong, the mainline was rewritten, another
 *        host reconciles) nothing starts; while it is `readonly`, nothing is recorded either. */
#ifndef ONWARD_DEPLOY_PLAN_H
#define ONWARD_DEPLOY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "deploy/backend.h"
#include "deploy/site_track.h"
#include "site/fleet.h"

/* Of depends_on: a site that is not declared. */
#define PLAN_NO_SITE SIZE_MAX

/* One site. Everything is borrowed. A site that is no longer declared has no target and a
 * `problem`. */
struct plan_site {
    const char *name;
    struct oid desired, inputs; /* the target; zero: there is none, `problem` says why */
    int64_t desired_at; /* mono: since when this is the target: who waits longest goes first */
    int backend;        /* index; -1: this host has none for it, `problem` says why */
    bool suspend;
    const char *problem_kind; /* "declaration" "verification"; NULL: none */
    const char *problem;      /* …why it cannot move */
    const char *const *depends_names;
    const size_t *depends_on; /* for each name its index, or PLAN_NO_SITE */
    size_t ndepends;
    const struct site_track *track;
    bool running;     /* this process has an attempt of it under way */
    bool retry_asked; /* `retry`, and no attempt was started since */
};

struct plan_backend {
    int concurrency;
    int running; /* attempts under way now, those of sites that are no longer declared included */
    struct retry retry;
};

struct plan_input {
    const struct plan_site *sites;
    size_t nsites;
    const struct plan_backend *backends;
    size_t nbackends;
    /* "declaration" "rewritten" "lease": blocks every site, and the reason; NULL: nothing. */
    const char *frozen_kind, *frozen;
    bool readonly; /* record nothing: somebody else does */
    int64_t now;   /* mono */
};

enum plan_kind {
    PLAN_INTERRUPT, /* record that the newest attempt was interrupted */
    PLAN_SUPERSEDE, /* record that the newest generation is given up */
    PLAN_START,     /* record an attempt, then start it */
};

struct plan_action {
    enum plan_kind kind;
    size_t site;
    uint64_t generation;
    int attempt;
};

/* What is shown of a site. */
struct plan_view {
    enum site_state state;
    const char *step; /* "apply" "retry" while migrating, else NULL; static */
    int64_t retry_at; /* mono: when the next attempt is due; 0: none is waiting for a time */
    VEC(struct blocked) blocked_by;
};

struct plan {
    VEC(struct plan_action); /* in the order in which they are to be recorded */
    struct plan_view *views; /* one for each site */
    size_t nviews;
    int64_t wake_at; /* mono: decide again then, if nothing happens before; INT64_MAX: no need */
};

/* Decides. The result is yours (plan_done). */
void plan_make(const struct plan_input *input, struct plan *ret);
void plan_done(struct plan *p);

/* What is recorded when an attempt ends: the kind, and the record's `outcome` (NULL: the kind says
 * it). */
struct plan_outcome {
    enum record_kind kind;
    const char *outcome;
};
struct plan_outcome plan_outcome(const struct site_track *track, enum backend_end end,
                                 const struct retry *retry);

/* How long the site waits after the end of its newest attempt: first × factor^(tries - 1), at most
 * `longest`, less up to a quarter that site, generation and attempt decide (so that a thousand
 * sites that failed together do not come back together). */
int64_t plan_backoff(const struct retry *retry, const char *site, const struct site_track *track);

#endif
