#include "deploy/status.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"

struct now {
    int64_t real, mono;
};

/* When a site got into the state: what the ledger says, so that a restart shows the same. */
static int64_t since(enum site_state state, const struct site_track *t, int64_t now)
{
    switch (state) {
    case SITE_IN_SYNC:
    case SITE_FAILED:
    case SITE_STALLED:
        return t->at;
    case SITE_MIGRATING:
        return t->begun_at;
    case SITE_DRIFTED:
        return t->drift_at;
    case SITE_HELD:
        return t->hold_at;
    default:
        return now;
    }
}

static int64_t real_time(int64_t mono, const struct now *now)
{
    return mono ? now->real + (mono - now->mono) : 0;
}

/* When the running step is given up, the soak ends, or the next attempt starts. */
static int64_t deadline(const struct roster_site *s, const struct plan_view *v,
                        const struct now *now)
{
    const struct attempt *a = s->facts.attempt;

    return a && a->call == VERB_APPLY ? a->deadline : real_time(v->until, now);
}

static void show_track(const struct site_track *t, struct site_status *out)
{
    out->deployed = t->deployed;
    out->deployed_inputs = t->deployed_inputs;
    out->deployed_source = t->deployed_source;
    out->deployed_generation = t->deployed_generation;
    out->previous = t->previous;
    out->previous_source = t->previous_source;
    out->generation = t->generation;
    out->attempt = t->attempt;
    out->message = t->message;
    if (t->drifted) {
        out->drifted_at = t->drift_at;
        out->drift_log = t->drift_log;
    }
}

static void show_declared(const struct roster_site *s, struct site_status *out)
{
    const struct site *site = s->target->site;

    out->name = s->name;
    out->team = site->team;
    out->backend = site->backend;
    out->source = site->source;
    out->include.v = (const char *const *)site->include.v;
    out->include.n = site->include.n;
    out->desired = s->desired;
    out->desired_inputs = s->inputs;
}

/* A time that was worked out from two clocks is not quite the same the next time. */
static int64_t steady(int64_t now, int64_t before)
{
    return now - before < NS_PER_MS && before - now < NS_PER_MS ? before : now;
}

/* What is shown now; everything in it is borrowed. `old`: what was shown last, or NULL. */
static struct site_status describe(const struct roster_site *s, const struct plan_view *v,
                                   const struct now *now, const struct site_status *old)
{
    const struct site_track *t = &s->facts.track;
    struct site_status out = {.state = v->state};
    bool new = !old || old->state != v->state || v->state == SITE_IN_SYNC;

    show_declared(s, &out);
    show_track(t, &out);
    out.since = new ? since(v->state, t, now->real) : old->since;
    if (v->state == SITE_MIGRATING) {
        out.from = t->from;
        out.to = t->to;
        out.step = v->step;
        out.deadline = steady(deadline(s, v, now), old ? old->deadline : 0);
    }
    out.blocked_by.v = v->blocked_by.v;
    out.blocked_by.n = v->blocked_by.n;
    return out;
}

/* What was shown last is shown again unless there is something new to say. */
static struct site_status *show(struct roster_site *s, const struct plan_view *v,
                                const struct now *now)
{
    struct site_status is = describe(s, v, now, s->shown);

    if (!s->shown || !site_status_equal(&is, s->shown)) {
        struct site_status *old = s->shown;
        s->shown = site_status_new(&is);
        site_status_unref(old);
    }
    return site_status_ref(s->shown);
}

static void count_rollouts(const struct fleet *f)
{
    int64_t n[WAVE_PHASES] = {0};

    vec_foreach (r, &f->rollouts)
        for (int p = 0; r->open < r->waves.n && p < WAVE_PHASES; p++)
            n[p] += !strcmp(r->waves.v[r->open].phase, wave_phase_name(p));
    for (int p = WAVE_MOVING; p <= WAVE_STOPPED; p++) /* an open one neither waits nor is done */
        metric_set(METRIC_ROLLOUTS, wave_phase_name(p), n[p]);
}

static void count(const struct fleet *f)
{
    int64_t n[SITE_STATES] = {0};

    vec_foreach (s, &f->sites)
        n[(*s)->state]++;
    for (int i = 0; i < SITE_STATES; i++)
        metric_set(METRIC_SITES, site_state_name(i), n[i]);
}

static void show_wave(const struct wave *declared, const struct wave_view *v, const struct now *now,
                      struct fleet_wave *out)
{
    *out = (struct fleet_wave){.name = xstrdup(declared->name),
                               .phase = wave_phase_name(v->phase),
                               .sites = v->sites,
                               .arrived = v->arrived,
                               .moving = v->moving,
                               .failed = v->failed,
                               .passed = v->passed};
    if (v->phase == WAVE_SOAKING)
        out->soaked_at = real_time(v->soaked_at, now);
}

/* Names a site in its rollout, if that is under way and the site holds it up. */
static void name_site(const struct status_source *source, size_t i, struct fleet *f)
{
    const struct roster_site *s = source->roster->v[i];
    const struct waves *waves = &source->plan->waves;
    struct rollout_view *v =
        s->rollout == WAVES_NONE || !waves->view ? NULL : waves->view[s->rollout];
    struct fleet_rollout *r = v ? &f->rollouts.v[v - waves->v] : NULL;
    enum standing standing = source->plan->views[i].standing;

    if (r && standing == STANDING_MOVING)
        fleet_few_add(&r->moving, s->name);
    else if (r && standing == STANDING_FAILED)
        fleet_few_add(&r->failed, s->name);
    else if (r && standing == STANDING_PASSED)
        fleet_few_add(&r->passed, s->name);
}

static void show_rollout(const struct status_source *source, const struct rollout_view *v,
                         const struct now *now, struct fleet_rollout *out)
{
    const struct declaration *d = source->targets->declaration;

    out->revision = source->roster->rollouts.v[v->rollout];
    out->open = v->open;
    for (size_t k = 0; k < d->waves.n; k++)
        show_wave(&d->waves.v[k], &v->waves[k], now, VEC_ADD(&out->waves));
}

struct fleet *status_fleet(const struct status_source *source)
{
    struct fleet *f = fleet_new();
    const struct plan *plan = source->plan;
    struct now now = {.real = clock_real(), .mono = clock_mono()};

    assert(plan->nviews == source->roster->n);
    f->head = source->targets->head;
    f->problem =
        xstrdup_or_null(source->targets->frozen ? source->targets->frozen : source->problem);
    f->more = xstrdup_or_null(source->targets->frozen_more);
    f->paused = xstrdup_or_null(source->paused);
    vec_foreach (r, &plan->waves)
        show_rollout(source, r, &now, VEC_ADD(&f->rollouts));
    for (size_t i = 0; i < source->roster->ndeclared; i++) {
        *VEC_ADD(&f->sites) = show(source->roster->v[i], &plan->views[i], &now);
        name_site(source, i, f);
    }
    count(f);
    count_rollouts(f);
    return f;
}
