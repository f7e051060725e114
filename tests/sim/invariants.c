#include "invariants.h"

#include <string.h>

#include "base/clock.h"

#define CHECK(holds, invariant) world_check(w, (holds), (invariant), s->name)

/* ---- what the records say -------------------------------------------------------------------- */

static const struct record *newest(const struct sim_site *s)
{
    return s->history.n ? &s->history.v[s->history.n - 1] : NULL;
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
                 has_outcome(r, "later") || (is_open(s) && !s->running));
}

static bool ended_badly(const struct sim_site *s)
{
    return has_outcome(newest(s), "failed") || has_outcome(newest(s), "stalled");
}

bool sim_in_sync(const struct sim_site *s)
{
    const struct record *r = newest(s);

    return r && r->kind == RECORD_DEPLOYED && to_target(s, r);
}

static bool blocked(const struct world *w, const struct sim_site *s)
{
    if (w->frozen_kind || w->readonly || s->suspend || s->misconfigured || !s->declared)
        return true;
    for (size_t i = 0; i < s->ndepends; i++)
        if (!sim_in_sync(&w->sites[s->depends[i]]))
            return true;
    return false;
}

/* Ends of any kind, and failures, since the generation or the last `retry` began. */
static void count_ends(const struct sim_site *s, int *tries, int *failures)
{
    *tries = *failures = 0;
    for (size_t i = 0; i < s->history.n; i++) {
        const struct record *r = &s->history.v[i];
        const struct record *before = i ? r - 1 : NULL;
        bool asked = has_outcome(before, "failed") || has_outcome(before, "stalled");
        if (r->kind == RECORD_ATTEMPT && (r->attempt == 1 || asked))
            *tries = *failures = 0;
        *tries += r->kind == RECORD_FAILED;
        *failures += has_outcome(r, "retry") || has_outcome(r, "failed");
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
        CHECK(to_target(s, last), "I2, I3 a generation has one target");
        CHECK(waits(s) || (ended_badly(s) && s->retry_asked), "I8 what has ended starts again");
    } else {
        CHECK(a->generation == generation + 1 && a->attempt == 1, "I2 generations are counted");
        CHECK(!(to_target(s, last) && (waits(s) || ended_badly(s))),
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

static void check_start(const struct world *w, const struct plan_action *a)
{
    const struct sim_site *s = &w->sites[a->site];
    int tries, failures;

    CHECK(!s->running, "I1 one attempt at once");
    CHECK(!blocked(w, s), "I4, I14, I15 nothing starts at a site that is blocked");
    CHECK(!sim_in_sync(s), "I9 a site that is in sync is left alone");
    check_number(w, s, a);
    check_backoff(w, s, a);
    count_ends(s, &tries, &failures);
    if (newest(s) && a->generation == newest(s)->generation && !s->retry_asked)
        CHECK(failures < w->backends[s->backend].plan.retry.limit, "I7 failures are limited");
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* The actions of one site come in their order, each at most once. */
static void check_order(const struct world *w, const struct plan *plan, size_t i)
{
    const struct sim_site *s = &w->sites[i];
    bool interrupted = false, superseded = false, started = false;

    vec_foreach (a, plan) {
        if (a->site != i)
            continue;
        CHECK(!started, "I1 a start is a site's last action");
        if (a->kind == PLAN_INTERRUPT) {
            CHECK(is_open(s) && !s->running && !interrupted && !superseded,
                  "I10 only what is open is interrupted, first of all");
            interrupted = true;
        } else if (a->kind == PLAN_SUPERSEDE) {
            CHECK(waits(s) && !to_target(s, newest(s)) && !superseded,
                  "I11 what would go on to an older target is superseded");
            superseded = true;
        } else {
            bool next = a->generation != (newest(s) ? newest(s)->generation : 0);
            CHECK(!is_open(s) || interrupted, "I10 an open attempt is interrupted first");
            CHECK(!(next && waits(s)) || superseded, "I11 a generation given up is superseded");
            started = true;
        }
    }
}

static void check_view(const struct world *w, const struct plan *plan, size_t i)
{
    const struct sim_site *s = &w->sites[i];
    const struct plan_view *v = &plan->views[i];
    bool others = w->readonly && is_open(s); /* it runs at another host */

    if (v->state == SITE_IN_SYNC)
        CHECK(sim_in_sync(s), "I9 in-sync is said of this target only");
    if (sim_in_sync(s) && !s->suspend)
        CHECK(v->state == SITE_IN_SYNC, "I9 what is in sync is said to be");
    CHECK((v->state == SITE_MIGRATING) == (v->step != NULL), "only what migrates has a step");
    if (s->running || others)
        CHECK(v->state == SITE_MIGRATING && !strcmp(v->step, "apply"), "what runs is migrating");
    else if (v->state == SITE_MIGRATING)
        CHECK(!strcmp(v->step, "retry"), "what migrates and does not run waits for a retry");
    if (!s->running && !others)
        CHECK(v->blocked_by.n || !blocked(w, s) || sim_in_sync(s),
              "a site that is blocked says why");
    if (v->until && has_outcome(newest(s), "retry") && !s->retry_asked && !s->misconfigured) {
        double wait = v->until - s->track.ended, full = full_backoff(w, s);
        CHECK(wait >= full * 0.75 - 1 && wait <= full + 1, "I6 a back-off is within its bounds");
    }
}

/* What could start has started, or there is no room (I13), or its time is known (I12). */
static void check_eager(const struct world *w, const struct plan *plan, const int *room, size_t i)
{
    const struct sim_site *s = &w->sites[i];
    const struct plan_view *v = &plan->views[i];

    vec_foreach (a, plan)
        if (a->site == i && a->kind == PLAN_START)
            return;
    if (s->running || blocked(w, s) || sim_in_sync(s))
        return;
    if (ended_badly(s) && to_target(s, newest(s)) && !s->retry_asked)
        return;
    if (waits(s) && to_target(s, newest(s)) && v->until > w->mono)
        CHECK(plan->wake_at <= v->until, "I12 who waits for a time is woken then");
    else
        CHECK(room[s->backend] == 0, "I13 what may start starts");
}

void invariants_of_plan(const struct world *w, const struct plan_input *input,
                        const struct plan *plan)
{
    int room[ARRAY_SIZE(w->backends)];

    for (size_t b = 0; b < ARRAY_SIZE(room); b++)
        room[b] = input->backends[b].concurrency - input->backends[b].running;
    vec_foreach (a, plan) {
        const struct sim_site *s = &w->sites[a->site];
        CHECK(!w->readonly, "I15 who only shows records nothing");
        if (a->kind != PLAN_START)
            continue;
        check_start(w, a);
        CHECK(--room[s->backend] >= 0, "I5 a backend has only so much room");
    }
    for (size_t i = 0; i < w->nsites; i++) {
        check_order(w, plan, i);
        check_view(w, plan, i);
        check_eager(w, plan, room, i);
    }
}

void invariants_of_end(const struct world *w, const struct sim_site *s,
                       const struct plan_outcome *outcome)
{
    int tries, failures, limit = w->backends[s->backend].plan.retry.limit;

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
        if (r->kind != RECORD_DEPLOYED)
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
        CHECK(!is_open(s) || s->running, "I10 every attempt that does not run has an end");
        CHECK(!waits(s) || to_target(s, newest(s)) || !s->declared,
              "I3, I11 nothing waits for an older target");
        CHECK(plan->views[i].state != SITE_MIGRATING || s->running || waits(s),
              "what is migrating is under way");
    }
}
