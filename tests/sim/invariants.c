#include "invariants.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

#define CHECK(holds, invariant) world_check(w, (holds), (invariant), s->name)

/* ---- what the records say -------------------------------------------------------------------- */

/* Speaks of an attempt; HEALED does only at its end, else an observation found that all is well. */
static bool is_step(const struct sim_site *s, size_t i)
{
    enum record_kind kind = s->history.v[i].kind;

    if (kind != RECORD_HEALED)
        return kind != RECORD_HELD && kind != RECORD_RELEASED && kind != RECORD_DRIFTED;
    while (i-- > 0)
        if (s->history.v[i].kind != RECORD_HELD && s->history.v[i].kind != RECORD_RELEASED)
            return s->history.v[i].kind == RECORD_ATTEMPT;
    return false;
}

/* The newest record of an attempt. */
static const struct record *newest(const struct sim_site *s)
{
    for (size_t i = s->history.n; i-- > 0;)
        if (is_step(s, i))
            return &s->history.v[i];
    return NULL;
}

static bool is_held(const struct sim_site *s)
{
    for (size_t i = s->history.n; i-- > 0;)
        if (s->history.v[i].kind == RECORD_HELD || s->history.v[i].kind == RECORD_RELEASED)
            return s->history.v[i].kind == RECORD_HELD;
    return false;
}

static bool is_deployment(const struct record *r)
{
    return r && (r->kind == RECORD_DEPLOYED || r->kind == RECORD_HEALED);
}

/* The newest deployment was found changed. */
static bool is_drifted(const struct sim_site *s)
{
    for (size_t i = s->history.n; i-- > 0;) {
        enum record_kind kind = s->history.v[i].kind;
        if (kind == RECORD_DRIFTED)
            return is_deployment(newest(s));
        if (kind != RECORD_HELD && kind != RECORD_RELEASED)
            return false;
    }
    return false;
}

/* The newest generation heals. */
static bool is_healing(const struct sim_site *s)
{
    const struct record *r = newest(s);

    for (size_t i = s->history.n; r && i-- > 0;)
        if (s->history.v[i].kind == RECORD_ATTEMPT && s->history.v[i].generation == r->generation &&
            s->history.v[i].attempt == 1)
            return s->history.v[i].outcome != NULL;
    return false;
}

static bool to_target(const struct sim_site *s, const struct record *r)
{
    struct oid rev = sim_oid(s->declared ? s->revision : -1, 1),
               inputs = sim_oid(s->declared ? s->inputs : -1, 2);

    return r && !oid_is_zero(&rev) && oid_equal(&r->to, &rev) && oid_equal(&r->inputs, &inputs);
}

static bool has_outcome(const struct record *r, const char *outcome)
{
    return r && r->outcome && !strcmp(r->outcome, outcome);
}

static bool is_open(const struct sim_site *s)
{
    const struct record *r = newest(s);

    return r && r->kind == RECORD_ATTEMPT;
}

/* Another attempt of the newest generation would follow. */
static bool waits(const struct sim_site *s)
{
    const struct record *r = newest(s);

    return r && (r->kind == RECORD_INTERRUPTED || has_outcome(r, "retry") ||
                 has_outcome(r, "later") || (is_open(s) && !s->attempt));
}

static bool ended_badly(const struct sim_site *s)
{
    return has_outcome(newest(s), "failed") || has_outcome(newest(s), "stalled");
}

/* It runs the target, changed or not. */
static bool has_arrived(const struct sim_site *s)
{
    return !s->attempt && is_deployment(newest(s)) && to_target(s, newest(s));
}

bool sim_in_sync(const struct sim_site *s)
{
    return has_arrived(s) && !is_drifted(s);
}

static bool depends_in_vain(const struct world *w, const struct sim_site *s)
{
    for (size_t i = 0; i < s->ndepends; i++)
        if (!sim_in_sync(&w->sites[s->depends[i]]))
            return true;
    return false;
}

