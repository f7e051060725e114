#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "invariants.h"

#define PERCENT(w, n) (world_random((w), 100) < (uint64_t)(n))

#define HEALTH_MOST (120 * NS_PER_SEC) /* until an attempt must be healthy */

uint64_t world_random(struct world *w, uint64_t n)
{
    uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % n;
}

struct oid sim_oid(int number, int space)
{
    struct oid oid = {0};

    if (number < 0)
        return oid;
    memcpy(oid.id, &number, sizeof(number));
    oid.id[OID_RAW - 1] = space;
    return oid;
}

void world_check(const struct world *w, bool holds, const char *invariant, const char *site)
{
    if (holds)
        return;
    printf("not ok - %s\n# site %s, step %ld\n# repeat with: --first %" PRIu64
           " --seeds 1 --trace\n",
           invariant, site, w->steps, w->seed);
    exit(1);
}

/* ---- making it ------------------------------------------------------------------------------- */

static void init_backend(struct world *w, struct sim_backend *b)
{
    b->plan.concurrency = 1 + world_random(w, 8);
    b->plan.retry = (struct retry){.limit = 1 + world_random(w, 5),
                                   .first = (1 + world_random(w, 10)) * NS_PER_SEC,
                                   .factor = 1 + world_random(w, 3),
                                   .longest = (10 + world_random(w, 300)) * NS_PER_SEC};
    b->slowest = (1 + world_random(w, 120)) * NS_PER_SEC;
    b->failing = world_random(w, 50);
    b->later = world_random(w, 20);
    b->stalling = world_random(w, 10);
    b->timing_out = world_random(w, 10);
    b->knows_health = PERCENT(w, 60);
    b->knows_observe = PERCENT(w, 80);
    b->plan.observe_every = PERCENT(w, 60) ? (30 + world_random(w, 600)) * NS_PER_SEC : 0;
}

/* A number of sites, a share in percent (negative), or (0) nothing. */
static int random_amount(struct world *w)
{
    return PERCENT(w, 40)   ? 0
           : PERCENT(w, 50) ? 1 + (int)world_random(w, 5)
                            : -1 - (int)world_random(w, 100);
}

static void init_waves(struct world *w)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};

    w->nwaves = 1 + world_random(w, ARRAY_SIZE(w->waves));
    w->max_failures = PERCENT(w, 50) ? 0 : world_random(w, 4);
    for (size_t k = 0; k < w->nwaves; k++) {
        int size = random_amount(w);
        w->waves[k] =
            (struct wave){.name = (char *)names[k],
                          .count = size > 0 ? size : 0,
                          .share = size < 0 ? -size : 0,
                          .max_unavailable = random_amount(w),
                          .soak = PERCENT(w, 30) ? (int64_t)world_random(w, 300) * NS_PER_SEC : 0};
    }
}

static void init_site(struct world *w, size_t i)
{
    struct sim_site *s = &w->sites[i];

    snprintf(s->name, sizeof(s->name), "site-%04zu", i);
    s->declared = true;
    s->backend = world_random(w, ARRAY_SIZE(w->backends));
    s->fits = PERCENT(w, 70) ? UINT64_MAX : world_random(w, 32);
    s->self_heal = PERCENT(w, 50);
    for (int d = 0; i > 0 && d < 2 && PERCENT(w, 10); d++) { /* only on earlier ones: no circles */
        s->depends[d] = world_random(w, i);
        s->depend_names[d] = w->sites[s->depends[d]].name;
        s->ndepends++;
    }
}

void world_init(struct world *w, uint64_t seed, bool trace)
{
    *w = (struct world){.seed = seed, .random = seed, .trace = trace, .wake_at = INT64_MAX};
    w->nsites = 1 + world_random(w, PERCENT(w, 10) ? 400 : 30);
    w->sites = xcalloc(w->nsites, sizeof(*w->sites));
    w->mono = world_random(w, 1000) * NS_PER_SEC;
    w->real = INT64_C(1800000000) * NS_PER_SEC;
    for (size_t i = 0; i < ARRAY_SIZE(w->backends); i++)
        init_backend(w, &w->backends[i]);
    init_waves(w);
    for (size_t i = 0; i < w->nsites; i++)
        init_site(w, i);
}

