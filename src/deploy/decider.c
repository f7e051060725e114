#include "deploy/decider.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "deploy/status.h"

#define KILL_AFTER   (10 * NS_PER_SEC) /* from TERM to KILL */
#define LEDGER_AGAIN NS_PER_SEC        /* after the ledger could not be written */
#define NEVER        (365 * 86400 * NS_PER_SEC)

/* A view of the fleet costs something for each site: from so many sites on, what happens at them is
 * gathered for so long a time for each before it is shown. New revisions and orders do not wait. */
#define GATHER_FROM 1000
#define GATHER_SITE 20000 /* ns */

/* ---- calling --------------------------------------------------------------------------------- */

static void call(struct decider *r, struct attempt *a, enum backend_verb verb)
{
    r->calls++;
    r->running[a->backend_index]++;
    attempt_call(a, verb, r->pools[a->backend_index]);
}

/* Everything that a call needs; `heal`: it goes to what is deployed. NULL: there is no room for
 * another descriptor. */
static struct attempt *make_attempt(struct decider *r, const struct roster_site *s, bool heal)
{
    const struct backend_config *backend = &r->config->backends[s->backend];
    const struct site_track *t = &s->facts.track;
    struct attempt *a = NEW(struct attempt);

    a->backend = r->backends[s->backend];
    a->backend_index = s->backend;
    a->declaration = declaration_ref(r->targets.declaration);
    a->ended = r->ended;
    a->arg = r->ended_arg;
    a->request = (struct backend_request){.site = s->target->site,
                                          .generation = t->generation,
                                          .attempt = t->attempt,
                                          .from = t->deployed,
                                          .to = heal ? t->deployed : s->desired,
                                          .mountpoint = r->config->mountpoint,
                                          .timeout = backend->timeout,
                                          .kill_after = KILL_AFTER};
    int err = attempt_init(a);
    if (err == 0)
        return a;
    log_error("call-failed", "site=%s reason=\"%s\"", s->name, strerror(-err));
    attempt_free(a);
    return NULL;
}

static void prepare_start(struct decider *r, struct roster_site *s,
                          const struct plan_action *action)
{
    struct attempt *a = make_attempt(r, s, action->heal);

    if (!a)
        return;
    a->request.generation = action->generation;
    a->request.attempt = action->attempt;
    a->record = (struct record){.kind = RECORD_ATTEMPT,
                                .generation = action->generation,
                                .attempt = action->attempt,
                                .from = a->request.from,
                                .to = a->request.to,
                                .inputs = action->heal ? s->facts.track.deployed_inputs : s->inputs,
                                .source = xstrdup(s->target->site->source),
                                .backend = xstrdup(r->config->backends[s->backend].name),
                                .outcome = action->heal ? xstrdup(TRACK_HEAL) : NULL,
                                .exit = -1};
    transaction_start(&r->transaction, s, a);
}

static void observe(struct decider *r, struct roster_site *s)
{
    struct attempt *a = make_attempt(r, s, true);

    s->observed_at = clock_mono(); /* whatever comes of it: not at once again */
    if (!a)
        return;
    s->facts.observation = a;
    call(r, a, VERB_OBSERVE);
}

/* What needs no record. */
static void call_due(struct decider *r, const struct plan *plan)
{
    vec_foreach (action, plan) {
        struct roster_site *s = r->roster.v[action->site];
        struct attempt *a = roster_attempt(s);
        if (action->kind == PLAN_HEALTH)
            call(r, a, VERB_HEALTH);
        else if (action->kind == PLAN_OBSERVE)
            observe(r, s);
        else if (action->kind == PLAN_STOP)
            attempt_stop(a);
    }
}

/* ---- calls that have ended ------------------------------------------------------------------- */

static void await_health(struct decider *r, struct attempt *a)
{
    int64_t now = clock_mono();
    bool first = a->call == VERB_APPLY, again = a->result.end == BACKEND_LATER;

    if (first)
        a->health_until = now + a->request.timeout;
    a->health_at = first || !again ? now : now + plan_health_pause(a->asked);
    a->call = VERB_NONE;
    r->dirty = true;
}