/* Nothing may start, not even what heals. */
static bool stands_still(const struct world *w, const struct sim_site *s)
{
    return w->frozen_kind || w->readonly || s->suspend || s->misconfigured || !s->declared ||
           is_held(s);
}

static bool blocked(const struct world *w, const struct sim_site *s)
{
    return stands_still(w, s) || w->paused || depends_in_vain(w, s);
}

/* ---- waves ----------------------------------------------------------------------------------- */

static bool is_unreachable(const struct sim_site *s)
{
    const struct record *last = newest(s);

    for (size_t i = s->history.n; last && i-- > 0;) {
        const struct record *r = &s->history.v[i];
        if (r->generation != last->generation)
            return false;
        if (r->kind == RECORD_FAILED)
            return has_outcome(r, "later");
    }
    return false;
}

static enum standing standing(const struct world *w, const struct sim_site *s)
{
    bool at = to_target(s, newest(s));

    if (has_arrived(s))
        return STANDING_ARRIVED;
    if (at && (s->attempt || sim_runs_elsewhere(w, s)) && !is_unreachable(s))
        return STANDING_MOVING;
    if (is_held(s) || s->suspend || s->misconfigured || !s->declared)
        return STANDING_PASSED;
    if (at && ended_badly(s))
        return s->retry_asked ? STANDING_MOVING : STANDING_FAILED;
    if (depends_in_vain(w, s) || (at && is_unreachable(s)))
        return STANDING_PASSED;
    return at && waits(s) ? STANDING_MOVING : STANDING_FRESH;
}

/* What the sites of one wave of one rollout are to it; after the plan was carried out, but `done`.
 */
struct tally {
    size_t sites, taking; /* all; those that take up room */
    size_t fresh, moving, failed, soaking;
    size_t starting; /* fresh ones */
};

/* Everything that is looked at more than once, of one plan. */
struct survey {
    enum standing *standing;                                         /* of each site */
    struct tally (*tallies)[ARRAY_SIZE(((struct world *)0)->waves)]; /* of each revision */
};

static void survey_site(const struct world *w, const struct plan *plan, size_t i,
                        struct survey *ret)
{
    const struct sim_site *s = &w->sites[i];
    enum standing st = ret->standing[i] = standing(w, s);

    if (!s->declared || s->revision < 0)
        return;
    size_t wave = plan->waves.wave[i];
    struct tally *t = &ret->tallies[s->revision][wave];
    t->sites++;
    t->taking += st != STANDING_PASSED;
    t->fresh += st == STANDING_FRESH;
    t->moving += st == STANDING_MOVING;
    t->failed += st == STANDING_FAILED;
    t->soaking += st == STANDING_ARRIVED && s->track.ended + w->waves[wave].soak > w->mono;
}

static bool starts_fresh(const struct survey *v, const struct plan_action *a)
{
    return a->kind == PLAN_START && !a->heal && v->standing[a->site] == STANDING_FRESH;
}

static struct survey survey(const struct world *w, const struct plan *plan)
{
    struct survey v = {.standing = xcalloc(w->nsites, sizeof(*v.standing)),
                       .tallies = xcalloc(w->head + 1, sizeof(*v.tallies))};

    for (size_t i = 0; i < w->nsites; i++)
        survey_site(w, plan, i, &v);
    vec_foreach (a, plan)
        if (starts_fresh(&v, a))
            v.tallies[w->sites[a->site].revision][plan->waves.wave[a->site]].starting++;
    return v;
}

static void survey_done(struct survey *v)
{
    free(v->standing);
    free(v->tallies);
}

/* Nothing is left to wait for. */
static bool wave_done(const struct world *w, const struct tally *t)
{
    return !t->fresh && !t->moving && !t->soaking && t->failed <= (size_t)w->max_failures;
}

static bool rollout_stopped(const struct world *w, const struct tally *waves)
{
    for (size_t k = 0; k < w->nwaves; k++)
        if (waves[k].failed > (size_t)w->max_failures)
            return true;
    return false;
}