void world_done(struct world *w)
{
    for (size_t i = 0; i < w->nsites; i++) {
        vec_foreach (r, &w->sites[i].history)
            record_done(r);
        free(w->sites[i].history.v);
        site_track_done(&w->sites[i].track);
    }
    free(w->sites);
}

/* ---- carrying out ---------------------------------------------------------------------------- */

static void trace(const struct world *w, const struct record *r)
{
    _cleanup_(buf_done) struct buf line = {0};

    if (!w->trace)
        return;
    record_summary(r, &line);
    printf("# %8.1f %s attempt %d to %d %s\n", w->mono / 1e9, buf_str(&line), r->attempt,
           *(const int *)r->to.id, r->outcome ? r->outcome : "");
}

static void append(struct world *w, struct sim_site *s, struct record r)
{
    r.site = xstrdup(s->name);
    r.at = w->real - w->real % NS_PER_MS;
    r.held = r.kind == RECORD_HELD || (s->track.held && r.kind != RECORD_RELEASED);
    *VEC_ADD(&s->history) = r;
    trace(w, &r);
    site_track_apply(&s->track, &r, w->mono);
    w->digest = hash_bytes(&r.kind, sizeof(r.kind), w->digest + r.generation * 31 + r.attempt);
    w->digest = hash_bytes(&r.to, sizeof(r.to), w->digest);
}

static struct record like_newest(const struct sim_site *s, enum record_kind kind)
{
    const struct site_track *t = &s->track;

    return (struct record){.kind = kind,
                           .generation = t->generation,
                           .attempt = t->attempt,
                           .from = t->from,
                           .to = t->to,
                           .inputs = t->inputs};
}

/* A call that starts now: how it will end, and when. */
static void call(struct world *w, struct sim_site *s, enum backend_verb verb)
{
    const struct sim_backend *b = &w->backends[s->backend];
    int dice = w->calm ? 100 : world_random(w, 100);

    s->call = verb;
    s->stopping = false;
    s->ends_at = w->mono + 1 + world_random(w, b->slowest);
    s->end = (dice -= b->failing) < 0      ? BACKEND_FAILED
             : (dice -= b->later) < 0      ? BACKEND_LATER
             : (dice -= b->stalling) < 0   ? BACKEND_STALLED
             : (dice -= b->timing_out) < 0 ? BACKEND_TIMEOUT
                                           : BACKEND_DONE;
    if (verb == VERB_OBSERVE && s->end == BACKEND_DONE)
        s->end = !b->knows_observe ? BACKEND_UNKNOWN : s->bent ? BACKEND_DRIFTED : BACKEND_DONE;
}

static void start(struct world *w, struct sim_site *s, const struct plan_action *action)
{
    bool heal = action->heal;
    struct record r = {.kind = RECORD_ATTEMPT,
                       .generation = action->generation,
                       .attempt = action->attempt,
                       .from = s->track.deployed,
                       .to = heal ? s->track.deployed : sim_oid(s->revision, 1),
                       .inputs = heal ? s->track.deployed_inputs : sim_oid(s->inputs, 2),
                       .outcome = heal ? xstrdup(TRACK_HEAL) : NULL};

    append(w, s, r);
    s->retry_asked = false;
    s->attempt = true;
    w->starts++;
    call(w, s, VERB_APPLY);
}

/* The attempt is over. */
static void end_attempt(struct world *w, struct sim_site *s, enum backend_end end)
{
    struct plan_outcome o = plan_outcome(&s->track, end, &w->backends[s->backend].plan.retry);

    invariants_of_end(w, s, end, &o);
    struct record r = like_newest(s, o.kind);
    r.outcome = o.outcome ? xstrdup(o.outcome) : NULL;
    append(w, s, r);
    s->attempt = false;
    s->call = VERB_NONE;
}

static void carry_out_record(struct world *w, struct sim_site *s, const struct plan_action *a)
{
    if (a->kind == PLAN_START) {
        start(w, s, a);
    } else if (a->kind == PLAN_GIVE_UP) {
        end_attempt(w, s, BACKEND_TIMEOUT);
    } else {
        append(w, s,
               like_newest(s, a->kind == PLAN_INTERRUPT ? RECORD_INTERRUPTED : RECORD_SUPERSEDED));
        s->attempt = false;
    }
}

