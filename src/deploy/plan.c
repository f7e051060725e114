#include "deploy/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"

#define HEALTH_FIRST   NS_PER_SEC /* between two questions for health, doubled each time… */
#define HEALTH_LONGEST (15 * NS_PER_SEC)

/* What was found out about one site. */
struct look {
    enum standing standing;
    struct oid goal, inputs;
    bool heal;    /* the goal is what is deployed */
    bool blocked; /* nothing may start */
    bool soaking;
    bool starting; /* by this plan */
};

/* A site that could start now. */
struct due {
    int64_t since; /* mono: it waits since then */
    size_t site;
};

/* Why the fresh sites of a wave of a rollout do not start. */
struct wave_reason {
    bool known;
    const char *text; /* NULL: they do */
};

/* One decision in the making. */
struct planner {
    const struct plan_input *in;
    struct plan *out;
    struct look *looks;            /* of each site */
    int *running;                  /* calls of each backend, those of this plan included */
    struct wave_reason *reasons;   /* of each rollout that has a view, of each of its waves */
    VEC(struct due) due;           /* sites that could start now, first come first served */
    VEC(struct plan_action) calls; /* health, then observations: what is called if there is room */
};

/* ---- a site and its records -------------------------------------------------------------------
 */

static bool has_target(const struct plan_site *s)
{
    return !oid_is_zero(&s->desired);
}

static bool track_is_at(const struct site_track *t, const struct oid *to, const struct oid *inputs)
{
    return oid_equal(&t->to, to) && oid_equal(&t->inputs, inputs);
}

static bool at_target(const struct plan_site *s)
{
    return has_target(s) && track_is_at(s->track, &s->desired, &s->inputs);
}

static bool at_goal(const struct plan_site *s, const struct look *l)
{
    return !oid_is_zero(&l->goal) && track_is_at(s->track, &l->goal, &l->inputs);
}

/* Its newest attempt deployed what it was to. */
static bool is_settled(const struct plan_site *s)
{
    return !s->attempt && s->track->phase == TRACK_DEPLOYED;
}

/* I9. */
static bool in_sync(const struct plan_site *s)
{
    return is_settled(s) && at_target(s) && !s->track->drifted;
}

/* The generation would go on by itself. An attempt that is open and not under way is as good as
 * interrupted (I10). */
static bool goes_on(const struct plan_site *s)
{
    return s->track->phase == TRACK_RETRY || s->track->phase == TRACK_INTERRUPTED ||
           (s->track->phase == TRACK_OPEN && !s->attempt);
}

static bool ended_badly(const struct plan_site *s)
{
    return s->track->phase == TRACK_FAILED || s->track->phase == TRACK_STALLED;
}

static bool dependencies_hold(const struct planner *p, const struct plan_site *s)
{
    for (size_t i = 0; i < s->ndepends; i++)
        if (s->depends_on[i] == PLAN_NO_SITE || !in_sync(&p->in->sites[s->depends_on[i]]))
            return false;
    return true;
}

/* ---- waiting ----------------------------------------------------------------------------------
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
    wait *= 1 - jitter(site, track) / 4;
    double asked = track->retry_after * (1 + jitter(site, track) / 4);
    if (asked > retry->longest)
        asked = retry->longest;
    return asked > wait ? asked : wait;
}

int64_t plan_health_pause(int asked)
{
    int64_t wait = HEALTH_FIRST;

    for (int i = 1; i < asked && wait < HEALTH_LONGEST; i++)
        wait *= 2;
    return wait < HEALTH_LONGEST ? wait : HEALTH_LONGEST;
}

/* When the next attempt of a site that goes on is due. */
static int64_t retry_at(const struct planner *p, const struct plan_site *s)
{
    if (s->retry_asked || s->track->phase != TRACK_RETRY || s->backend < 0)
        return s->track->ended;
    return s->track->ended + plan_backoff(&p->in->backends[s->backend].retry, s->name, s->track);
}

/* When a site is to be observed; INT64_MAX: never. Spread out, so that sites that were deployed
 * together are not asked together for ever. */