static size_t most_away(const struct wave *wave, const struct tally *t)
{
    int most = wave->max_unavailable;

    if (!most)
        return t->sites;
    if (most > 0)
        return most;
    return t->sites * -most / 100 ? t->sites * -most / 100 : 1;
}

/* The site's wave lets it start. */
static bool wave_is_open(const struct world *w, const struct plan *plan, const struct survey *v,
                         size_t site)
{
    const struct tally *waves = v->tallies[w->sites[site].revision];

    for (size_t k = 0; k < plan->waves.wave[site]; k++)
        if (!wave_done(w, &waves[k]))
            return false;
    return !rollout_stopped(w, waves);
}

static bool wave_has_room(const struct world *w, const struct plan *plan, const struct survey *v,
                          size_t site)
{
    size_t wave = plan->waves.wave[site];
    const struct tally *t = &v->tallies[w->sites[site].revision][wave];

    return t->moving + t->failed + t->starting < most_away(&w->waves[wave], t);
}

static void check_wave_start(const struct world *w, const struct plan *plan, const struct survey *v,
                             size_t site)
{
    const struct sim_site *s = &w->sites[site];
    const struct tally *waves = v->tallies[s->revision], *mine = &waves[plan->waves.wave[site]];

    CHECK(wave_is_open(w, plan, v, site), "W2, W3, W4 a fresh site starts in the open wave");
    CHECK(mine->moving + mine->failed + mine->starting <=
              most_away(&w->waves[plan->waves.wave[site]], mine),
          "W5 only so many are away at once");
}

/* Of each rollout that is under way. */
static void check_quotas(const struct world *w, const struct plan *plan, const struct survey *v)
{
    vec_foreach (rollout, &plan->waves) {
        const struct tally *waves = v->tallies[rollout->rollout];
        size_t all = 0;
        for (size_t k = 0; k < w->nwaves; k++)
            all += waves[k].sites;
        for (size_t k = 0; k + 1 < w->nwaves; k++) {
            const struct wave *wave = &w->waves[k];
            size_t most = wave->count ? (size_t)wave->count : (all * wave->share + 99) / 100;
            if (wave->count || wave->share)
                world_check(w, waves[k].taking <= most, "W1 a wave holds no more than it may",
                            wave->name);
        }
    }
}

/* ---- attempts -------------------------------------------------------------------------------- */

/* Ends of any kind, and failures, since the generation or the last `retry` began. */
static void count_ends(const struct sim_site *s, int *tries, int *failures)
{
    const struct record *before = NULL;

    *tries = *failures = 0;
    for (size_t i = 0; i < s->history.n; i++) {
        const struct record *r = &s->history.v[i];
        if (!is_step(s, i))
            continue;
        bool asked = has_outcome(before, "failed") || has_outcome(before, "stalled");
        if (r->kind == RECORD_ATTEMPT && (r->attempt == 1 || asked))
            *tries = *failures = 0;
        *tries += r->kind == RECORD_FAILED;
        *failures += has_outcome(r, "retry") || has_outcome(r, "failed");
        before = r;
    }
}

/* The exponential back-off after the newest record, without jitter. */
static double full_backoff(const struct world *w, const struct sim_site *s)
{
    const struct retry *retry = &w->backends[s->backend].plan.retry;
    double wait = retry->first;
    int tries, failures;

    count_ends(s, &tries, &failures);
    for (int i = 1; i < tries; i++)
        wait *= retry->factor;
    return wait < retry->longest ? wait : retry->longest;
}

/* ---- a start --------------------------------------------------------------------------------- */

static void check_number(const struct world *w, const struct sim_site *s,
                         const struct plan_action *a)
{
    const struct record *last = newest(s);
    uint64_t generation = last ? last->generation : 0;

    if (a->generation == generation) {
        CHECK(last && a->attempt == last->attempt + 1, "I2 attempts are counted");
        CHECK(a->heal ? oid_equal(&last->to, &s->track.deployed) : to_target(s, last),
              "I2, I3 a generation has one goal");
        CHECK(waits(s) || (ended_badly(s) && s->retry_asked), "I8 what has ended starts again");
    } else {
        CHECK(a->generation == generation + 1 && a->attempt == 1, "I2 generations are counted");
        CHECK(a->heal || !(to_target(s, last) && (waits(s) || ended_badly(s))),
              "I8 a new generation has a reason");
    }
}

