/* The decision: from what is declared, what the ledger says, what runs and what time it is, to what
 * is done next and what is shown. PURE: no I/O, no clock, no globals, nothing of Git; the same
 * input gives the same output. Everything that the reconciler starts, gives up or shows was decided
 * here, so the simulator (tests/sim) tests exactly what runs. What must not grow here: anything
 * that acts.
 *
 * An attempt asks the backend to apply, and then, unless it has no health to tell, for its health,
 * again and again until it is healthy, has failed, or the time is up. It is under way from its
 * start until its end is recorded, whether or not a call of the backend runs.
 *
 * Where a site is brought: its target, the desired revision together with the inputs at it. But a
 * site that has drifted and is healed goes back to what is deployed, as long as it may not go on to
 * the target: its goal.
 *
 * What a site is shown as, by the first line that holds:
 *
 *   suspended   declared `suspend`, and no attempt is under way
 *   migrating   an attempt is under way (step apply, health); or, unless it is held, the newest
 *               attempt was at the goal and another one follows (step retry)
 *   held        an operator has said so
 *   drifted     what was deployed was found changed
 *   migrating   it has arrived at the target and its wave wants it to soak (step soak)
 *   in-sync     the newest attempt deployed exactly the target
 *   failed      the newest attempt was at the target and was the last
 *   stalled     …and a person must look
 *   unknown     never deployed, and something that only a person changes is in the way
 *   pending     it will move when what blocks it ends, or when its backend has room
 *
 * Invariants, cited by number in the tests:
 *
 *   I1   A site never has two attempts at once, nor two calls of its backend.
 *   I2   A start has the generation after the newest and attempt 1, or the newest generation and
 *        the attempt after the newest, and then the same goal. Generations never fall.
 *   I3   A start goes to the target as it is desired now, or heals: a newer target takes over from
 *        waiting for a retry, for health or for the answer to an observation at once, and nothing
 *        older is ever started but what is deployed.
 *   I4   Nothing starts at a site that anything blocks; what heals may be blocked by waves, a pause
 *        and dependencies only.
 *   I5   A backend never runs more than `concurrency` calls.
 *   I6   A retry starts no earlier than its back-off after the end of the one before, and its
 *        back-off is at least three quarters of the exponential one and never more than
 *        `longest`.
 *   I7   A generation fails at most `limit` times, unless `retry` was asked for; "later" and
 *        interruptions do not count.
 *   I8   What failed for the last time, or stalled, starts again only for a new goal or `retry`.
 *   I9   In-sync means: the newest attempt on record ended as deployed (or healed), with the
 *        target's revision and inputs, and no drift was found since. A site that is in sync is left
 *        alone, but for observations.
 *   I10  An attempt on record that is not under way is recorded as interrupted before anything
 *        else.
 *   I11  A generation that would have gone on is recorded as superseded before the next one
 *        starts.
 *   I12  A site that waits for a time is looked at again then: `wake_at` is never later.
 *   I13  A site that nothing blocks, whose time has come and whose backend and wave have room,
 *        starts now. A plan made again after its actions were carried out has none.
 *   I14  A site starts only when all that it depends on are in sync (I9).
 *   I15  While the plan is frozen (the declaration is wrong, the mainline was rewritten, another
 *        host reconciles) nothing starts; while it is `readonly`, nothing is recorded either.
 *   I16  An attempt is deployed only after its backend said healthy, or that it cannot say; one
 *        that is not healthy in time has failed.
 *   I17  A site that is held or paused stays so until somebody lifts it: nothing starts.
 *   I18  Waves: W1 to W6 of waves.h. */
#ifndef ONWARD_DEPLOY_PLAN_H
#define ONWARD_DEPLOY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "deploy/backend.h"
#include "deploy/site_track.h"
#include "deploy/waves.h"
#include "site/fleet.h"

/* Of depends_on: a site that is not declared. */
#define PLAN_NO_SITE SIZE_MAX

/* One site. Everything is borrowed. A site that is no longer declared has no target and a
 * `problem`. */
struct plan_site {
    const char *name;
    struct oid desired, inputs; /* the target; zero: there is none, `problem` says why */
    int64_t desired_at; /* mono: since when this is the target: who waits longest goes first */
    size_t rollout;     /* sites with one revision desired have one number; WAVES_NONE: no target */
    uint64_t waves;     /* bit k: wave k of the declaration may take it */
    int backend;        /* index; -1: this host has none for it, `problem` says why */
    bool suspend, self_heal;
    const char *problem_kind; /* "declaration" "verification"; NULL: none */
    const char *problem;      /* …why it cannot move */
    const char *const *depends_names;
    const size_t *depends_on; /* for each name its index, or PLAN_NO_SITE */
    size_t ndepends;
    const struct site_track *track;
    bool retry_asked; /* `retry`, and no attempt was started since */