/* It was not told to stop, but the mount has ended, and so shall we: nothing more is started for
 * its site until then. */
static void await_end(struct attempt *a)
{
    a->call = VERB_NONE;
    a->health_at = a->health_until = clock_mono() + NEVER;
}

static void note_observation(struct decider *r, struct attempt *a)
{
    struct roster_site *s = map_get(&r->roster.by_name, a->request.site->name);

    s->observed_at = clock_mono();
    if (a->result.end == BACKEND_UNKNOWN)
        s->unobservable = a->request.generation;
    else if (a->result.end != BACKEND_DONE && a->result.end != BACKEND_DRIFTED &&
             a->result.end != BACKEND_STOPPED)
        log_warn("not-observed", "site=%s reason=\"%s\"", s->name,
                 a->result.message ? a->result.message : "");
}

static void take_in(struct decider *r, struct attempt *a)
{
    bool well = a->result.end == BACKEND_DONE || a->result.end == BACKEND_UNKNOWN;

    r->calls--;
    r->running[a->backend_index]--;
    if (r->ending && a->call == VERB_HEALTH && !well)
        a->result.end = BACKEND_STOPPED;
    if (a->call == VERB_OBSERVE) {
        note_observation(r, a);
    } else if (a->result.end == BACKEND_STOPPED && !a->stopping && !r->ending) {
        await_end(a);
        return;
    } else if (attempt_next(a) == NEXT_HEALTH) {
        await_health(r, a);
        return;
    }
    a->next = r->unrecorded;
    r->unrecorded = a;
}

void decider_take_in(struct decider *r, struct attempt *ended)
{
    while (ended) {
        struct attempt *a = ended;
        ended = a->next;
        take_in(r, a);
    }
}

/* ---- one transaction ------------------------------------------------------------------------- */

static void end_attempt(struct decider *r, struct roster_site *s)
{
    const struct attempt *a = s->facts.attempt;
    struct plan_outcome outcome =
        plan_outcome(&s->facts.track, a->result.end, &r->config->backends[a->backend_index].retry);

    transaction_end(&r->transaction, s, &outcome);
}

static void record_ended(struct decider *r)
{
    for (struct attempt *a = r->unrecorded; a; a = a->next) {
        struct roster_site *s = map_get(&r->roster.by_name, a->request.site->name);
        if (a == s->facts.attempt)
            end_attempt(r, s);
        else
            transaction_observed(&r->transaction, s);
    }
}

/* The newest generation ends, but not by its backend. */
static void end_without_call(struct decider *r, struct roster_site *s, enum record_kind kind)
{
    struct record end;

    if (s->facts.attempt) {
        transaction_end(&r->transaction, s, &(struct plan_outcome){kind, NULL});
        return;
    }
    end = transaction_of_newest(s, kind);
    transaction_add(&r->transaction, s, &end);
}

static void carry_out(struct decider *r, const struct plan *plan)
{
    vec_foreach (action, plan) {
        struct roster_site *s = r->roster.v[action->site];
        if (action->kind == PLAN_START) {
            prepare_start(r, s, action);
        } else if (action->kind == PLAN_GIVE_UP) {
            if (s->facts.attempt->result.end != BACKEND_TIMEOUT)
                attempt_give_up(s->facts.attempt);
            end_attempt(r, s);
        } else if (PLAN_RECORDS(action->kind)) {
            end_without_call(
                r, s, action->kind == PLAN_INTERRUPT ? RECORD_INTERRUPTED : RECORD_SUPERSEDED);
        }
    }
}

static void set_ledger_problem(struct decider *r, char *problem)
{
    r->dirty |= (problem != NULL) != (r->ledger_problem != NULL);
    free(r->ledger_problem);
    r->ledger_problem = problem;
}