static void check_backoff(const struct world *w, const struct sim_site *s,
                          const struct plan_action *a)
{
    const struct record *last = newest(s);
    bool again = last && a->generation == last->generation;

    if (!again || s->retry_asked || !(has_outcome(last, "retry") || has_outcome(last, "later")))
        return;
    CHECK(w->mono - s->track.ended >= full_backoff(w, s) * 0.75 - 1,
          "I6 a retry waits for its back-off");
}

/* What heals goes to what is deployed, because that was found changed. */
static void check_heal(const struct world *w, const struct sim_site *s)
{
    CHECK(!stands_still(w, s), "I4, I15, I17 nothing heals at a site that stands still");
    CHECK(is_drifted(s) || is_healing(s), "I3 what heals has drifted");
    CHECK(s->self_heal || s->retry_asked, "I4 somebody wants it healed");
}

static void check_start(const struct world *w, const struct plan *plan, const struct survey *v,
                        const struct plan_action *a)
{
    const struct sim_site *s = &w->sites[a->site];
    int tries, failures;

    CHECK(s->call == VERB_NONE, "I1 one call at once");
    if (a->heal) {
        check_heal(w, s);
    } else {
        CHECK(!blocked(w, s), "I4, I14, I15, I17 nothing starts at a site that is blocked");
        CHECK(!sim_in_sync(s), "I9 a site that is in sync is left alone");
    }
    if (starts_fresh(v, a))
        check_wave_start(w, plan, v, a->site);
    check_number(w, s, a);
    check_backoff(w, s, a);
    count_ends(s, &tries, &failures);
    if (newest(s) && a->generation == newest(s)->generation && !s->retry_asked)
        CHECK(failures < w->backends[s->backend].plan.retry.limit, "I7 failures are limited");
}

