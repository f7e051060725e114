/* The thread that decides. One pass:
 *
 *     take news ─► targets ─► decide ─────────────► ledger ──► start ─► … ─► publish
 *                             (plan, ended attempts  (one       backends
 *                              and actions become     commit)
 *                              records)
 *
 * `decide` is a transaction on the roster: what cannot be recorded has not happened, and is decided
 * again a second later. It is repeated until there is nothing to do, which is when views are made.
 *
 * Locking: `lock` guards the mailbox (what other threads left for this one). Everything else
 * belongs to the thread. */
#include "deploy/reconcile.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "deploy/attempt.h"
#include "deploy/journal.h"
#include "deploy/plan.h"
#include "deploy/roster.h"
#include "deploy/status.h"
#include "deploy/targets.h"

#define KILL_AFTER   (10 * NS_PER_SEC) /* from TERM to KILL */
#define LEDGER_AGAIN NS_PER_SEC        /* after the ledger could not be written */
#define BY_US        "onwardfs"

/* An operator's command, on the stack of the thread that waits for it. */
struct command {
    struct command *next;
    const char *who;
    char *words; /* the names of sites, each ended by NUL, a last empty one */
    int result;
    struct diag *reterr;
    bool done;
};

struct reconcile {
    struct reconcile_config config;
    struct journal journal;
    struct backend **backends; /* as in the configuration, by index */
    struct pool **pools;
    pthread_t thread;

    /* the mailbox */
    pthread_mutex_t lock;
    pthread_cond_t news;    /* for the thread */
    pthread_cond_t answers; /* for those who wait for a command */
    bool refs_changed, ending;
    int64_t end_at; /* mono: when attempts that still run are stopped */
    struct attempt *ended;
    struct command *commands;

    /* the thread's own */
    struct targets targets;
    struct roster roster;
    struct attempt *unrecorded; /* ended, and not in the ledger yet */
    size_t running;             /* attempts, the ended ones that are not recorded included */
    bool cancel;                /* polled by long walks */
    int stop_fd;                /* readable: backends stop */
    VEC(struct record) records; /* of the transaction */
    VEC(struct attempt *) starts;
    char *ledger_problem; /* why records could not be written; NULL: they could */
    char *told;           /* the problem that was last told */
    bool shown;           /* a fleet was published */
    bool dirty;           /* there is something new to show; true at first */
};

/* ---- records --------------------------------------------------------------------------------- */

static char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

/* Adds a record to the transaction and lets the track take it in. Takes what `record` holds. */
static void record(struct reconcile *r, struct roster_site *s, struct record *record)
{
    struct record *kept = VEC_ADD(&r->records);

    *kept = *record;
    kept->site = xstrdup(s->name);
    kept->at = clock_real();
    if (!kept->by)
        kept->by = xstrdup(BY_US);
    roster_touch(&r->roster, s);
    site_track_apply(&s->facts.track, kept, clock_mono());
}

/* What a record of the newest generation's end, other than by its backend, repeats of it. */
static void record_end(struct reconcile *r, struct roster_site *s, enum record_kind kind)
{
    const struct site_track *t = &s->facts.track;

    record(r, s,
           &(struct record){.kind = kind,
                            .generation = t->generation,
                            .attempt = t->attempt,
                            .from = t->from,
                            .to = t->to,
                            .inputs = t->inputs,
                            .source = copy(t->source),
                            .backend = copy(t->backend),
                            .exit = -1});
}

static void record_attempt_end(struct reconcile *r, struct roster_site *s, const struct attempt *a)
{
    const struct retry *retry = &r->config.backends[a->backend_index].retry;
    struct plan_outcome o = plan_outcome(&s->facts.track, a->result.end, retry);
    struct record end;

    record_copy(&a->record, &end);
    free(end.site);
    free(end.by);
    end.by = NULL;
    end.kind = o.kind;
    end.outcome = copy(o.outcome);
    end.exit = a->result.exit;
    end.message = copy(a->result.message);
    end.duration_ms = a->duration / NS_PER_MS;
    end.log = a->log;
    record(r, s, &end);
    s->facts.attempt = NULL;
}

/* ---- starting -------------------------------------------------------------------------------- */

static void attempt_ended(struct attempt *a, void *reconcile)
{
    struct reconcile *r = reconcile;

    pthread_mutex_lock(&r->lock);
    a->next = r->ended;
    r->ended = a;
    pthread_cond_signal(&r->news);
    pthread_mutex_unlock(&r->lock);
}