static int64_t observe_at(const struct planner *p, const struct plan_site *s)
{
    int64_t every = s->backend < 0 ? 0 : p->in->backends[s->backend].observe_every;
    int64_t last = s->observed_at > s->track->ended ? s->observed_at : s->track->ended;

    if (!every || !s->observable || !is_settled(s) || s->suspend)
        return INT64_MAX;
    return last + (int64_t)(every * (1 - jitter(s->name, s->track) / 4));
}

static void wake(struct planner *p, int64_t at)
{
    if (at < p->out->wake_at)
        p->out->wake_at = at;
}

/* ---- waves ------------------------------------------------------------------------------------
 */

static enum standing standing_of(const struct planner *p, const struct plan_site *s)
{
    if (is_settled(s) && at_target(s))
        return STANDING_ARRIVED;
    if (s->attempt && at_target(s) && !s->track->unreachable)
        return STANDING_MOVING;
    if (s->track->held || s->suspend || s->problem_kind)
        return STANDING_PASSED;
    if (ended_badly(s) && at_target(s))
        return s->retry_asked ? STANDING_MOVING : STANDING_FAILED;
    if (!dependencies_hold(p, s) || (s->track->unreachable && at_target(s)))
        return STANDING_PASSED;
    return goes_on(s) && at_target(s) ? STANDING_MOVING : STANDING_FRESH;
}

static struct wave_site *make_wave_sites(const struct planner *p)
{
    struct wave_site *out = xcalloc(p->in->nsites, sizeof(*out));

    for (size_t i = 0; i < p->in->nsites; i++) {
        const struct plan_site *s = &p->in->sites[i];
        out[i] = (struct wave_site){.standing = p->looks[i].standing,
                                    .rollout = s->rollout,
                                    .fits = s->waves,
                                    .arrived = s->track->ended};
    }
    return out;
}

static void make_waves(struct planner *p)
{
    const struct plan_input *in = p->in;
    _cleanup_free_ struct wave_site *sites = make_wave_sites(p);

    if (in->nwaves)
        waves_make(&(struct waves_input){.waves = in->waves,
                                         .nwaves = in->nwaves,
                                         .max_failures = in->max_failures,
                                         .sites = sites,
                                         .nsites = in->nsites,
                                         .nrollouts = in->nrollouts,
                                         .now = in->now},
                   &p->out->waves);
}

/* The rollout that a site is in; NULL: it has come to its end, or there are no waves. */
static struct rollout_view *rollout_of(const struct planner *p, size_t i)
{
    size_t k = p->in->sites[i].rollout;

    return k == WAVES_NONE || !p->out->waves.view ? NULL : p->out->waves.view[k];
}

static const struct wave_view *stopped_wave(const struct planner *p, const struct rollout_view *r)
{
    for (size_t k = 0; k < p->in->nwaves; k++)
        if (r->waves[k].phase == WAVE_STOPPED)
            return &r->waves[k];
    return NULL;
}

/* A text that lives as long as the plan. */
static const char *keep(struct planner *p, char *text)
{
    *VEC_ADD(&p->out->texts) = text;
    return text;
}

static const char *make_wave_reason(struct planner *p, const struct rollout_view *r, size_t mine)
{
    const struct wave_view *stopped = stopped_wave(p, r), *open = &r->waves[r->open];

    if (stopped)
        return keep(p, xasprintf("the rollout has stopped: %zu of the %zu sites in wave %s failed",
                                 stopped->failed, stopped->sites,
                                 p->in->waves[stopped - r->waves].name));
    if (mine <= r->open)
        return NULL;
    if (open->phase == WAVE_SOAKING)
        return keep(p, xasprintf("wave %s waits for wave %s, which soaks", p->in->waves[mine].name,
                                 p->in->waves[r->open].name));
    return keep(p, xasprintf("wave %s waits for wave %s: %zu of %zu sites have arrived",
                             p->in->waves[mine].name, p->in->waves[r->open].name, open->arrived,
                             open->sites - open->passed));
}