/* Calls that need no record. */
static void check_call(const struct world *w, const struct plan_action *a)
{
    const struct sim_site *s = &w->sites[a->site];

    if (a->kind == PLAN_HEALTH) {
        CHECK(s->attempt && s->call == VERB_NONE, "I1 health is asked for between calls");
        CHECK(w->mono >= s->health_at && w->mono < s->health_until, "I16 health is asked in time");
    } else if (a->kind == PLAN_OBSERVE) {
        CHECK(!s->attempt && s->call == VERB_NONE, "I1 who moves is not observed");
        CHECK(is_deployment(newest(s)), "what is observed was deployed");
    } else {
        CHECK(s->call == VERB_HEALTH || s->call == VERB_OBSERVE, "apply is let finish");
        CHECK(!s->stopping, "I13 a call is stopped once");
    }
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* What else than its backend ends a generation. */
static void check_ending(const struct world *w, const struct sim_site *s,
                         const struct plan_action *a)
{
    bool waits_for_health = s->attempt && s->call == VERB_NONE;

    if (a->kind == PLAN_INTERRUPT)
        CHECK(is_open(s) && !s->attempt, "I10 only what is open is interrupted, first of all");
    else if (a->kind == PLAN_SUPERSEDE)
        CHECK((waits(s) || waits_for_health) && (!to_target(s, newest(s)) || is_drifted(s)),
              "I11 what would go on to an older goal is superseded");
    else
        CHECK(waits_for_health && w->mono >= s->health_until,
              "I16 who has time left has not failed");
}

/* The actions of one site come in their order, each at most once. */
static void check_order(const struct world *w, const struct plan *plan, size_t i)
{
    const struct sim_site *s = &w->sites[i];
    bool seen[PLAN_STOP + 1] = {false};

    vec_foreach (a, plan) {
        if (a->site != i)
            continue;
        CHECK(!seen[a->kind] && !seen[PLAN_START], "I1 a start is a site's last action");
        seen[a->kind] = true;
        if (a->kind != PLAN_START) {
            PLAN_RECORDS(a->kind) ? check_ending(w, s, a) : check_call(w, a);
            continue;
        }
        bool next = a->generation != (newest(s) ? newest(s)->generation : 0);
        CHECK(!s->attempt || seen[PLAN_SUPERSEDE], "I1 one attempt at once");
        CHECK(!is_open(s) || s->attempt || seen[PLAN_INTERRUPT],
              "I10 an open attempt is interrupted first");
        CHECK(!(next && waits(s)) || seen[PLAN_SUPERSEDE],
              "I11 a generation given up is superseded");
    }
}

static bool soaks(const struct world *w, const struct plan *plan, size_t i)
{
    const struct sim_site *s = &w->sites[i];

    return sim_in_sync(s) && plan->waves.view[s->revision] &&
           s->track.ended + w->waves[plan->waves.wave[i]].soak > w->mono;
}

static void check_step(const struct world *w, const struct plan *plan, size_t i)
{
    const struct sim_site *s = &w->sites[i];
    const struct plan_view *v = &plan->views[i];
    const char *step = v->step ? v->step : "";

    CHECK((v->state == SITE_MIGRATING) == (v->step != NULL), "only what migrates has a step");
    if (s->attempt)
        CHECK(!strcmp(step, s->call == VERB_APPLY ? "apply" : "health"),
              "what is under way is migrating");
    else if (v->state == SITE_MIGRATING && !sim_runs_elsewhere(w, s))
        CHECK(!strcmp(step, "retry") || (!strcmp(step, "soak") && soaks(w, plan, i)),
              "what migrates and is not under way waits for a retry, or soaks");
}

static void check_view(const struct world *w, const struct plan *plan, size_t i)
{
    const struct sim_site *s = &w->sites[i];
    const struct plan_view *v = &plan->views[i];
    bool quiet = !s->suspend && !is_held(s);

    if (v->state == SITE_IN_SYNC)
        CHECK(sim_in_sync(s), "I9 in-sync is said of this target only");
    if (sim_in_sync(s) && quiet && s->declared)
        CHECK(v->state == SITE_IN_SYNC || soaks(w, plan, i), "I9 what is in sync is said to be");
    if (is_drifted(s) && quiet && !s->attempt)
        CHECK(v->state == SITE_DRIFTED, "drift is said");
    if (is_held(s) && !s->attempt && !s->suspend && !sim_runs_elsewhere(w, s))
        CHECK(v->state == SITE_HELD, "I17 a hold is said");
    check_step(w, plan, i);
    if (!s->attempt && !sim_runs_elsewhere(w, s))
        CHECK(v->blocked_by.n || !blocked(w, s) || sim_in_sync(s),
              "a site that is blocked says why");
    if (v->until && has_outcome(newest(s), "retry") && !s->retry_asked && !s->misconfigured) {
        double wait = v->until - s->track.ended, full = full_backoff(w, s);
        CHECK(wait >= full * 0.75 - 1 && wait <= full + 1, "I6 a back-off is within its bounds");
    }
}

/* What could start has started, or there is no room (I13), or its time is known (I12). */
static void check_eager(const struct world *w, const struct plan *plan, const struct survey *v,
                        const int *room, size_t i)
{
    const struct sim_site *s = &w->sites[i];
    int64_t until = plan->views[i].until;

    vec_foreach (a, plan)
        if (a->site == i && (a->kind == PLAN_START || a->kind == PLAN_STOP))
            return;
    if (s->attempt || s->stopping || blocked(w, s) || has_arrived(s))
        return;
    if (ended_badly(s) && to_target(s, newest(s)) && !s->retry_asked)
        return;
    if (v->standing[i] == STANDING_FRESH &&
        (!wave_is_open(w, plan, v, i) || !wave_has_room(w, plan, v, i)))
        return;
    if (waits(s) && to_target(s, newest(s)) && until > w->mono)
        CHECK(plan->wake_at <= until, "I12 who waits for a time is woken then");
    else
        CHECK(room[s->backend] == 0, "I13 what may start starts");
}

/* The times that only the plan knows about. */
static void check_wake(const struct world *w, const struct plan *plan, size_t i)
{
    const struct sim_site *s = &w->sites[i];

    if (w->readonly)
        return;
    vec_foreach (a, plan)
        if (a->site == i && a->kind == PLAN_SUPERSEDE)
            return;
    if (!s->attempt || s->call != VERB_NONE || s->health_until <= w->mono)
        return;
    CHECK(plan->wake_at <= s->health_until, "I12 who is never healthy is given up in time");
    CHECK(plan->wake_at <= s->health_at || s->health_at <= w->mono,
          "I12 health is asked for when it is time");
}

void invariants_of_plan(const struct world *w, const struct plan_input *input,
                        const struct plan *plan)
{
    int room[ARRAY_SIZE(w->backends)];
    struct survey v = survey(w, plan);

    for (size_t b = 0; b < ARRAY_SIZE(room); b++)
        room[b] = input->backends[b].concurrency - input->backends[b].running;
    vec_foreach (a, plan) {
        const struct sim_site *s = &w->sites[a->site];
        CHECK(!w->readonly, "I15 who only shows records nothing");
        if (a->kind == PLAN_START)
            check_start(w, plan, &v, a);
        if (a->kind == PLAN_START || a->kind == PLAN_HEALTH || a->kind == PLAN_OBSERVE)
            CHECK(--room[s->backend] >= 0, "I5 a backend has only so much room");
    }
    for (size_t i = 0; i < w->nsites; i++) {
        check_order(w, plan, i);
        check_view(w, plan, i);
        check_eager(w, plan, &v, room, i);
        check_wake(w, plan, i);
    }
    check_quotas(w, plan, &v);
    survey_done(&v);
}

void invariants_of_end(const struct world *w, const struct sim_site *s, enum backend_end end,
                       const struct plan_outcome *outcome)
{
    bool done = outcome->kind == RECORD_DEPLOYED || outcome->kind == RECORD_HEALED;
    int tries, failures, limit = w->backends[s->backend].plan.retry.limit;

    CHECK(!done || end == BACKEND_DONE, "I16 deployed is what its backend said is done");
    CHECK(!done || s->call == VERB_HEALTH || !w->backends[s->backend].knows_health,
          "I16 deployed is what is healthy");
    CHECK((outcome->kind == RECORD_HEALED) == (done && is_healing(s)), "what heals is healed");
    count_ends(s, &tries, &failures);
    if (outcome->outcome && !strcmp(outcome->outcome, "retry"))
        CHECK(failures + 1 < limit, "I7 failures are limited");
    if (outcome->outcome && !strcmp(outcome->outcome, "failed"))
        CHECK(failures + 1 >= limit, "I7 all attempts are made before a site is given up");
}

/* The revision other than the deployed one that ran before it. */
static struct oid previous(const struct sim_site *s)
{
    const struct record *deployed = NULL;

    for (size_t i = s->history.n; i-- > 0;) {
        const struct record *r = &s->history.v[i];
        if (!is_deployment(r) || !is_step(s, i))
            continue;
        if (!deployed)
            deployed = r;
        else if (!oid_equal(&deployed->to, &r->to))
            return r->to;
    }
    return (struct oid){0};
}

void invariants_at_rest(const struct world *w, const struct plan *plan)
{
    for (size_t i = 0; i < w->nsites; i++) {
        const struct sim_site *s = &w->sites[i];
        struct oid before = previous(s);
        CHECK(oid_equal(&before, &s->track.previous), "previous is what ran before");
        if (w->readonly)
            continue;
        CHECK(!is_open(s) || s->attempt, "I10 every attempt that is not under way has an end");
        CHECK(!waits(s) || to_target(s, newest(s)) || !s->declared || is_healing(s),
              "I3, I11 nothing waits for an older target");
        CHECK(plan->views[i].state != SITE_MIGRATING || s->attempt || waits(s) || soaks(w, plan, i),
              "what is migrating is under way");
    }
}
