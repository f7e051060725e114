#include "deploy/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

/* One decision in the making. */
struct planner {
    const struct plan_input *in;
    struct plan *out;
    int *running; /* of each backend, the starts of this plan included */
    size_t *due;  /* sites that could start now, first come first served after sorting */
    size_t ndue;
};

static bool at_target(const struct plan_site *s)
{
    return !oid_is_zero(&s->desired) && oid_equal(&s->track->to, &s->desired) &&
           oid_equal(&s->track->inputs, &s->inputs);
}

/* I9. */
static bool in_sync(const struct plan_site *s)
{
    return !s->running && s->track->phase == TRACK_DEPLOYED && at_target(s);
}

/* The generation would go on by itself. An attempt that is open and does not run is as good as
 * interrupted (I10). */
static bool goes_on(const struct plan_site *s)
{
    return s->track->phase == TRACK_RETRY || s->track->phase == TRACK_INTERRUPTED ||
           (s->track->phase == TRACK_OPEN && !s->running);
}

static bool ended_badly(const struct plan_site *s)
{
    return s->track->phase == TRACK_FAILED || s->track->phase == TRACK_STALLED;
}

/* ---- back-off ---------------------------------------------------------------------------------
 */

static double jitter(const char *site, const struct site_track *t)
{
    uint64_t seed = t->generation * 1000003 + t->attempt;

    return (hash_bytes(site, strlen(site), seed) >> 11) * 0x1p-53;
}

int64_t plan_backoff(const struct retry *retry, const char *site, const struct site_track *track)
{
    double wait = retry->first;

    for (int i = 1; i < track->tries && wait < retry->longest; i++)
        wait *= retry->factor;
    if (wait > retry->longest)
        wait = retry->longest;
    return wait * (1 - jitter(site, track) / 4);
}

/* When the next attempt of a site that goes on is due. */
static int64_t retry_at(const struct planner *p, const struct plan_site *s)
{
    if (s->retry_asked || s->track->phase != TRACK_RETRY || s->backend < 0)
        return s->track->ended;
    return s->track->ended + plan_backoff(&p->in->backends[s->backend].retry, s->name, s->track);
}

/* ---- what blocks ------------------------------------------------------------------------------
 */

static void block(struct plan_view *v, const char *kind, const char *detail)
{
    struct blocked *b = VEC_ADD(&v->blocked_by);

    *b = (struct blocked){.kind = kind, .detail = xstrdup(detail)};
}

static void block_by_dependencies(const struct planner *p, const struct plan_site *s,
                                  struct plan_view *v)
{
    for (size_t i = 0; i < s->ndepends; i++) {
        size_t on = s->depends_on[i];
        if (on != PLAN_NO_SITE && in_sync(&p->in->sites[on]))
            continue;
        _cleanup_free_ char *detail = xasprintf("%s is not %s", s->depends_names[i],
                                                on == PLAN_NO_SITE ? "declared" : "in sync");
        block(v, "dependency", detail);
    }
}

/* Everything that is in the way of a start (I4, I14, I15), the widest first. */
static void find_blocks(const struct planner *p, const struct plan_site *s, struct plan_view *v)
{
    if (p->in->frozen_kind)
        block(v, p->in->frozen_kind, p->in->frozen);
    if (s->problem_kind)
        block(v, s->problem_kind, s->problem);
    if (s->suspend)
        block(v, "suspend", "onward.yaml says suspend");
    if (!in_sync(s))
        block_by_dependencies(p, s, v);
}

static bool needs_a_person(const struct plan_view *v)
{
    vec_foreach (b, &v->blocked_by)
        if (strcmp(b->kind, "dependency"))
            return true;
    return false;
}

/* ---- what is shown ----------------------------------------------------------------------------
 */

static enum site_state state_of(const struct plan_site *s, const struct plan_view *v)
{
    if (s->suspend && !s->running)
        return SITE_SUSPENDED;
    if (s->running || (goes_on(s) && at_target(s)))
        return SITE_MIGRATING;
    if (in_sync(s))
        return SITE_IN_SYNC;
    if (ended_badly(s) && at_target(s) && !s->retry_asked)
        return s->track->phase == TRACK_FAILED ? SITE_FAILED : SITE_STALLED;
    if (oid_is_zero(&s->track->deployed) && needs_a_person(v))
        return SITE_UNKNOWN;
    return SITE_PENDING;
}

static void view_site(const struct planner *p, const struct plan_site *s, struct plan_view *v)
{
    if (!s->running)
        find_blocks(p, s, v);
    v->state = state_of(s, v);
    if (v->state == SITE_MIGRATING)
        v->step = s->running ? "apply" : "retry";
    if (!s->running && goes_on(s) && at_target(s))
        v->retry_at = retry_at(p, s);
}

