#include "deploy/transaction.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"

#define BY_US "onwardfs"

/* ---- records --------------------------------------------------------------------------------- */

static struct record *add(struct transaction *b, const char *site, struct record *record)
{
    struct record *kept = VEC_ADD(&b->records);

    *kept = *record;
    kept->site = xstrdup(site);
    kept->at = clock_real();
    if (!kept->by)
        kept->by = xstrdup(BY_US);
    return kept;
}

void transaction_add_fleet(struct transaction *b, struct record *record)
{
    record->exit = -1;
    add(b, RECORD_FLEET, record);
}

void transaction_add(struct transaction *b, struct roster_site *s, struct record *record)
{
    struct site_track *t = &s->facts.track;

    roster_touch(b->roster, s);
    record->held = record->kind == RECORD_HELD || (t->held && record->kind != RECORD_RELEASED);
    site_track_apply(t, add(b, s->name, record), clock_mono());
}

struct record transaction_of_newest(const struct roster_site *s, enum record_kind kind)
{
    const struct site_track *t = &s->facts.track;

    return (struct record){.kind = kind,
                           .generation = t->generation,
                           .attempt = t->attempt,
                           .from = t->from,
                           .to = t->to,
                           .inputs = t->inputs,
                           .source = xstrdup_or_null(t->source),
                           .backend = xstrdup_or_null(t->backend),
                           .exit = -1};
}

/* ---- attempts -------------------------------------------------------------------------------- */

void transaction_start(struct transaction *b, struct roster_site *s, struct attempt *a)
{
    struct record begin;

    record_copy(&a->record, &begin);
    begin.by = xstrdup_or_null(s->facts.retry_by);
    transaction_add(b, s, &begin);
    free(TAKE(s->facts.retry_by));
    s->facts.attempt = a;
    *VEC_ADD(&b->starts) = a;
}

static void add_result(const struct attempt *a, struct record *ret)
{
    ret->exit = a->result.exit;
    ret->retry_after_ms = a->result.retry_after / NS_PER_MS;
    ret->message = xstrdup_or_null(a->result.message);
    ret->duration_ms = a->duration / NS_PER_MS;
    ret->log = a->log;
    ret->output = oid_is_zero(&a->log) ? NULL : &a->applied;
}

void transaction_end(struct transaction *b, struct roster_site *s,
                     const struct plan_outcome *outcome)
{
    struct attempt *a = s->facts.attempt;
    struct record end;

    roster_touch(b->roster, s);
    record_copy(&a->record, &end);
    end.kind = outcome->kind;
    free(end.outcome);
    end.outcome = xstrdup_or_null(outcome->outcome);
    if (outcome->kind != RECORD_SUPERSEDED)
        add_result(a, &end);
    if (outcome->kind == RECORD_DEPLOYED) {
        end.begun = s->facts.track.begun_at;
        end.from_source = xstrdup_or_null(s->facts.track.deployed_source);
    }
    transaction_add(b, s, &end);
    s->facts.attempt = NULL;
    *VEC_ADD(&b->over) = a;
}

void transaction_observed(struct transaction *b, struct roster_site *s)
{
    struct attempt *a = s->facts.observation;
    enum record_kind kind;
    struct record found;

    roster_touch(b->roster, s);
    s->facts.observation = NULL;
    *VEC_ADD(&b->over) = a;
    if (!plan_observed(&s->facts.track, a->result.end, &kind))
        return;
    found = transaction_of_newest(s, kind);
    add_result(a, &found);
    transaction_add(b, s, &found);
}

/* ---- what comes of it ------------------------------------------------------------------------ */

static void empty(struct transaction *b)
{
    vec_foreach (r, &b->records)
        record_done(r);
    b->records.n = b->starts.n = b->over.n = 0;
}

static void drop(struct transaction *b)
{
    roster_rollback(b->roster);
    vec_foreach (a, &b->starts)
        attempt_free(*a);
    empty(b);
}

/* A revision that the mainline may not hold (a pin) gets a ref of its own before a site depends on
 * it. */
static int keep_pins(struct transaction *b, struct ledger *ledger, struct diag *reterr)
{
    int r = 0;

    vec_foreach (a, &b->starts)
        if ((*a)->request.site->pin && r == 0)
            r = ledger_keep(ledger, &(*a)->request.to, reterr);
    return r;
}

int transaction_write(struct transaction *b, struct ledger *ledger, struct diag *reterr)
{
    int r = keep_pins(b, ledger, reterr);

    if (r == 0 && b->records.n)
        r = ledger_append(ledger, b->records.v, b->records.n, reterr);
    if (r < 0)
        drop(b);
    else
        roster_commit(b->roster);
    return r;
}

/* How long the site has taken to get where it should be, since that is known. */
static void measure(const struct transaction *b, const struct record *r)
{
    const struct roster_site *s = roster_find(b->roster, r->site);

    if (r->kind == RECORD_DEPLOYED && s && oid_equal(&s->desired, &r->to) && s->desired_at)
        metric_observe(METRIC_TO_DEPLOYED, clock_mono() - s->desired_at);
}

void transaction_clear(struct transaction *b, const struct journal *journal)
{
    vec_foreach (r, &b->records) {
        journal_record(journal, r);
        measure(b, r);
    }
    vec_foreach (a, &b->over)
        attempt_free(*a);
    empty(b);
}

void transaction_free(struct transaction *b)
{
    free(b->records.v);
    free(b->starts.v);
    free(b->over.v);
}