static void carry_out_call(struct world *w, struct sim_site *s, const struct plan_action *a)
{
    if (a->kind == PLAN_STOP) {
        s->stopping = true;
        s->end = BACKEND_STOPPED;
        s->ends_at = w->mono + world_random(w, 3) * NS_PER_SEC;
        return;
    }
    s->asked += a->kind == PLAN_HEALTH;
    s->observed_at = a->kind == PLAN_OBSERVE ? w->mono : s->observed_at;
    call(w, s, a->kind == PLAN_HEALTH ? VERB_HEALTH : VERB_OBSERVE);
}

/* As the decider does it: calls wait until there is nothing to record. True: there was nothing at
 * all. */
static bool carry_out(struct world *w, const struct plan *plan)
{
    bool records = false;

    vec_foreach (a, plan) {
        if (!PLAN_RECORDS(a->kind))
            continue;
        records = true;
        carry_out_record(w, &w->sites[a->site], a);
    }
    vec_foreach (a, plan)
        if (!records)
            carry_out_call(w, &w->sites[a->site], a);
    return !plan->n;
}

bool sim_runs_elsewhere(const struct world *w, const struct sim_site *s)
{
    return w->readonly && !s->attempt && s->track.phase == TRACK_OPEN;
}

static struct plan_site *plan_sites(const struct world *w)
{
    struct plan_site *out = xcalloc(w->nsites, sizeof(*out));

    for (size_t i = 0; i < w->nsites; i++) {
        const struct sim_site *s = &w->sites[i];
        out[i] = (struct plan_site){
            .name = s->name,
            .desired = sim_oid(s->declared ? s->revision : -1, 1),
            .inputs = sim_oid(s->declared ? s->inputs : -1, 2),
            .desired_at = s->desired_at,
            .backend = s->misconfigured ? -1 : s->backend,
            .suspend = s->suspend,
            .problem_kind = !s->declared || s->misconfigured ? "declaration" : NULL,
            .problem = "made up",
            .depends_names = s->depend_names,
            .depends_on = s->depends,
            .ndepends = s->ndepends,
            .track = &s->track,
            .rollout = s->declared && s->revision >= 0 ? (size_t)s->revision : WAVES_NONE,
            .waves = s->fits,
            .self_heal = s->self_heal,
            .attempt = s->attempt || sim_runs_elsewhere(w, s),
            .call = sim_runs_elsewhere(w, s) ? VERB_APPLY : s->call,
            .stopping = s->stopping,
            .health_at = s->health_at,
            .health_until = s->health_until,
            .observed_at = s->observed_at,
            .observable = s->unobservable != s->track.generation,
            .retry_asked = s->retry_asked,
        };
    }
    return out;
}

/* Decides until there is nothing to do. Ends in a few rounds, or something goes in circles (I13).
 */
static void decide(struct world *w)
{
    for (int round = 0;; round++) {
        _cleanup_(plan_done) struct plan plan = {0};
        _cleanup_free_ struct plan_site *sites = plan_sites(w);
        struct plan_backend backends[ARRAY_SIZE(w->backends)];
        struct plan_input input = {.sites = sites,
                                   .nsites = w->nsites,
                                   .nrollouts = w->head + 1,
                                   .waves = w->waves,
                                   .nwaves = w->nwaves,
                                   .max_failures = w->max_failures,
                                   .paused = w->paused ? "made up" : NULL,
                                   .backends = backends,
                                   .nbackends = ARRAY_SIZE(w->backends),
                                   .frozen_kind = w->readonly ? "lease" : w->frozen_kind,
                                   .frozen = "made up",
                                   .readonly = w->readonly,
                                   .now = w->mono};
        for (size_t b = 0; b < ARRAY_SIZE(backends); b++) {
            backends[b] = w->backends[b].plan;
            for (size_t i = 0; i < w->nsites; i++)
                backends[b].running +=
                    w->sites[i].call != VERB_NONE && w->sites[i].backend == (int)b;
        }
        plan_make(&input, &plan);
        invariants_of_plan(w, &input, &plan);
        w->wake_at = plan.wake_at;
        if (!plan.n) {
            invariants_at_rest(w, &plan);
            return;
        }
        if (w->ledger_broken) /* nothing of it has happened */
            return;
        if (carry_out(w, &plan))
            return;
        world_check(w, round < 4, "I13 a plan that was carried out leaves nothing to do", "");
    }
}

/* ---- what happens ---------------------------------------------------------------------------- */