/* ---- what is done -----------------------------------------------------------------------------
 */

static void act(struct planner *p, enum plan_kind kind, size_t site, uint64_t generation,
                int attempt)
{
    *VEC_ADD(p->out) = (struct plan_action){kind, site, generation, attempt};
}

/* Records what has become of the newest generation, whether or not another may start. */
static void settle(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    const struct site_track *t = s->track;

    if (p->in->readonly || s->running)
        return;
    if (t->phase == TRACK_OPEN)
        act(p, PLAN_INTERRUPT, i, t->generation, t->attempt); /* I10 */
    if (goes_on(s) && !at_target(s) && !oid_is_zero(&s->desired))
        act(p, PLAN_SUPERSEDE, i, t->generation, t->attempt); /* I3, I11 */
}

/* Queues the site if it may start now; asks to be woken if only a time is in the way (I12). */
static void consider(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    struct plan_view *v = &p->out->views[i];

    if (s->running || in_sync(s) || v->blocked_by.n || p->in->readonly)
        return;
    if (ended_badly(s) && at_target(s) && !s->retry_asked)
        return; /* I8 */
    if (v->retry_at > p->in->now) {
        if (v->retry_at < p->out->wake_at)
            p->out->wake_at = v->retry_at;
        return; /* I6 */
    }
    assert(s->backend >= 0 && !oid_is_zero(&s->desired));
    p->due[p->ndue++] = i;
}

static int64_t waiting_since(const struct planner *p, size_t i)
{
    int64_t due = p->out->views[i].retry_at;

    return due ? due : p->in->sites[i].desired_at;
}

static int by_waiting(const void *a, const void *b, void *planner)
{
    const struct planner *p = planner;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    int64_t x = waiting_since(p, i), y = waiting_since(p, j);

    if (x != y)
        return x < y ? -1 : 1;
    return i < j ? -1 : i > j;
}

/* Starts what is due, as far as the backends have room (I5, I13). */
static void start_due(struct planner *p)
{
    qsort_r(p->due, p->ndue, sizeof(*p->due), by_waiting, p);
    for (size_t k = 0; k < p->ndue; k++) {
        const struct plan_site *s = &p->in->sites[p->due[k]];
        const struct site_track *t = s->track;
        bool again = (goes_on(s) || ended_badly(s)) && at_target(s);
        if (p->running[s->backend] >= p->in->backends[s->backend].concurrency)
            continue;
        p->running[s->backend]++;
        act(p, PLAN_START, p->due[k], again ? t->generation : t->generation + 1,
            again ? t->attempt + 1 : 1); /* I2 */
    }
}

void plan_make(const struct plan_input *input, struct plan *ret)
{
    struct planner p = {.in = input, .out = ret};

    assert(input->frozen_kind || !input->readonly);
    *ret = (struct plan){.nviews = input->nsites, .wake_at = INT64_MAX};
    ret->views = xcalloc(input->nsites, sizeof(*ret->views));
    p.running = xcalloc(input->nbackends, sizeof(*p.running));
    p.due = xcalloc(input->nsites, sizeof(*p.due));
    for (size_t b = 0; b < input->nbackends; b++)
        p.running[b] = input->backends[b].running;
    for (size_t i = 0; i < input->nsites; i++) {
        const struct plan_site *s = &input->sites[i];
        assert(s->problem_kind || (s->backend >= 0 && !oid_is_zero(&s->desired)));
        view_site(&p, s, &ret->views[i]);
        settle(&p, i);
        consider(&p, i);
    }
    start_due(&p);
    free(p.running);
    free(p.due);
}

void plan_done(struct plan *p)
{
    for (size_t i = 0; i < p->nviews; i++) {
        vec_foreach (b, &p->views[i].blocked_by)
            free(b->detail);
        free(p->views[i].blocked_by.v);
    }
    free(p->views);
    free(p->v);
    *p = (struct plan){0};
}

struct plan_outcome plan_outcome(const struct site_track *track, enum backend_end end,
                                 const struct retry *retry)
{
    switch (end) {
    case BACKEND_DONE:
        return (struct plan_outcome){RECORD_DEPLOYED, "done"};
    case BACKEND_LATER:
        return (struct plan_outcome){RECORD_FAILED, "later"};
    case BACKEND_STALLED:
        return (struct plan_outcome){RECORD_FAILED, "stalled"};
    case BACKEND_STOPPED:
        return (struct plan_outcome){RECORD_INTERRUPTED, NULL};
    default: /* I7 */
        return (struct plan_outcome){RECORD_FAILED,
                                     track->failures + 1 < retry->limit ? "retry" : "failed"};
    }
}