static struct attempt *make_attempt(struct reconcile *r, const struct roster_site *s,
                                    const struct plan_action *action)
{
    const struct backend_config *backend = &r->config.backends[s->backend];
    struct attempt *a = NEW(struct attempt);

    a->backend = r->backends[s->backend];
    a->backend_index = s->backend;
    a->ledger = r->config.ledger;
    a->declaration = declaration_ref(r->targets.declaration);
    a->ended = attempt_ended;
    a->arg = r;
    a->request = (struct backend_request){.site = s->target->site,
                                          .generation = action->generation,
                                          .attempt = action->attempt,
                                          .from = s->facts.track.deployed,
                                          .to = s->desired,
                                          .mountpoint = r->config.mountpoint,
                                          .timeout = backend->timeout,
                                          .kill_after = KILL_AFTER,
                                          .stop_fd = r->stop_fd};
    a->record = (struct record){.kind = RECORD_ATTEMPT,
                                .generation = action->generation,
                                .attempt = action->attempt,
                                .from = a->request.from,
                                .to = a->request.to,
                                .inputs = s->inputs,
                                .source = xstrdup(s->target->site->source),
                                .backend = xstrdup(backend->name),
                                .exit = -1};
    return a;
}

static void prepare_start(struct reconcile *r, struct roster_site *s,
                          const struct plan_action *action)
{
    struct attempt *a = make_attempt(r, s, action);
    struct record begin;

    record_copy(&a->record, &begin);
    begin.by = copy(s->facts.retry_by);
    record(r, s, &begin);
    free(TAKE(s->facts.retry_by));
    s->facts.attempt = a;
    *VEC_ADD(&r->starts) = a;
}

/* A revision that the mainline may not hold (a pin) gets a ref of its own before a site depends on
 * it. */
static int keep_pins(struct reconcile *r, struct diag *reterr)
{
    int err = 0;

    vec_foreach (a, &r->starts)
        if ((*a)->request.site->pin && err == 0)
            err = ledger_keep(r->config.ledger, &(*a)->request.to, reterr);
    return err;
}

/* ---- one transaction ------------------------------------------------------------------------- */

static void take_ended(struct reconcile *r)
{
    for (struct attempt *a = r->unrecorded; a; a = a->next) {
        struct roster_site *s = map_get(&r->roster.by_name, a->request.site->name);
        roster_touch(&r->roster, s);
        record_attempt_end(r, s, a);
    }
}

static void carry_out(struct reconcile *r, const struct plan *plan)
{
    vec_foreach (action, plan) {
        struct roster_site *s = r->roster.v[action->site];
        if (action->kind == PLAN_START)
            prepare_start(r, s, action);
        else
            record_end(r, s,
                       action->kind == PLAN_INTERRUPT ? RECORD_INTERRUPTED : RECORD_SUPERSEDED);
    }
}

static void drop_records(struct reconcile *r)
{
    vec_foreach (e, &r->records)
        record_done(e);
    r->records.n = 0;
    r->starts.n = 0;
}

/* Everything is in the ledger: lets it happen. */
static void commit(struct reconcile *r)
{
    roster_commit(&r->roster);
    vec_foreach (a, &r->starts)
        attempt_start(*a, r->pools[(*a)->backend_index]);
    r->running += r->starts.n;
    while (r->unrecorded) {
        struct attempt *a = r->unrecorded;
        r->unrecorded = a->next;
        r->running--;
        attempt_free(a);
    }
    vec_foreach (e, &r->records)
        journal_record(&r->journal, e);
    drop_records(r);
    r->dirty = true;
}

static void rollback(struct reconcile *r)
{
    roster_rollback(&r->roster);
    vec_foreach (a, &r->starts)
        attempt_free(*a);
    drop_records(r);
}

static void set_ledger_problem(struct reconcile *r, char *problem)
{
    r->dirty |= (problem != NULL) != (r->ledger_problem != NULL);
    free(r->ledger_problem);
    r->ledger_problem = problem;
}

/* Writes the records. 0, or -errno and everything is as it was before the transaction. */
static int settle(struct reconcile *r)
{
    _cleanup_(diag_done) struct diag why = {0};
    int err = keep_pins(r, &why);

    if (err == 0)
        err = ledger_append(r->config.ledger, r->records.v, r->records.n, &why);
    if (err < 0) {
        set_ledger_problem(r, xstrdup(diag_text(&why, err)));
        rollback(r);
        return err;
    }
    set_ledger_problem(r, NULL);
    commit(r);
    return 0;
}

/* ---- deciding -------------------------------------------------------------------------------- */

