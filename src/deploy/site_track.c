#include "deploy/site_track.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void site_track_done(struct site_track *t)
{
    free(t->source);
    free(t->backend);
    free(t->message);
    free(t->deployed_source);
    free(t->previous_source);
    veto_done(&t->hold);
    *t = (struct site_track){0};
}

void site_track_copy(const struct site_track *t, struct site_track *ret)
{
    *ret = *t;
    ret->source = xstrdup_or_null(t->source);
    ret->backend = xstrdup_or_null(t->backend);
    ret->message = xstrdup_or_null(t->message);
    ret->deployed_source = xstrdup_or_null(t->deployed_source);
    ret->previous_source = xstrdup_or_null(t->previous_source);
    veto_copy(&t->hold, &ret->hold);
}

static void replace(char **s, const char *by)
{
    char *old = *s;

    *s = xstrdup_or_null(by);
    free(old);
}

static void begin_generation(struct site_track *t, const struct record *r)
{
    t->generation = r->generation;
    t->from = r->from;
    t->to = r->to;
    t->inputs = r->inputs;
    replace(&t->source, r->source);
    replace(&t->backend, r->backend);
    t->begun_at = r->begun ? r->begun : r->at;
    t->failures = t->tries = 0;
    t->unreachable = false;
    t->retry_after = 0;
    t->healing = r->outcome && !strcmp(r->outcome, TRACK_HEAL);
}

static void apply_attempt(struct site_track *t, const struct record *r)
{
    if (t->phase == TRACK_FAILED || t->phase == TRACK_STALLED)
        t->failures = t->tries = 0; /* somebody asked for it: all attempts are there again */
    t->drifted = false;
    t->phase = TRACK_OPEN;
}

static void apply_deployed(struct site_track *t, const struct record *r)
{
    if (oid_is_zero(&t->deployed) && r->from_source) { /* what was before was not read */
        t->deployed = r->from;
        replace(&t->deployed_source, r->from_source);
    }
    if (!oid_is_zero(&t->deployed) && !oid_equal(&t->deployed, &r->to)) {
        t->previous = t->deployed;
        replace(&t->previous_source, t->deployed_source);
    }
    t->deployed = r->to;
    t->deployed_inputs = r->inputs;
    t->deployed_generation = r->generation;
    replace(&t->deployed_source, r->source);
    replace(&t->message, NULL);
    t->unreachable = t->drifted = false;
    t->phase = TRACK_DEPLOYED;
}

static void apply_failed(struct site_track *t, const struct record *r)
{
    const char *outcome = r->outcome ? r->outcome : "failed";
    bool later = !strcmp(outcome, "later"), stalled = !strcmp(outcome, "stalled");

    t->tries++;
    t->unreachable = later;
    t->retry_after = later ? r->retry_after_ms * NS_PER_MS : 0;
    if (!later && !stalled)
        t->failures++;
    replace(&t->message, r->message);
    if (stalled)
        t->phase = TRACK_STALLED;
    else
        t->phase = later || !strcmp(outcome, "retry") ? TRACK_RETRY : TRACK_FAILED;
}

/* An observation that found something new. */
static void apply_drift(struct site_track *t, const struct record *r)
{
    bool drifted = r->kind == RECORD_DRIFTED;

    if (t->phase != TRACK_DEPLOYED || r->generation != t->generation || t->drifted == drifted)
        return;
    t->drifted = drifted;
    t->drift_log = drifted ? r->log : (struct oid){0};
    replace(&t->message, drifted ? r->message : NULL);
    t->drift_at = r->at;
}

static void apply_hold(struct site_track *t, const struct record *r)
{
    if (r->kind == RECORD_HELD || r->kind == RECORD_RELEASED)
        t->hold_at = r->at;
    else if (t->held == r->held)
        return;
    t->held = r->held;
    veto_done(&t->hold);
    if (t->held)
        veto_set(&t->hold, r);
}

/* The newest attempt goes on, or ends. */
static void apply_step(struct site_track *t, const struct record *r, int64_t mono)
{
    if (r->generation > t->generation)
        begin_generation(t, r);
    t->attempt = r->attempt;
    if (r->kind == RECORD_ATTEMPT)
        apply_attempt(t, r);
    else if (r->kind == RECORD_DEPLOYED || r->kind == RECORD_HEALED)
        apply_deployed(t, r);
    else if (r->kind == RECORD_FAILED)
        apply_failed(t, r);
    else
        t->phase = r->kind == RECORD_SUPERSEDED ? TRACK_SUPERSEDED : TRACK_INTERRUPTED;
    t->at = r->at;
    t->ended = mono;
}

void site_track_apply(struct site_track *t, const struct record *r, int64_t mono)
{
    bool found_well = r->kind == RECORD_HEALED && t->phase == TRACK_DEPLOYED;
    bool moves = r->kind == RECORD_ATTEMPT || r->kind == RECORD_DEPLOYED ||
                 r->kind == RECORD_FAILED || r->kind == RECORD_SUPERSEDED ||
                 r->kind == RECORD_INTERRUPTED || r->kind == RECORD_HEALED;

    apply_hold(t, r);
    if (r->kind == RECORD_DRIFTED || found_well)
        apply_drift(t, r);
    else if (moves && r->generation >= t->generation)
        apply_step(t, r, mono);
}

/* A deployment that says all that a track needs, because nothing else was in its generation. */
static bool says_all(const struct record *r)
{
    return r->kind == RECORD_DEPLOYED && r->attempt == 1 && r->begun && !r->held &&
           (oid_is_zero(&r->from) || (r->from_source && !oid_equal(&r->from, &r->to)));
}

/* All of a deployment and of the one before it has been read. */
static bool has_deployments(struct track_reader *reader, const struct record *r)
{
    if (reader->n == 1 && says_all(r))
        return true;
    if (r->kind != RECORD_DEPLOYED && r->kind != RECORD_HEALED)
        return false;
    if (reader->deployed && !oid_equal(&reader->to, &r->to))
        return true;
    reader->deployed = true;
    reader->to = r->to;
    return false;
}

int track_reader_add(const struct record *r, void *track_reader)
{
    struct track_reader *reader = track_reader;

    record_copy(r, VEC_ADD(reader));
    return has_deployments(reader, r);
}

void track_reader_finish(struct track_reader *reader, int64_t real, int64_t mono,
                         struct site_track *ret)
{
    struct site_track track = {0};

    for (size_t i = reader->n; i-- > 0;) {
        struct record *r = &reader->v[i];
        int64_t age = real > r->at ? real - r->at : 0;
        site_track_apply(&track, r, mono - age);
        record_done(r);
    }
    free(reader->v);
    *reader = (struct track_reader){0};
    *ret = track;
}

int site_track_load(struct ledger *ledger, const char *site, int64_t real, int64_t mono,
                    struct site_track *ret, struct diag *reterr)
{
    struct track_reader reader = {0};
    struct site_track track;
    int r = ledger_history(ledger, site, track_reader_add, &reader, reterr);

    track_reader_finish(&reader, real, mono, &track);
    if (r < 0) {
        site_track_done(&track);
        return r;
    }
    *ret = track;
    return 0;
}