/* Writes the transaction and lets it happen. 0, or -errno and everything is as it was before. */
static int settle(struct decider *r)
{
    _cleanup_(diag_done) struct diag why = {0};
    int err = transaction_write(&r->transaction, r->config->ledger, &why);

    set_ledger_problem(r, err < 0 ? xstrdup(diag_text(&why, err)) : NULL);
    if (err < 0)
        return err;
    r->dirty |= r->transaction.records.n > 0;
    vec_foreach (a, &r->transaction.starts)
        call(r, *a, VERB_APPLY);
    transaction_clear(&r->transaction, &r->journal);
    return 0;
}

/* ---- deciding -------------------------------------------------------------------------------- */

/* What may be asked of each backend. */
static struct plan_backend *plan_backends(const struct decider *r)
{
    struct plan_backend *out = xcalloc(r->config->nbackends, sizeof(*out));

    for (size_t i = 0; i < r->config->nbackends; i++)
        out[i] = (struct plan_backend){.concurrency = r->config->backends[i].concurrency,
                                       .retry = r->config->backends[i].retry,
                                       .observe_every = r->config->backends[i].observe_every,
                                       .running = r->running[i]};
    return out;
}

static void make_plan(struct decider *r, struct plan *ret)
{
    const struct reconcile_config *c = r->config;
    const struct declaration *d = r->targets.declaration;
    _cleanup_free_ struct plan_backend *backends = plan_backends(r);
    struct plan_input input = {.sites = roster_plan(&r->roster, !c->enabled),
                               .nsites = r->roster.n,
                               .nrollouts = r->roster.rollouts.n,
                               .waves = d ? d->waves.v : NULL,
                               .nwaves = d ? d->waves.n : 0,
                               .max_failures = d ? d->max_failures : 0,
                               .backends = backends,
                               .nbackends = c->nbackends,
                               .frozen_kind = r->targets.frozen_kind,
                               .frozen = r->targets.frozen,
                               .paused = r->paused.text,
                               .readonly = !c->enabled || r->set_back,
                               .now = clock_mono()};

    if (!input.frozen && r->set_back) {
        input.frozen_kind = "rewritten";
        input.frozen = r->set_back;
    }
    if (!c->enabled) {
        input.frozen_kind = "lease";
        input.frozen = c->disabled_why ? c->disabled_why : "reconciling is switched off here";
    }
    plan_make(&input, ret);
}

/* What is wrong with the ledger; NULL: nothing. */
static const char *ledger_problem(const struct decider *r)
{
    return r->set_back ? r->set_back : r->ledger_problem;
}

static void tell_problem(struct decider *r)
{
    const char *now = r->targets.frozen ? r->targets.frozen : ledger_problem(r);

    if (str_equal(now, r->told))
        return;
    journal_problem(&r->journal, now);
    free(r->told);
    r->told = xstrdup_or_null(now);
}

/* When what is new may be shown. */
static int64_t show_at(const struct decider *r)
{
    if (!r->shown || r->urgent || r->roster.ndeclared < GATHER_FROM)
        return 0;
    return r->shown_at + (int64_t)r->roster.ndeclared * GATHER_SITE;
}

/* Shows the fleet if there is something new. Returns when (mono) to come again for that;
 * INT64_MAX: no need. */
static int64_t publish(struct decider *r, const struct plan *plan)
{
    struct status_source source = {.roster = &r->roster,
                                   .targets = &r->targets,
                                   .plan = plan,
                                   .problem = ledger_problem(r),
                                   .paused = r->paused.text};

    tell_problem(r);
    if (!r->dirty)
        return INT64_MAX;
    if (clock_mono() < show_at(r))
        return show_at(r);
    _cleanup_(fleet_unrefp) struct fleet *before = fleet_board_peek(r->config->board),
                                         *now = status_fleet(&source);
    if (r->config->enabled)
        journal_rollouts(&r->journal, before, now);
    fleet_board_publish(r->config->board, TAKE(now));
    r->dirty = r->urgent = false;
    r->shown = true;
    r->shown_at = clock_mono();
    return INT64_MAX;
}