/* Why a fresh site's wave does not let it start; NULL: it does. */
static const char *wave_reason(struct planner *p, size_t i)
{
    const struct rollout_view *r = rollout_of(p, i);

    if (!r)
        return NULL;
    size_t mine = p->out->waves.wave[i];
    struct wave_reason *reason = &p->reasons[(r - p->out->waves.v) * p->in->nwaves + mine];
    if (!reason->known)
        *reason = (struct wave_reason){true, make_wave_reason(p, r, mine)};
    return reason->text;
}

/* When the site has soaked, as its wave wants it; 0: it does not soak. */
static int64_t soaked_at(const struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    const struct rollout_view *r = rollout_of(p, i);
    int64_t soak = r ? p->in->waves[p->out->waves.wave[i]].soak : 0;

    if (!soak || !is_settled(s) || !at_target(s) || s->track->ended + soak <= p->in->now)
        return 0;
    return s->track->ended + soak;
}

/* ---- what blocks ------------------------------------------------------------------------------
 */

/* Sites are looked at one after the other: the newest blocks are those of the site at hand. */
static void block(struct planner *p, size_t i, const char *kind, const char *detail)
{
    *VEC_ADD(&p->out->blocked) = (struct blocked){.kind = kind, .detail = detail};
    p->out->views[i].blocked_by.n++;
}

static void block_by_dependencies(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];

    for (size_t k = 0; k < s->ndepends; k++) {
        size_t on = s->depends_on[k];
        if (on == PLAN_NO_SITE || !in_sync(&p->in->sites[on]))
            block(p, i, "dependency",
                  keep(p, xasprintf("%s is not %s", s->depends_names[k],
                                    on == PLAN_NO_SITE ? "declared" : "in sync")));
    }
}

/* What only a person changes, and nothing may start against; the widest first. */
static void find_hard_blocks(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];

    if (p->in->frozen_kind)
        block(p, i, p->in->frozen_kind, p->in->frozen);
    if (s->problem_kind)
        block(p, i, s->problem_kind, s->problem);
    if (s->suspend)
        block(p, i, "suspend", "onward.yaml says suspend");
    if (s->track->held)
        block(p, i, "hold", s->track->hold.text);
}

/* What keeps a site from its target, though it may be healed. */
static void find_soft_blocks(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];

    if (in_sync(s))
        return;
    if (p->in->paused)
        block(p, i, "pause", p->in->paused);
    block_by_dependencies(p, i);
    const char *reason = p->looks[i].standing == STANDING_FRESH ? wave_reason(p, i) : NULL;
    if (reason)
        block(p, i, "wave", reason);
}

/* A person must do something before the site at hand moves. */
static bool needs_a_person(const struct planner *p, const struct plan_view *v)
{
    for (size_t k = p->out->blocked.n - v->blocked_by.n; k < p->out->blocked.n; k++) {
        const char *kind = p->out->blocked.v[k].kind;
        if (strcmp(kind, "dependency") != 0 && strcmp(kind, "wave") != 0)
            return true;
    }
    return false;
}

/* Whether it goes back to what is deployed: it has drifted, somebody wants it healed, and to go on
 * to the target is not possible, or the same. */
static bool wants_healing(const struct plan_site *s, bool softly_blocked)
{
    const struct site_track *t = s->track;
    bool drifted = t->phase == TRACK_DEPLOYED ? t->drifted : t->healing;

    if (!drifted || oid_is_zero(&t->deployed) || !(s->self_heal || s->retry_asked))
        return false;
    return softly_blocked ||
           (oid_equal(&t->deployed, &s->desired) && oid_equal(&t->deployed_inputs, &s->inputs));
}

/* Blocks, and the goal that they leave. */
static void look_at(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    struct plan_view *v = &p->out->views[i];
    struct look *l = &p->looks[i];

    l->goal = s->desired;
    l->inputs = s->inputs;
    if (s->attempt && (at_target(s) || s->call == VERB_APPLY))
        return; /* it is let finish */
    find_hard_blocks(p, i);
    size_t hard = v->blocked_by.n;
    find_soft_blocks(p, i);
    l->blocked = v->blocked_by.n > 0;
    if (hard || !wants_healing(s, l->blocked))
        return;
    l->heal = true;
    l->blocked = false;
    l->goal = s->track->deployed;
    l->inputs = s->track->deployed_inputs;
}