/* How many attempts each backend runs. */
static struct plan_backend *plan_backends(const struct reconcile *r)
{
    struct plan_backend *out = xcalloc(r->config.nbackends, sizeof(*out));

    for (size_t i = 0; i < r->config.nbackends; i++)
        out[i] = (struct plan_backend){.concurrency = r->config.backends[i].concurrency,
                                       .retry = r->config.backends[i].retry};
    map_foreach (it, &r->roster.by_name) {
        const struct attempt *a = ((struct roster_site *)it->value)->facts.attempt;
        if (a)
            out[a->backend_index].running++;
    }
    return out;
}

static void make_plan(const struct reconcile *r, struct plan *ret)
{
    const struct reconcile_config *c = &r->config;
    _cleanup_free_ struct plan_backend *backends = plan_backends(r);
    _cleanup_free_ struct plan_site *sites = roster_plan(&r->roster, !c->enabled);
    struct plan_input input = {.sites = sites,
                               .nsites = r->roster.n,
                               .backends = backends,
                               .nbackends = c->nbackends,
                               .frozen_kind = r->targets.frozen_kind,
                               .frozen = r->targets.frozen,
                               .readonly = !c->enabled,
                               .now = clock_mono()};

    if (!c->enabled) {
        input.frozen_kind = "lease";
        input.frozen = c->disabled_why ? c->disabled_why : "reconciling is switched off here";
    }
    plan_make(&input, ret);
}

static void tell_problem(struct reconcile *r)
{
    const char *now = r->targets.frozen ? r->targets.frozen : r->ledger_problem;

    if (!now == !r->told && (!now || !strcmp(now, r->told)))
        return;
    journal_problem(&r->journal, now);
    free(r->told);
    r->told = copy(now);
}

static void publish(struct reconcile *r, const struct plan *plan)
{
    tell_problem(r);
    if (!r->dirty)
        return;
    fleet_board_publish(r->config.board,
                        status_fleet(&r->roster, &r->targets, plan, r->ledger_problem));
    r->dirty = false;
    r->shown = true;
}

/* Decides, records, starts, until there is nothing to do; publishes. Returns when (mono) to decide
 * again. */
static int64_t decide(struct reconcile *r)
{
    for (;;) {
        _cleanup_(plan_done) struct plan plan = {0};
        take_ended(r);
        make_plan(r, &plan);
        if (!r->shown) /* views wait for the first fleet: it comes before anything is done */
            publish(r, &plan);
        carry_out(r, &plan);
        if (!r->records.n) {
            publish(r, &plan);
            return plan.wake_at;
        }
        if (settle(r) < 0) {
            _cleanup_(plan_done) struct plan unchanged = {0};
            make_plan(r, &unchanged);
            publish(r, &unchanged);
            return clock_mono() + LEDGER_AGAIN;
        }
    }
}

/* ---- news ------------------------------------------------------------------------------------ */

/* Moves the high-water mark to the mainline's revision, unless that was found to be no descendant.
 * Before anything is started, so that all that was ever started lies at or behind the mark. */
static void see(struct reconcile *r, const struct oid *head)
{
    _cleanup_(diag_done) struct diag why = {0};
    const char *kind = r->targets.frozen_kind;

    if (!r->config.enabled || oid_is_zero(head) || (kind && !strcmp(kind, "rewritten")))
        return;
    int err = ledger_see(r->config.ledger, head, &why);
    if (err < 0)
        log_warn("mark-not-moved", "reason=\"%s\"", diag_text(&why, err));
}

/* Takes in where the refs are now. -ECANCELED: the thread is to end. */
static int follow_refs(struct reconcile *r)
{
    const struct reconcile_config *c = &r->config;
    _cleanup_(refs_unrefp) struct refs *refs = mainline_refs(c->mainline);
    struct targets_source source = {
        .repo = c->repo, .refs = refs, .history = c->history, .cancel = &r->cancel};
    struct roster_backends backends = {c->backends, c->nbackends};
    struct oid before = r->targets.head;

    if (mainline_head(c->mainline, &source.head) < 0)
        source.head = (struct oid){0};
    if (ledger_seen(c->ledger, &source.seen) < 0)
        source.seen = (struct oid){0};
    int changed = targets_update(&r->targets, &source);
    if (changed < 0)
        return changed;
    see(r, &source.head);
    if (changed)
        roster_follow(&r->roster, &r->targets, &backends, c->ledger);
    if (!c->enabled && ledger_refresh(c->ledger, NULL) == 0)
        roster_reload(&r->roster, c->ledger);
    if (!oid_equal(&before, &r->targets.head))
        journal_head(&r->journal, &r->targets.head);
    r->dirty |= changed || !c->enabled;
    return 0;
}