int64_t decider_decide(struct decider *r)
{
    for (;;) {
        _cleanup_(plan_done) struct plan plan = {0};
        record_ended(r);
        make_plan(r, &plan);
        if (!r->shown) /* views wait for the first fleet: it comes before anything is done */
            publish(r, &plan);
        carry_out(r, &plan);
        if (!r->transaction.records.n && !r->transaction.over.n) {
            call_due(r, &plan);
            int64_t show = publish(r, &plan);
            return show < plan.wake_at ? show : plan.wake_at;
        }
        if (settle(r) < 0) {
            _cleanup_(plan_done) struct plan unchanged = {0};
            make_plan(r, &unchanged);
            publish(r, &unchanged);
            return clock_mono() + LEDGER_AGAIN;
        }
        r->unrecorded = NULL;
        call_due(r, &plan);
        if (clock_mono() < show_at(r)) /* what has ended meanwhile is decided on at the same time */
            return clock_mono();
    }
}

/* ---- news ------------------------------------------------------------------------------------ */

static bool is_rewritten(const struct decider *r)
{
    return str_equal(r->targets.frozen_kind, "rewritten");
}

/* Moves the high-water mark to the mainline's revision, unless that was found to be no descendant.
 * Before anything is started, so that all that was ever started lies at or behind the mark. */
static void see(struct decider *r, const struct oid *head)
{
    _cleanup_(diag_done) struct diag why = {0};

    if (!r->config->enabled || oid_is_zero(head) || is_rewritten(r))
        return;
    int err = ledger_see(r->config->ledger, head, &why);
    if (err < 0)
        log_warn("mark-not-moved", "reason=\"%s\"", diag_text(&why, err));
}

static int find_pause(const struct record *record, void *paused)
{
    if (record->kind != RECORD_PAUSED && record->kind != RECORD_RESUMED)
        return 0;
    if (record->kind == RECORD_PAUSED)
        veto_set(paused, record);
    return 1;
}

/* Whether rollouts are paused, by the ledger. */
static void follow_pause(struct decider *r)
{
    _cleanup_(diag_done) struct diag why = {0};

    veto_done(&r->paused);
    int err = ledger_history(r->config->ledger, RECORD_FLEET, find_pause, &r->paused, &why);
    if (err < 0) { /* nothing that a person has paused goes on by accident */
        veto_done(&r->paused);
        r->paused.text = xasprintf("the ledger does not say whether rollouts are paused: %s",
                                   diag_text(&why, err));
    }
    r->dirty = true;
}

/* Whether the ledger still holds all that was ever seen of it: if not, nothing of it is believed
 * until it does again, or a person accepts it, and then everything is read anew. When that cannot
 * be told, it stands as it was: appends have the last word. */
static void follow_ledger(struct decider *r)
{
    _cleanup_(diag_done) struct diag why = {0};
    int err = ledger_holds(r->config->ledger, &why);

    if (err < 0 && err != -ESTALE) {
        log_warn("ledger-not-followed", "reason=\"%s\"", diag_text(&why, err));
        return;
    }
    _cleanup_free_ char *before = TAKE(r->set_back);
    if (err < 0)
        r->set_back = xstrdup(diag_text(&why, err));
    if (before && !r->set_back)
        set_ledger_problem(r, NULL);
    if (err == 0 && (before || !r->config->enabled)) {
        roster_reload(&r->roster, r->config->ledger);
        follow_pause(r);
    }
    r->dirty |= !str_equal(before, r->set_back);
}

