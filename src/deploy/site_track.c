#include "deploy/site_track.h"

#include <stdlib.h>
#include <string.h>

void site_track_done(struct site_track *t)
{
    free(t->source);
    free(t->backend);
    free(t->message);
    free(t->deployed_source);
    free(t->previous_source);
    *t = (struct site_track){0};
}

static char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

void site_track_copy(const struct site_track *t, struct site_track *ret)
{
    *ret = *t;
    ret->source = copy(t->source);
    ret->backend = copy(t->backend);
    ret->message = copy(t->message);
    ret->deployed_source = copy(t->deployed_source);
    ret->previous_source = copy(t->previous_source);
}

static void replace(char **s, const char *by)
{
    char *old = *s;

    *s = copy(by);
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
    t->begun_at = r->at;
    t->failures = t->tries = 0;
}

static void apply_attempt(struct site_track *t, const struct record *r)
{
    if (t->phase == TRACK_FAILED || t->phase == TRACK_STALLED)
        t->failures = t->tries = 0; /* somebody asked for it: all attempts are there again */
    t->attempt_at = r->at;
    t->phase = TRACK_OPEN;
}

static void apply_deployed(struct site_track *t, const struct record *r)
{
    if (!oid_is_zero(&t->deployed) && !oid_equal(&t->deployed, &r->to)) {
        t->previous = t->deployed;
        replace(&t->previous_source, t->deployed_source);
    }
    t->deployed = r->to;
    t->deployed_inputs = r->inputs;
    t->deployed_generation = r->generation;
    replace(&t->deployed_source, r->source);
    replace(&t->message, NULL);
    t->phase = TRACK_DEPLOYED;
}

static void apply_failed(struct site_track *t, const struct record *r)
{
    const char *outcome = r->outcome ? r->outcome : "failed";
    bool later = !strcmp(outcome, "later"), stalled = !strcmp(outcome, "stalled");

    t->tries++;
    if (!later && !stalled)
        t->failures++;
    replace(&t->message, r->message);
    if (stalled)
        t->phase = TRACK_STALLED;
    else
        t->phase = later || !strcmp(outcome, "retry") ? TRACK_RETRY : TRACK_FAILED;
}

void site_track_apply(struct site_track *t, const struct record *r, int64_t mono)
{
    bool moves = r->kind == RECORD_ATTEMPT || r->kind == RECORD_DEPLOYED ||
                 r->kind == RECORD_FAILED || r->kind == RECORD_SUPERSEDED ||
                 r->kind == RECORD_INTERRUPTED;

    if (!moves || r->generation < t->generation)
        return;
    if (r->generation > t->generation)
        begin_generation(t, r);
    t->attempt = r->attempt;
    if (r->kind == RECORD_ATTEMPT)
        apply_attempt(t, r);
    else if (r->kind == RECORD_DEPLOYED)
        apply_deployed(t, r);
    else if (r->kind == RECORD_FAILED)
        apply_failed(t, r);
    else
        t->phase = r->kind == RECORD_SUPERSEDED ? TRACK_SUPERSEDED : TRACK_INTERRUPTED;
    t->at = r->at;
    t->ended = mono;
}

int track_reader_add(const struct record *r, void *track_reader)
{
    struct track_reader *reader = track_reader;

    record_copy(r, VEC_ADD(reader));
    if (r->kind != RECORD_DEPLOYED)
        return 0;
    if (reader->deployed && !oid_equal(&reader->to, &r->to))
        return 1;
    reader->deployed = true;
    reader->to = r->to;
    return 0;
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