/* ---- what is shown ----------------------------------------------------------------------------
 */

static enum site_state state_of(const struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    const struct look *l = &p->looks[i];
    const struct site_track *t = s->track;

    if (s->suspend && !s->attempt)
        return SITE_SUSPENDED;
    if (s->attempt || (goes_on(s) && at_goal(s, l) && !t->held))
        return SITE_MIGRATING;
    if (t->held)
        return SITE_HELD;
    if (is_settled(s) && t->drifted)
        return SITE_DRIFTED;
    if (in_sync(s))
        return l->soaking ? SITE_MIGRATING : SITE_IN_SYNC;
    if (ended_badly(s) && at_target(s) && !s->retry_asked)
        return t->phase == TRACK_FAILED ? SITE_FAILED : SITE_STALLED;
    if (oid_is_zero(&t->deployed) && needs_a_person(p, &p->out->views[i]))
        return SITE_UNKNOWN;
    return SITE_PENDING;
}

static const char *step_of(const struct plan_site *s, const struct look *l)
{
    if (s->attempt)
        return s->call == VERB_APPLY ? "apply" : "health";
    return l->soaking ? "soak" : "retry";
}

static int64_t until_of(const struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];

    if (s->attempt)
        return s->call == VERB_APPLY ? 0 : s->health_until;
    if (goes_on(s) && at_goal(s, &p->looks[i]))
        return retry_at(p, s);
    return soaked_at(p, i);
}

static void view_site(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    struct look *l = &p->looks[i];
    struct plan_view *v = &p->out->views[i];

    l->soaking = soaked_at(p, i) != 0;
    v->state = state_of(p, i);
    v->standing = l->standing;
    v->until = until_of(p, i);
    if (v->state == SITE_MIGRATING)
        v->step = step_of(s, l);
    if (l->soaking)
        wake(p, v->until);
    /* Nothing keeps it from trying again: but this is why it has not arrived. */
    if (s->track->unreachable && at_target(s) && !s->attempt)
        block(p, i, "unreachable",
              s->track->message ? s->track->message : "its backend asked for later");
}

/* ---- what is done -----------------------------------------------------------------------------
 */

static struct plan_action action(const struct planner *p, enum plan_kind kind, size_t site)
{
    const struct site_track *t = p->in->sites[site].track;

    return (struct plan_action){kind, site, t->generation, t->attempt, false};
}

static void act(struct planner *p, enum plan_kind kind, size_t site)
{
    *VEC_ADD(p->out) = action(p, kind, site);
}

/* An attempt whose apply is done: asks for its health when it is time, and gives it up when there
 * is a newer target or the time is over (I3, I16). False: the site is free for another. */
static bool follow_health(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    const struct look *l = &p->looks[i];
    bool newer = !l->blocked && !at_goal(s, l) && !oid_is_zero(&l->goal);

    if (s->call != VERB_NONE) {
        if (newer && !s->stopping)
            act(p, PLAN_STOP, i);
        return true;
    }
    if (newer) {
        act(p, PLAN_SUPERSEDE, i);
        return false;
    }
    if (p->in->now >= s->health_until) {
        act(p, PLAN_GIVE_UP, i);
        return true;
    }
    wake(p, s->health_until);
    if (s->health_at > p->in->now)
        wake(p, s->health_at);
    else
        *VEC_ADD(&p->calls) = action(p, PLAN_HEALTH, i);
    return true;
}

/* Records what has become of the newest generation, whether or not another may start. True: the
 * site has no attempt. */
