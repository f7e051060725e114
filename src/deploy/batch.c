#include "deploy/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define BY_US "onwardfs"

static char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

/* ---- records --------------------------------------------------------------------------------- */

static struct record *add(struct batch *b, const char *site, struct record *record)
{
    struct record *kept = VEC_ADD(&b->records);

    *kept = *record;
    kept->site = xstrdup(site);
    kept->at = clock_real();
    if (!kept->by)
        kept->by = xstrdup(BY_US);
    return kept;
}

void batch_add_fleet(struct batch *b, struct record *record)
{
    record->exit = -1;
    add(b, RECORD_FLEET, record);
}

void batch_add(struct batch *b, struct roster_site *s, struct record *record)
{
    struct site_track *t = &s->facts.track;

    roster_touch(b->roster, s);
    record->held = record->kind == RECORD_HELD || (t->held && record->kind != RECORD_RELEASED);
    site_track_apply(t, add(b, s->name, record), clock_mono());
}

struct record batch_of_newest(const struct roster_site *s, enum record_kind kind)
{
    const struct site_track *t = &s->facts.track;

    return (struct record){.kind = kind,
                           .generation = t->generation,
                           .attempt = t->attempt,
                           .from = t->from,
                           .to = t->to,
                           .inputs = t->inputs,
                           .source = copy(t->source),
                           .backend = copy(t->backend),
                           .exit = -1};
}

/* ---- attempts -------------------------------------------------------------------------------- */

void batch_start(struct batch *b, struct roster_site *s, struct attempt *a)
{
    struct record begin;

    record_copy(&a->record, &begin);
    begin.by = copy(s->facts.retry_by);
    batch_add(b, s, &begin);
    free(TAKE(s->facts.retry_by));
    s->facts.attempt = a;
    *VEC_ADD(&b->starts) = a;
}

static void add_result(const struct attempt *a, struct record *ret)
{
    ret->exit = a->result.exit;
    ret->message = copy(a->result.message);
    ret->duration_ms = a->duration / NS_PER_MS;
    ret->log = a->log;
}

void batch_end(struct batch *b, struct roster_site *s, const struct plan_outcome *outcome)
{
    struct attempt *a = s->facts.attempt;
    struct record end;

    roster_touch(b->roster, s);
    record_copy(&a->record, &end);
    end.kind = outcome->kind;
    free(end.outcome);
    end.outcome = copy(outcome->outcome);
    if (outcome->kind != RECORD_SUPERSEDED)
        add_result(a, &end);
    batch_add(b, s, &end);
    s->facts.attempt = NULL;
    *VEC_ADD(&b->over) = a;
}

void batch_observed(struct batch *b, struct roster_site *s)
{
    struct attempt *a = s->facts.observation;
    enum record_kind kind;
    struct record found;

    roster_touch(b->roster, s);
    s->facts.observation = NULL;
    *VEC_ADD(&b->over) = a;
    if (!plan_observed(&s->facts.track, a->result.end, &kind))
        return;
    found = batch_of_newest(s, kind);
    add_result(a, &found);
    batch_add(b, s, &found);
}

/* ---- what comes of it ------------------------------------------------------------------------ */

static void empty(struct batch *b)
{
    vec_foreach (r, &b->records)
        record_done(r);
    b->records.n = b->starts.n = b->over.n = 0;
}

static void drop(struct batch *b)
{
    roster_rollback(b->roster);
    vec_foreach (a, &b->starts)
        attempt_free(*a);
    empty(b);
}

/* A revision that the mainline may not hold (a pin) gets a ref of its own before a site depends on
 * it. */
static int keep_pins(struct batch *b, struct ledger *ledger, struct diag *reterr)
{
    int r = 0;

    vec_foreach (a, &b->starts)
        if ((*a)->request.site->pin && r == 0)
            r = ledger_keep(ledger, &(*a)->request.to, reterr);
    return r;
}

int batch_write(struct batch *b, struct ledger *ledger, struct diag *reterr)
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

void batch_clear(struct batch *b, const struct journal *journal)
{
    vec_foreach (r, &b->records)
        journal_record(journal, r);
    vec_foreach (a, &b->over)
        attempt_free(*a);
    empty(b);
}

void batch_free(struct batch *b)
{
    free(b->records.v);
    free(b->starts.v);
    free(b->over.v);
}