static void set_target(struct world *w, struct sim_site *s, int revision, int inputs)
{
    if (s->revision != revision || s->inputs != inputs)
        s->desired_at = w->mono;
    s->revision = revision;
    s->inputs = inputs;
}

/* A new revision on the mainline, which changes the inputs of some sites. */
static void commit(struct world *w)
{
    int share = 1 + world_random(w, 100);

    w->head++;
    for (size_t i = 0; i < w->nsites; i++)
        if (!w->sites[i].pinned && PERCENT(w, share))
            set_target(w, &w->sites[i], w->head, w->head);
}

/* Pins a site to any revision there is, or lets it go; at times only its inputs change. */
static void pin(struct world *w, struct sim_site *s)
{
    s->pinned = PERCENT(w, 60);
    int revision = s->pinned ? (int)world_random(w, w->head + 1) : w->head;
    set_target(w, s, revision, PERCENT(w, 20) ? 1000000 + w->head : revision);
}

/* The daemon dies and comes back, perhaps after a reboot: the mono clock starts anywhere, the real
 * one may have been set. Tracks come from the ledger, and must be what they were. */
static void crash(struct world *w)
{
    w->mono = world_random(w, 100000) * NS_PER_SEC;
    w->real += (int64_t)world_random(w, 200) * NS_PER_SEC;
    for (size_t i = 0; i < w->nsites; i++) {
        struct sim_site *s = &w->sites[i];
        struct track_reader reader = {0};
        struct site_track track, before = s->track;
        for (size_t k = s->history.n; k-- > 0;)
            if (track_reader_add(&s->history.v[k], &reader))
                break;
        track_reader_finish(&reader, w->real, w->mono, &track);
        int64_t age = w->real - before.at, ended = before.at ? w->mono - (age > 0 ? age : 0) : 0;
        world_check(w,
                    track.phase == before.phase && track.generation == before.generation &&
                        track.attempt == before.attempt && track.failures == before.failures &&
                        track.tries == before.tries && oid_equal(&track.to, &before.to) &&
                        oid_equal(&track.deployed, &before.deployed) &&
                        oid_equal(&track.previous, &before.previous) &&
                        track.begun_at == before.begun_at && track.at == before.at &&
                        track.held == before.held && !track.hold.text == !before.hold.text &&
                        (!track.held || !strcmp(track.hold.text, before.hold.text)) &&
                        track.drifted == before.drifted && track.healing == before.healing &&
                        track.unreachable == before.unreachable && track.ended == ended,
                    "a track read from the ledger is the one that was there before", s->name);
        site_track_done(&s->track);
        s->track = track;
        s->attempt = s->retry_asked = s->stopping = false;
        s->call = VERB_NONE;
        s->observed_at = 0;
        s->unobservable = 0;
        s->desired_at = w->mono;
    }
}

static void end_observation(struct world *w, struct sim_site *s)
{
    enum record_kind kind;

    s->call = VERB_NONE;
    s->observed_at = w->mono;
    if (s->end == BACKEND_UNKNOWN)
        s->unobservable = s->track.generation;
    if (plan_observed(&s->track, s->end, &kind))
        append(w, s, like_newest(s, kind));
}

static void await_health(struct world *w, struct sim_site *s)
{
    bool first = s->call == VERB_APPLY;

    if (first) {
        s->asked = 0;
        s->health_until = w->mono + HEALTH_MOST;
    }
    s->health_at =
        first || s->end != BACKEND_LATER ? w->mono : w->mono + plan_health_pause(s->asked);
    s->call = VERB_NONE;
    s->stopping = false;
}

static void end_call(struct world *w, struct sim_site *s)
{
    bool knows_health = w->backends[s->backend].knows_health;

    if (s->call == VERB_APPLY && s->end == BACKEND_DONE)
        s->bent = false;
    if (s->call == VERB_OBSERVE)
        end_observation(w, s);
    else if (plan_next(s->call, s->end, knows_health) == NEXT_HEALTH)
        await_health(w, s);
    else
        end_attempt(w, s, s->end);
}

static void end_calls(struct world *w)
{
    for (size_t i = 0; i < w->nsites; i++) {
        struct sim_site *s = &w->sites[i];
        if (s->call != VERB_NONE && s->ends_at <= w->mono && !w->ledger_broken)
            end_call(w, s);
    }
}