/* `retry`: the sites' next attempts need not wait. All are there, or nothing is done. */
static int retry(struct reconcile *r, const struct command *c)
{
    for (const char *w = c->words; *w; w += strlen(w) + 1)
        if (!roster_find(&r->roster, w))
            return diag_fail(c->reterr, -ENOENT, "there is no site %s", w);
    for (const char *w = c->words; *w; w += strlen(w) + 1) {
        struct roster_site *s = roster_find(&r->roster, w);
        enum track_phase phase = s->facts.track.phase;
        bool waits = phase == TRACK_RETRY || phase == TRACK_FAILED || phase == TRACK_STALLED;
        if (!waits || s->facts.retry_by)
            continue;
        s->facts.retry_by = xstrdup(c->who);
        r->dirty = true;
    }
    return 0;
}

static int refuse(const struct command *c)
{
    return diag_fail(c->reterr, -ESHUTDOWN, "onwardfs is ending");
}

static void append_ended(struct reconcile *r, struct attempt *list)
{
    struct attempt **last = &r->unrecorded;

    while (*last)
        last = &(*last)->next;
    *last = list;
}

/* Waits for news, or until `until` (mono). Leaves the lock held. */
static void wait_for_news(struct reconcile *r, int64_t until)
{
    struct timespec t = clock_timespec(until);

    pthread_mutex_lock(&r->lock);
    while (!r->refs_changed && !r->ended && !r->commands && !r->ending) {
        int e = until == INT64_MAX ? pthread_cond_wait(&r->news, &r->lock)
                                   : pthread_cond_timedwait(&r->news, &r->lock, &t);
        if (e == ETIMEDOUT)
            break;
    }
}

static void answer(struct reconcile *r, struct command *commands)
{
    pthread_mutex_lock(&r->lock);
    for (struct command *c = commands, *next; c; c = next) {
        next = c->next; /* once done, it is gone */
        c->done = true;
    }
    pthread_cond_broadcast(&r->answers);
    pthread_mutex_unlock(&r->lock);
}

/* One pass: news in, decision out. Returns when the next one is due. */
static int64_t pass(struct reconcile *r, int64_t due)
{
    wait_for_news(r, due);
    bool refs_changed = r->refs_changed, ending = r->ending;
    struct command *commands = TAKE(r->commands);
    struct attempt *ended = TAKE(r->ended);
    r->refs_changed = false;
    pthread_mutex_unlock(&r->lock);

    append_ended(r, ended);
    if (refs_changed && !ending)
        ending = follow_refs(r) < 0;
    for (struct command *c = commands; c; c = c->next)
        c->result = ending ? refuse(c) : retry(r, c);
    if (!ending)
        due = decide(r);
    answer(r, commands);
    return due;
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* Waits until an attempt has ended, or until `until`; takes those that have. */
static void collect_ended(struct reconcile *r, int64_t until)
{
    struct timespec t = clock_timespec(until);
    int e = 0;

    pthread_mutex_lock(&r->lock);
    while (!r->ended && e != ETIMEDOUT)
        e = until == INT64_MAX ? pthread_cond_wait(&r->news, &r->lock)
                               : pthread_cond_timedwait(&r->news, &r->lock, &t);
    struct attempt *ended = TAKE(r->ended);
    pthread_mutex_unlock(&r->lock);
    append_ended(r, ended);
}

static size_t count_unrecorded(const struct reconcile *r)
{
    size_t n = 0;

    for (const struct attempt *a = r->unrecorded; a; a = a->next)
        n++;
    return n;
}

/* Lets attempts end, then stops them, and records each; starts nothing. */
static void wind_up(struct reconcile *r)
{
    bool stopped = false;

    pass(r, 0); /* answers those who still wait for a command */
    while (count_unrecorded(r) < r->running) {
        if (!stopped && clock_mono() >= r->end_at) {
            stopped = true;
            eventfd_write(r->stop_fd, 1);
        }
        collect_ended(r, stopped ? INT64_MAX : r->end_at);
    }
    take_ended(r);
    if (r->records.n && settle(r) < 0) /* found open at the next start, and recorded then */
        log_error("ledger-failed", "reason=\"%s\"", r->ledger_problem);
}

static void *run(void *reconcile)
{
    struct reconcile *r = reconcile;
    int64_t due = clock_mono();

    pthread_setname_np(pthread_self(), "reconcile");
    while (!__atomic_load_n(&r->cancel, __ATOMIC_ACQUIRE))
        due = pass(r, due);
    wind_up(r);
    return NULL;
}

/* ---- from other threads ---------------------------------------------------------------------- */

static void reconcile_free(struct reconcile *r)
{
    for (size_t i = 0; i < r->config.nbackends; i++) {
        pool_free(r->pools[i]);
        backend_free(r->backends[i]);
    }
    free(r->pools);
    free(r->backends);
    while (r->unrecorded) {
        struct attempt *a = r->unrecorded;
        r->unrecorded = a->next;
        attempt_free(a);
    }
    roster_done(&r->roster);
    targets_done(&r->targets);
    free(r->records.v);
    free(r->starts.v);
    free(r->ledger_problem);
    free(r->told);
    closep(&r->stop_fd);
    pthread_cond_destroy(&r->news);
    pthread_cond_destroy(&r->answers);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static int make_backends(struct reconcile *r, struct diag *reterr)
{
    const struct reconcile_config *c = &r->config;

    r->backends = xcalloc(c->nbackends, sizeof(*r->backends));
    r->pools = xcalloc(c->nbackends, sizeof(*r->pools));
    for (size_t i = 0; i < c->nbackends; i++) {
        int err = backend_new(&c->backends[i], c->repo, &r->backends[i], reterr);
        if (err < 0)
            return err;
        r->pools[i] = pool_new("backend", c->backends[i].concurrency);
    }
    return 0;
}

static void init_mailbox(struct reconcile *r)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->news, &attr);
    pthread_cond_init(&r->answers, NULL);
    pthread_condattr_destroy(&attr);
    r->refs_changed = true; /* the first pass takes in everything */
}