int decider_follow_refs(struct decider *r)
{
    const struct reconcile_config *c = r->config;
    _cleanup_(refs_unrefp) struct refs *refs = mainline_refs(c->mainline);
    _cleanup_free_ char *mainline = mainline_ref(c->mainline);
    struct targets_source source = {.repo = c->repo,
                                    .refs = refs,
                                    .mainline = mainline,
                                    .history = c->history,
                                    .cancel = &r->cancel};
    struct roster_backends backends = {c->backends, c->nbackends};
    struct oid before = r->targets.head;

    if (mainline_head(c->mainline, &source.head) < 0)
        source.head = (struct oid){0};
    int err = ledger_seen(c->ledger, &source.head, &source.seen);
    source.seen_unknown = err < 0 && err != -ENOENT;
    int changed = targets_update(&r->targets, &source);
    if (changed < 0)
        return changed;
    see(r, &source.head);
    if (changed)
        roster_follow(&r->roster, &r->targets, &backends, c->ledger);
    follow_ledger(r);
    if (!r->shown)
        follow_pause(r);
    if (!oid_equal(&before, &r->targets.head))
        journal_head(&r->journal, &r->targets.head);
    r->urgent |= changed;
    r->dirty |= changed || !c->enabled;
    return 0;
}

/* ---- orders ---------------------------------------------------------------------------------- */

static void retry(struct decider *r, struct roster_site *s, const struct command *c)
{
    const struct site_track *t = &s->facts.track;
    bool waits = t->phase == TRACK_RETRY || t->phase == TRACK_FAILED || t->phase == TRACK_STALLED ||
                 (t->phase == TRACK_DEPLOYED && t->drifted);

    if (!waits || s->facts.retry_by)
        return;
    s->facts.retry_by = xstrdup(c->who);
    r->dirty = true;
}

/* Whether what is asked for is so already. */
static bool stands(const struct veto *v, const struct command *c)
{
    return veto_is(v, c->who, c->order->reason);
}

static void record_order(struct decider *r, struct roster_site *s, const struct command *c,
                         enum record_kind kind)
{
    struct record record = transaction_of_newest(s, kind);

    record.by = xstrdup(c->who);
    record.message = xstrdup_or_null(c->order->reason);
    transaction_add(&r->transaction, s, &record);
}

static void order_site(struct decider *r, struct roster_site *s, const struct command *c)
{
    const struct site_track *t = &s->facts.track;

    if (c->order->kind == ORDER_RETRY)
        retry(r, s, c);
    else if (c->order->kind == ORDER_RELEASE && t->held)
        record_order(r, s, c, RECORD_RELEASED);
    else if (c->order->kind == ORDER_HOLD && !stands(&t->hold, c))
        record_order(r, s, c, RECORD_HELD);
}

/* Writes the records that the order has made, if any. */
static int settle_order(struct decider *r, const struct command *c)
{
    int err = r->transaction.records.n ? settle(r) : 0;

    return err < 0 ? diag_fail(c->reterr, err, "%s", r->ledger_problem) : 0;
}

/* All sites are there, or nothing is done. */
static int order_sites(struct decider *r, const struct command *c)
{
    vec_foreach (name, &c->order->sites)
        if (!roster_find(&r->roster, *name))
            return diag_fail(c->reterr, -ENOENT, "there is no site %s", *name);
    vec_foreach (name, &c->order->sites)
        order_site(r, roster_find(&r->roster, *name), c);
    return settle_order(r, c);
}

static int order_fleet(struct decider *r, const struct command *c, struct record record)
{
    record.by = xstrdup(c->who);
    record.message = xstrdup_or_null(c->order->reason);
    transaction_add_fleet(&r->transaction, &record);
    return settle_order(r, c);
}

static int order_pause(struct decider *r, const struct command *c)
{
    bool pause = c->order->kind == ORDER_PAUSE;

    if (pause ? stands(&r->paused, c) : !r->paused.text)
        return 0;
    int err = order_fleet(r, c, (struct record){.kind = pause ? RECORD_PAUSED : RECORD_RESUMED});
    if (err == 0)
        follow_pause(r);
    return err;
}

/* The mainline as it is now is the one that sites follow from now on, and the ledger as it is now
 * the one that says where they are. */
static int order_accept(struct decider *r, const struct command *c)
{
    struct record record = {.kind = RECORD_ACCEPTED};

    if (!is_rewritten(r) && !r->set_back)
        return diag_fail(c->reterr, -EINVAL,
                         "the mainline was not rewritten, and the ledger not set back: there is "
                         "nothing to accept");
    int err = mainline_head(r->config->mainline, &record.to);
    if (err < 0)
        return diag_fail(c->reterr, err, "the mainline has no revision");
    ledger_seen(r->config->ledger, &record.to, &record.from);
    err = order_fleet(r, c, record);
    if (err == 0)
        err = ledger_accept(r->config->ledger, &record.to, c->reterr);
    return err < 0 ? err : decider_follow_refs(r);
}