/* When the next thing happens by itself; INT64_MAX: never. */
static int64_t next_event(const struct world *w)
{
    int64_t next = w->wake_at;

    for (size_t i = 0; i < w->nsites; i++)
        if (w->sites[i].call != VERB_NONE && w->sites[i].ends_at < next)
            next = w->sites[i].ends_at;
    return next;
}

static void pass_time(struct world *w)
{
    int64_t next = next_event(w), before = w->mono;

    if (next == INT64_MAX || PERCENT(w, 20))
        w->mono += world_random(w, 60) * NS_PER_SEC;
    else if (next > w->mono)
        w->mono = next;
    w->real += w->mono - before;
}

/* An operator speaks: recorded, or not done. */
static void order(struct world *w, struct sim_site *s)
{
    if (w->ledger_broken || w->readonly)
        return;
    if (PERCENT(w, 20)) {
        w->paused = !w->paused;
        return;
    }
    struct record r = like_newest(s, s->track.held ? RECORD_RELEASED : RECORD_HELD);
    r.by = xstrdup("ann");
    append(w, s, r);
}

static void misfortune(struct world *w)
{
    struct sim_site *s = &w->sites[world_random(w, w->nsites)];

    switch (world_random(w, 18)) {
    case 0:
        crash(w);
        break;
    case 1: /* somebody sets the clock */
        w->real += ((int64_t)world_random(w, 7200) - 3600) * NS_PER_SEC;
        break;
    case 2:
        w->ledger_broken = !w->ledger_broken;
        break;
    case 3:
        w->frozen_kind = w->frozen_kind ? NULL : PERCENT(w, 50) ? "declaration" : "rewritten";
        break;
    case 4: /* another process reconciles: ours has nothing under way */
        w->readonly = false;
        if (PERCENT(w, 20)) {
            crash(w);
            w->readonly = true;
        }
        break;
    case 5:
    case 6:
        s->suspend = !s->suspend;
        break;
    case 7:
        s->misconfigured = !s->misconfigured && !s->attempt && s->call == VERB_NONE;
        break;
    case 8:
        s->declared = !s->declared;
        break;
    case 9:
        pin(w, s);
        break;
    case 10:
    case 11:
        order(w, s);
        break;
    case 12:
    case 13:
        s->bent = true;
        break;
    case 14:
        s->fits = world_random(w, 32);
        s->self_heal = PERCENT(w, 50);
        break;
    case 15:
        init_waves(w);
        break;
    default:
        s->retry_asked |= s->track.phase == TRACK_RETRY || s->track.phase == TRACK_FAILED ||
                          s->track.phase == TRACK_STALLED || s->track.drifted;
    }
}

void world_step(struct world *w)
{
    uint64_t dice = world_random(w, 100);

    w->steps++;
    if (dice < 10)
        commit(w);
    else if (dice < 30)
        misfortune(w);
    else
        pass_time(w);
    end_calls(w);
    decide(w);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void make_calm(struct world *w)
{
    w->calm = true;
    w->ledger_broken = w->readonly = false;
    w->frozen_kind = NULL;
    w->paused = false;
    for (size_t b = 0; b < ARRAY_SIZE(w->backends); b++)
        w->backends[b].plan.observe_every = 0; /* nothing is bent any more */
    for (size_t i = 0; i < w->nsites; i++) {
        struct sim_site *s = &w->sites[i];
        if (s->track.held)
            append(w, s, like_newest(s, RECORD_RELEASED));
        s->suspend = s->misconfigured = false;
        s->declared = true;
        s->retry_asked |=
            s->track.phase == TRACK_FAILED || s->track.phase == TRACK_STALLED || s->track.drifted;
    }
}

void world_settle(struct world *w)
{
    for (size_t i = 0; i < w->nsites * 40 + 200; i++) {
        w->ledger_broken = false;
        end_calls(w);
        make_calm(w); /* each time: what was bound to fail before has failed now */
        decide(w);
        int64_t next = next_event(w);
        if (next == INT64_MAX)
            break;
        w->real += next > w->mono ? next - w->mono : 0;
        w->mono = next > w->mono ? next : w->mono;
    }
    for (size_t i = 0; i < w->nsites; i++)
        world_check(w, sim_in_sync(&w->sites[i]), "I12, I13 everything arrives in the end",
                    w->sites[i].name);
}