static bool settle(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    const struct look *l = &p->looks[i];

    if (p->in->readonly || (s->attempt && s->call == VERB_APPLY))
        return false;
    if (s->attempt)
        return !follow_health(p, i);
    if (s->track->phase == TRACK_OPEN)
        act(p, PLAN_INTERRUPT, i); /* I10 */
    if (goes_on(s) && !at_goal(s, l) && !oid_is_zero(&l->goal))
        act(p, PLAN_SUPERSEDE, i); /* I3, I11 */
    return true;
}

/* It is where it is to be. */
static bool is_in_place(const struct plan_site *s, const struct look *l)
{
    return is_settled(s) && at_goal(s, l) && !l->heal;
}

/* Queues the site if it may start now; asks to be woken if only a time is in the way (I12). */
static void consider(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    const struct look *l = &p->looks[i];
    bool again = goes_on(s) && at_goal(s, l);
    int64_t due = again ? retry_at(p, s) : 0;

    if (l->blocked || is_in_place(s, l))
        return;
    if (ended_badly(s) && at_goal(s, l) && !s->retry_asked)
        return; /* I8 */
    if (due > p->in->now) {
        wake(p, due);
        return; /* I6 */
    }
    assert(s->backend >= 0 && !oid_is_zero(&l->goal));
    if (s->call == VERB_NONE)
        *VEC_ADD(&p->due) = (struct due){again ? due : s->desired_at, i};
    else if (!s->stopping) /* an observation: what is new does not wait for it */
        act(p, PLAN_STOP, i);
}

static void consider_observing(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    int64_t due = observe_at(p, s);

    if (s->call != VERB_NONE || due == INT64_MAX || p->in->readonly)
        return;
    if (due <= p->in->now)
        *VEC_ADD(&p->calls) = action(p, PLAN_OBSERVE, i);
    else
        wake(p, due);
}

static int by_waiting(const void *a, const void *b)
{
    const struct due *x = a, *y = b;

    if (x->since != y->since)
        return x->since < y->since ? -1 : 1;
    return x->site < y->site ? -1 : x->site > y->site;
}

static bool has_room(const struct planner *p, size_t site)
{
    int backend = p->in->sites[site].backend;

    return backend >= 0 && p->running[backend] < p->in->backends[backend].concurrency;
}

/* Takes room for one more call (I5). */
static bool take_room(struct planner *p, size_t site)
{
    if (!has_room(p, site))
        return false;
    p->running[p->in->sites[site].backend]++;
    return true;
}

/* Takes room in the site's wave (W5). */
static bool take_wave_room(struct planner *p, size_t i)
{
    struct rollout_view *r = rollout_of(p, i);
    struct wave_view *v = r ? &r->waves[p->out->waves.wave[i]] : NULL;

    if (!v || p->looks[i].heal || p->looks[i].standing != STANDING_FRESH)
        return true;
    if (!v->room)
        return false;
    v->room--;
    return true;
}

static void start(struct planner *p, size_t i)
{
    const struct plan_site *s = &p->in->sites[i];
    const struct look *l = &p->looks[i];
    const struct site_track *t = s->track;
    bool again = (goes_on(s) || ended_badly(s)) && !s->attempt && at_goal(s, l);

    p->looks[i].starting = true;
    *VEC_ADD(p->out) = (struct plan_action){.kind = PLAN_START,
                                            .site = i,
                                            .generation = again ? t->generation : t->generation + 1,
                                            .attempt = again ? t->attempt + 1 : 1,
                                            .heal = l->heal}; /* I2 */
}

/* Starts what is due, as far as backends and waves have room (I5, I13). */
static void start_due(struct planner *p)
{
    if (p->due.n)
        qsort(p->due.v, p->due.n, sizeof(*p->due.v), by_waiting);
    vec_foreach (d, &p->due)
        if (has_room(p, d->site) && take_wave_room(p, d->site) && take_room(p, d->site))
            start(p, d->site);
}

