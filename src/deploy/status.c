#include "deploy/status.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"

struct now {
    int64_t real, mono;
};

static char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

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
    default:
        return now;
    }
}

/* When the running step is given up, or the next attempt starts. */
static int64_t deadline(const struct roster_site *s, const struct plan_view *v,
                        const struct now *now)
{
    const struct attempt *a = s->facts.attempt;

    if (a)
        return a->started_at + a->request.timeout;
    return v->retry_at ? now->real + (v->retry_at - now->mono) : 0;
}

static void show_track(const struct site_track *t, struct site_status *out)
{
    out->deployed = t->deployed;
    out->deployed_inputs = t->deployed_inputs;
    out->deployed_source = copy(t->deployed_source);
    out->deployed_generation = t->deployed_generation;
    out->previous = t->previous;
    out->previous_source = copy(t->previous_source);
    out->generation = t->generation;
    out->attempt = t->attempt;
    out->message = copy(t->message);
}

static void show_declared(const struct roster_site *s, struct site_status *out)
{
    const struct site *site = s->target->site;

    out->name = xstrdup(s->name);
    out->team = copy(site->team);
    out->backend = copy(site->backend);
    out->source = copy(site->source);
    vec_foreach (path, &site->include)
        *VEC_ADD(&out->include) = xstrdup(*path);
    out->desired = s->desired;
    out->desired_inputs = s->inputs;
}

static void show(struct roster_site *s, const struct plan_view *v, const struct now *now,
                 struct site_status *out)
{
    const struct site_track *t = &s->facts.track;

    if (!s->shown || s->state != v->state || v->state == SITE_IN_SYNC)
        s->since = since(v->state, t, now->real);
    s->shown = true;
    s->state = v->state;
    show_declared(s, out);
    show_track(t, out);
    out->state = v->state;
    out->since = s->since;
    if (v->state == SITE_MIGRATING) {
        out->from = t->from;
        out->to = t->to;
        out->step = v->step;
        out->deadline = deadline(s, v, now);
    }
    vec_foreach (b, &v->blocked_by)
        *VEC_ADD(&out->blocked_by) =
            (struct blocked){.kind = b->kind, .detail = xstrdup(b->detail)};
}

static void count(const struct fleet *f)
{
    int64_t n[SITE_STATES] = {0};

    vec_foreach (s, &f->sites)
        n[s->state]++;
    for (int i = 0; i < SITE_STATES; i++)
        metric_set(METRIC_SITES, site_state_name(i), n[i]);
}

struct fleet *status_fleet(struct roster *roster, const struct targets *targets,
                           const struct plan *plan, const char *problem)
{
    struct fleet *f = fleet_new();
    struct now now = {.real = clock_real(), .mono = clock_mono()};

    assert(plan->nviews == roster->n);
    f->head = targets->head;
    f->problem = copy(targets->frozen ? targets->frozen : problem);
    for (size_t i = 0; i < roster->ndeclared; i++)
        show(roster->v[i], &plan->views[i], &now, VEC_ADD(&f->sites));
    count(f);
    return f;
}
