#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "invariants.h"

#define PERCENT(w, n) (world_random((w), 100) < (uint64_t)(n))

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
}

static void init_site(struct world *w, size_t i)
{
    struct sim_site *s = &w->sites[i];

    snprintf(s->name, sizeof(s->name), "site-%04zu", i);
    s->declared = true;
    s->backend = world_random(w, ARRAY_SIZE(w->backends));
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

/* How the attempt that starts now will end, and when. */
static void choose_end(struct world *w, struct sim_site *s)
{
    const struct sim_backend *b = &w->backends[s->backend];
    int dice = w->calm ? 100 : world_random(w, 100);

    s->running = true;
    s->ends_at = w->mono + 1 + world_random(w, b->slowest);
    s->end = (dice -= b->failing) < 0      ? BACKEND_FAILED
             : (dice -= b->later) < 0      ? BACKEND_LATER
             : (dice -= b->stalling) < 0   ? BACKEND_STALLED
             : (dice -= b->timing_out) < 0 ? BACKEND_TIMEOUT
                                           : BACKEND_DONE;
}

static void start(struct world *w, struct sim_site *s, const struct plan_action *action)
{
    struct record r = {.kind = RECORD_ATTEMPT,
                       .generation = action->generation,
                       .attempt = action->attempt,
                       .from = s->track.deployed,
                       .to = sim_oid(s->revision, 1),
                       .inputs = sim_oid(s->inputs, 2)};

    append(w, s, r);
    s->retry_asked = false;
    w->starts++;
    choose_end(w, s);
}

static void carry_out(struct world *w, const struct plan *plan)
{
    vec_foreach (a, plan) {
        struct sim_site *s = &w->sites[a->site];
        if (a->kind == PLAN_START)
            start(w, s, a);
        else
            append(
                w, s,
                like_newest(s, a->kind == PLAN_INTERRUPT ? RECORD_INTERRUPTED : RECORD_SUPERSEDED));
    }
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
            .rollout = WAVES_NONE,
            .attempt = s->running || (w->readonly && s->track.phase == TRACK_OPEN),
            .call = s->running || (w->readonly && s->track.phase == TRACK_OPEN) ? VERB_APPLY
                                                                                : VERB_NONE,
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
                                   .backends = backends,
                                   .nbackends = ARRAY_SIZE(w->backends),
                                   .frozen_kind = w->readonly ? "lease" : w->frozen_kind,
                                   .frozen = "made up",
                                   .readonly = w->readonly,
                                   .now = w->mono};
        for (size_t b = 0; b < ARRAY_SIZE(backends); b++) {
            backends[b] = w->backends[b].plan;
            for (size_t i = 0; i < w->nsites; i++)
                backends[b].running += w->sites[i].running && w->sites[i].backend == (int)b;
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
        carry_out(w, &plan);
        world_check(w, round < 3, "I13 a plan that was carried out leaves nothing to do", "");
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
                        track.ended == ended,
                    "a track read from the ledger is the one that was there before", s->name);
        site_track_done(&s->track);
        s->track = track;
        s->running = s->retry_asked = false;
        s->desired_at = w->mono;
    }
}

static void end_attempts(struct world *w)
{
    for (size_t i = 0; i < w->nsites; i++) {
        struct sim_site *s = &w->sites[i];
        if (!s->running || s->ends_at > w->mono || w->ledger_broken)
            continue;
        struct plan_outcome o =
            plan_outcome(&s->track, s->end, &w->backends[s->backend].plan.retry);
        invariants_of_end(w, s, &o);
        struct record r = like_newest(s, o.kind);
        r.outcome = o.outcome ? xstrdup(o.outcome) : NULL;
        append(w, s, r);
        s->running = false;
    }
}

/* When the next thing happens by itself; INT64_MAX: never. */
static int64_t next_event(const struct world *w)
{
    int64_t next = w->wake_at;

    for (size_t i = 0; i < w->nsites; i++)
        if (w->sites[i].running && w->sites[i].ends_at < next)
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

static void misfortune(struct world *w)
{
    struct sim_site *s = &w->sites[world_random(w, w->nsites)];

    switch (world_random(w, 12)) {
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
        s->misconfigured = !s->misconfigured && !s->running;
        break;
    case 8:
        s->declared = !s->declared;
        break;
    case 9:
        pin(w, s);
        break;
    default:
        s->retry_asked |= s->track.phase == TRACK_RETRY || s->track.phase == TRACK_FAILED ||
                          s->track.phase == TRACK_STALLED;
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
    end_attempts(w);
    decide(w);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void make_calm(struct world *w)
{
    w->calm = true;
    w->ledger_broken = w->readonly = false;
    w->frozen_kind = NULL;
    for (size_t i = 0; i < w->nsites; i++) {
        struct sim_site *s = &w->sites[i];
        s->suspend = s->misconfigured = false;
        s->declared = true;
        s->retry_asked |= s->track.phase == TRACK_FAILED || s->track.phase == TRACK_STALLED;
    }
}

void world_settle(struct world *w)
{
    for (size_t i = 0; i < w->nsites * 20 + 100; i++) {
        w->ledger_broken = false;
        end_attempts(w);
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