int reconcile_start(const struct reconcile_config *config, struct reconcile **ret,
                    struct diag *reterr)
{
    struct reconcile *r = NEW(struct reconcile);

    r->config = *config;
    r->journal = (struct journal){config->event, config->event_arg};
    r->dirty = true;
    init_mailbox(r);
    r->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int err = r->stop_fd < 0 ? diag_fail(reterr, -errno, "cannot make an eventfd: %m")
                             : make_backends(r, reterr);
    if (err == 0) {
        err = -pthread_create(&r->thread, NULL, run, r);
        if (err < 0)
            diag_fail(reterr, err, "cannot start a thread: %s", strerror(-err));
    }
    if (err < 0) {
        reconcile_free(r);
        return err;
    }
    *ret = r;
    return 0;
}

void reconcile_wake(struct reconcile *r)
{
    pthread_mutex_lock(&r->lock);
    r->refs_changed = true;
    pthread_cond_signal(&r->news);
    pthread_mutex_unlock(&r->lock);
}

/* The words behind the first, each ended by NUL, with an empty one at the end. */
static char *split_words(const char *line)
{
    char *words = xcalloc(1, strlen(line) + 2), *out = words;

    for (const char *p = line + strcspn(line, " \t");;) {
        p += strspn(p, " \t");
        size_t len = strcspn(p, " \t");
        if (!len)
            return words;
        memcpy(out, p, len);
        out += len + 1;
        p += len;
    }
}

static int send_command(struct reconcile *r, struct command *c)
{
    pthread_mutex_lock(&r->lock);
    if (r->ending) {
        pthread_mutex_unlock(&r->lock);
        return refuse(c);
    }
    struct command **last = &r->commands;
    while (*last)
        last = &(*last)->next;
    *last = c;
    pthread_cond_signal(&r->news);
    while (!c->done)
        pthread_cond_wait(&r->answers, &r->lock);
    pthread_mutex_unlock(&r->lock);
    return c->result;
}

int reconcile_command(struct reconcile *r, const char *who, const char *line, struct diag *reterr)
{
    size_t verb = strcspn(line, " \t");
    _cleanup_free_ char *words = split_words(line);

    if (verb != strlen("retry") || strncmp(line, "retry", verb) != 0)
        return diag_fail(reterr, -EINVAL, "there is no command \"%.*s\"; there is: retry SITE...",
                         (int)verb, line);
    if (!*words)
        return diag_fail(reterr, -EINVAL, "retry needs the name of a site");
    struct command c = {.who = who, .words = words, .reterr = reterr};
    return send_command(r, &c);
}

void reconcile_stop(struct reconcile *r, int64_t grace)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    r->end_at = clock_mono() + grace;
    __atomic_store_n(&r->cancel, true, __ATOMIC_RELEASE);
    pthread_cond_signal(&r->news);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    reconcile_free(r);
}