int decider_obey(struct decider *r, const struct command *c)
{
    r->urgent = true; /* who gave it looks now */
    switch (c->order->kind) {
    case ORDER_ACCEPT:
        return order_accept(r, c);
    case ORDER_PAUSE:
    case ORDER_RESUME:
        return order_pause(r, c);
    case ORDER_RETRY:
    case ORDER_HOLD:
    case ORDER_RELEASE:
        return order_sites(r, c);
    default:
        return -ENOTSUP;
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

void decider_stop_calls(struct decider *r)
{
    map_foreach (it, &r->roster.by_name) {
        struct roster_site *s = it->value;
        struct attempt *a = roster_attempt(s);
        if (a && a->call != VERB_NONE)
            attempt_stop(a);
    }
}

void decider_ask_last(struct decider *r)
{
    r->ending = true;
    map_foreach (it, &r->roster.by_name) {
        struct roster_site *s = it->value;
        if (s->facts.attempt && s->facts.attempt->call == VERB_NONE && !s->facts.attempt->asked)
            call(r, s->facts.attempt, VERB_HEALTH);
    }
}

/* Attempts that wait for their health wait no longer. */
static void interrupt_waiting(struct decider *r)
{
    map_foreach (it, &r->roster.by_name) {
        struct roster_site *s = it->value;
        if (s->facts.attempt && s->facts.attempt->call == VERB_NONE)
            end_without_call(r, s, RECORD_INTERRUPTED);
    }
}

void decider_wind_up(struct decider *r)
{
    record_ended(r);
    interrupt_waiting(r);
    bool over = r->transaction.records.n || r->transaction.over.n;
    if (over && settle(r) < 0) /* found open at the next start, and recorded then */
        log_error("ledger-failed", "reason=\"%s\"", r->ledger_problem);
}

/* Without a ledger that could be written, attempts are still there. */
static void free_attempts(struct decider *r)
{
    map_foreach (it, &r->roster.by_name) {
        struct roster_site *s = it->value;
        attempt_free(s->facts.attempt);
        attempt_free(s->facts.observation);
    }
}

void decider_free(struct decider *r)
{
    for (size_t i = 0; i < r->config->nbackends; i++) {
        pool_free(r->pools[i]);
        backend_free(r->backends[i]);
    }
    free(r->pools);
    free(r->backends);
    free(r->running);
    free_attempts(r);
    transaction_free(&r->transaction);
    roster_done(&r->roster);
    targets_done(&r->targets);
    veto_done(&r->paused);
    free(r->set_back);
    free(r->ledger_problem);
    free(r->told);
    free(r);
}

static int make_backends(struct decider *r, struct diag *reterr)
{
    const struct reconcile_config *c = r->config;

    r->backends = xcalloc(c->nbackends, sizeof(*r->backends));
    r->pools = xcalloc(c->nbackends, sizeof(*r->pools));
    r->running = xcalloc(c->nbackends, sizeof(*r->running));
    for (size_t i = 0; i < c->nbackends; i++) {
        int err = backend_new(&c->backends[i], c->repo, &r->backends[i], reterr);
        if (err < 0)
            return err;
        r->pools[i] = pool_new("backend", c->backends[i].concurrency);
    }
    return 0;
}

int decider_new(const struct reconcile_config *config, struct decider **ret, struct diag *reterr)
{
    struct decider *r = NEW(struct decider);

    r->config = config;
    r->journal = (struct journal){config->event, config->event_arg};
    r->dirty = true;
    r->transaction.roster = &r->roster;
    int err = make_backends(r, reterr);
    if (err < 0)
        decider_free(r);
    else
        *ret = r;
    return err;
}