    /* what this process does for it */
    bool attempt;           /* one is under way */
    enum backend_verb call; /* that runs now; VERB_NONE: none */
    bool stopping;          /* …and was told to stop */
    int64_t health_at;      /* mono: of an attempt without a call: when to ask for its health */
    int64_t health_until;   /* mono: …and when it has failed */
    int64_t observed_at;    /* mono: end of the last observation; 0: none by this process */
    bool observable;        /* its backend can tell drift, as far as is known */
};

struct plan_backend {
    int concurrency;
    int running; /* calls that run now, those of sites that are no longer declared included */
    struct retry retry;
    int64_t observe_every; /* ns; 0: never */
};

struct plan_input {
    const struct plan_site *sites; /* the declared ones first, in the order of their names */
    size_t nsites;
    size_t nrollouts;
    const struct wave *waves; /* of the declaration */
    size_t nwaves;
    int max_failures;
    const struct plan_backend *backends;
    size_t nbackends;
    /* "declaration" "rewritten" "lease": blocks every site, and the reason; NULL: nothing. */
    const char *frozen_kind, *frozen;
    const char *paused; /* who paused rollouts, and why; NULL: nobody */
    bool readonly;      /* record nothing: somebody else does */
    int64_t now;        /* mono */
};

enum plan_kind {
    PLAN_INTERRUPT, /* record that the newest attempt was interrupted */
    PLAN_SUPERSEDE, /* record that the newest generation is given up */
    PLAN_GIVE_UP,   /* record that the attempt was not healthy in time (plan_outcome says how) */
    PLAN_START,     /* record an attempt, then call: apply */
    PLAN_HEALTH,    /* call: health */
    PLAN_OBSERVE,   /* call: observe */
    PLAN_STOP,      /* stop the call that runs */
};
/* The last three record nothing. */
#define PLAN_RECORDS(kind) ((kind) <= PLAN_START)

struct plan_action {
    enum plan_kind kind;
    size_t site;
    uint64_t generation;
    int attempt;
    bool heal; /* START: to what is deployed, because it has drifted */
};

/* What is shown of a site. */
struct plan_view {
    enum site_state state;
    enum standing standing; /* in its rollout, if that has a view */
    const char *step;       /* "apply" "health" "soak" "retry" while migrating, else NULL; static */
    int64_t until; /* mono: when the health is given up, the soak ends, or the next attempt is
                       * due; 0: nothing waits for a time */
    struct {
        const struct blocked *v; /* in the plan's `blocked` */
        size_t n;
    } blocked_by;
};

struct plan {
    VEC(struct plan_action); /* in the order in which they are to be recorded */
    struct plan_view *views; /* one for each site */
    size_t nviews;
    VEC(struct blocked) blocked; /* of all sites; the details are the input's, static, or in… */
    VEC(char *) texts;
    struct waves waves;
    int64_t wake_at; /* mono: decide again then, if nothing happens before; INT64_MAX: no need */
};

/* Decides. The result is yours (plan_done); it names texts of the input. */
void plan_make(const struct plan_input *input, struct plan *ret);
void plan_done(struct plan *p);

/* What follows when a call of an attempt has ended. */
enum plan_next {
    NEXT_RECORD, /* the attempt has ended: plan_outcome() */
    NEXT_HEALTH, /* it waits for its health */
};
/* `knows_health`: the backend may be asked for it. */
enum plan_next plan_next(enum backend_verb verb, enum backend_end end, bool knows_health);
/* How long to wait before the health is asked for again, after so many times. */
int64_t plan_health_pause(int asked);

/* What is recorded when an attempt ends: the kind, and the record's `outcome` (NULL: the kind says
 * it). */
struct plan_outcome {
    enum record_kind kind;
    const char *outcome;
};
struct plan_outcome plan_outcome(const struct site_track *track, enum backend_end end,
                                 const struct retry *retry);

/* Whether an observation that ended so is recorded, and as what: DRIFTED, or HEALED when it is
 * found in sync again though nobody healed it. */
bool plan_observed(const struct site_track *track, enum backend_end end, enum record_kind *ret);

/* How long the site waits after the end of its newest attempt: first × factor^(tries - 1), at most
 * `longest`, less up to a quarter that site, generation and attempt decide (so that a thousand
 * sites that failed together do not come back together). If the backend has asked for a wait, no
 * less than that and up to a quarter more; but never more than `longest`, which is the host's word.
 */
int64_t plan_backoff(const struct retry *retry, const char *site, const struct site_track *track);

#endif