/* What has begun goes before what begins, and that before observations. */
static void make_calls(struct planner *p, enum plan_kind kind)
{
    vec_foreach (a, &p->calls)
        if (a->kind == kind && !p->looks[a->site].starting && take_room(p, a->site))
            *VEC_ADD(p->out) = *a;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/* Now that the blocks have their place in memory: they are there in the order of the sites. */
static void point_to_blocks(struct plan *plan)
{
    const struct blocked *next = plan->blocked.v;

    for (size_t i = 0; i < plan->nviews; i++) {
        struct plan_view *v = &plan->views[i];
        v->blocked_by.v = v->blocked_by.n ? next : NULL;
        next = v->blocked_by.n ? next + v->blocked_by.n : next;
    }
}

static void decide(struct planner *p)
{
    for (size_t i = 0; i < p->in->nsites; i++)
        p->looks[i].standing = standing_of(p, &p->in->sites[i]);
    make_waves(p);
    p->reasons = xcalloc(p->out->waves.n * p->in->nwaves, sizeof(*p->reasons));
    for (size_t i = 0; i < p->in->nsites; i++) {
        const struct plan_site *s = &p->in->sites[i];
        assert(s->problem_kind || (s->backend >= 0 && has_target(s)));
        look_at(p, i);
        view_site(p, i);
        if (settle(p, i))
            consider(p, i);
        consider_observing(p, i);
    }
    make_calls(p, PLAN_HEALTH);
    start_due(p);
    make_calls(p, PLAN_OBSERVE);
    point_to_blocks(p->out);
}

void plan_make(const struct plan_input *input, struct plan *ret)
{
    struct planner p = {.in = input, .out = ret};

    assert(input->frozen_kind || !input->readonly);
    *ret = (struct plan){.nviews = input->nsites, .wake_at = INT64_MAX};
    ret->views = xcalloc(input->nsites, sizeof(*ret->views));
    p.looks = xcalloc(input->nsites, sizeof(*p.looks));
    p.running = xcalloc(input->nbackends, sizeof(*p.running));
    for (size_t b = 0; b < input->nbackends; b++)
        p.running[b] = input->backends[b].running;
    decide(&p);
    free(p.looks);
    free(p.running);
    free(p.reasons);
    free(p.due.v);
    free(p.calls.v);
}

void plan_done(struct plan *p)
{
    vec_foreach (text, &p->texts)
        free(*text);
    free(p->texts.v);
    free(p->blocked.v);
    free(p->views);
    waves_done(&p->waves);
    free(p->v);
    *p = (struct plan){0};
}

enum plan_next plan_next(enum backend_verb verb, enum backend_end end, bool knows_health)
{
    if (verb == VERB_APPLY)
        return end == BACKEND_DONE && knows_health ? NEXT_HEALTH : NEXT_RECORD;
    return end == BACKEND_LATER || end == BACKEND_STOPPED ? NEXT_HEALTH : NEXT_RECORD;
}

struct plan_outcome plan_outcome(const struct site_track *track, enum backend_end end,
                                 const struct retry *retry)
{
    switch (end) {
    case BACKEND_DONE:
    case BACKEND_UNKNOWN: /* of its health: it has none to tell */
        return (struct plan_outcome){track->healing ? RECORD_HEALED : RECORD_DEPLOYED, "done"};
    case BACKEND_LATER:
        return (struct plan_outcome){RECORD_FAILED, "later"};
    case BACKEND_REFUSED:
        return (struct plan_outcome){RECORD_FAILED, "failed"};
    case BACKEND_STALLED:
        return (struct plan_outcome){RECORD_FAILED, "stalled"};
    case BACKEND_STOPPED:
        return (struct plan_outcome){RECORD_INTERRUPTED, NULL};
    default: /* I7 */
        return (struct plan_outcome){RECORD_FAILED,
                                     track->failures + 1 < retry->limit ? "retry" : "failed"};
    }
}

bool plan_observed(const struct site_track *track, enum backend_end end, enum record_kind *ret)
{
    bool drifted = end == BACKEND_DRIFTED;

    if (track->phase != TRACK_DEPLOYED || (end != BACKEND_DONE && !drifted) ||
        track->drifted == drifted)
        return false;
    *ret = drifted ? RECORD_DRIFTED : RECORD_HEALED;
    return true;
}
