#include "ledger/record.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "repo/oid_json.h"

static const char *const kinds[RECORD_KINDS] = {
    [RECORD_ATTEMPT] = "attempt",         [RECORD_DEPLOYED] = "deployed",
    [RECORD_FAILED] = "failed",           [RECORD_HEALED] = "healed",
    [RECORD_DRIFTED] = "drifted",         [RECORD_HELD] = "held",
    [RECORD_RELEASED] = "released",       [RECORD_SUPERSEDED] = "superseded",
    [RECORD_INTERRUPTED] = "interrupted", [RECORD_ACCEPTED] = "accepted",
    [RECORD_PAUSED] = "paused",           [RECORD_RESUMED] = "resumed",
};

const char *record_kind_name(enum record_kind k)
{
    assert(k >= 0 && k <= RECORD_NEWER);
    return k == RECORD_NEWER ? "newer" : kinds[k];
}

void record_done(struct record *r)
{
    free(r->site);
    free(r->source);
    free(r->from_source);
    free(r->backend);
    free(r->outcome);
    free(r->message);
    free(r->by);
    free(r->host);
    *r = (struct record){0};
}

void record_copy(const struct record *r, struct record *ret)
{
    *ret = *r;
    ret->site = xstrdup_or_null(r->site);
    ret->source = xstrdup_or_null(r->source);
    ret->from_source = xstrdup_or_null(r->from_source);
    ret->backend = xstrdup_or_null(r->backend);
    ret->outcome = xstrdup_or_null(r->outcome);
    ret->message = xstrdup_or_null(r->message);
    ret->by = xstrdup_or_null(r->by);
    ret->host = xstrdup_or_null(r->host);
}

/* The strings and ids of a record that only a known format promises. */
#define TEXTS(X) X(source) X(from_source) X(backend) X(outcome) X(message)
#define OIDS(X)  X(from) X(to) X(inputs) X(log)

static void put_at(json_t *j, const char *key, int64_t at)
{
    char text[CLOCK_TEXT];

    json_put_str(j, key, clock_format_ms(at, text));
}

void record_encode(const struct record *r, struct buf *out)
{
    json_t *j = json_object();

    assert(r->kind < RECORD_KINDS);
    json_object_set_new(j, "onward", json_integer(RECORD_FORMAT));
    json_put_str(j, "site", r->site);
    json_object_set_new(j, "generation", json_integer(r->generation));
    json_put_str(j, "kind", record_kind_name(r->kind));
    oid_put_json(j, "from", &r->from);
    oid_put_json(j, "to", &r->to);
    oid_put_json(j, "inputs", &r->inputs);
    json_put_str(j, "source", r->source);
    if (r->from_source)
        json_put_str(j, "from_source", r->from_source);
    json_object_set_new(j, "attempt", json_integer(r->attempt));
    json_put_str(j, "backend", r->backend);
    json_put_str(j, "outcome", r->outcome);
    json_object_set_new(j, "exit", r->exit < 0 ? json_null() : json_integer(r->exit));
    json_put_str(j, "message", r->message);
    json_put_str(j, "by", r->by);
    json_put_str(j, "host", r->host);
    put_at(j, "at", r->at);
    if (r->begun)
        put_at(j, "begun", r->begun);
    json_object_set_new(j, "duration_ms", json_integer(r->duration_ms));
    if (r->retry_after_ms)
        json_object_set_new(j, "retry_after_ms", json_integer(r->retry_after_ms));
    if (r->held)
        json_object_set_new(j, "held", json_true());
    oid_put_json(j, "log", &r->log);
    oid_put_json(j, "previous", &r->previous);
    json_write(j, 0, out);
    buf_addc(out, '\n');
    json_decref(j);
}

static int get_oid(const json_t *j, const char *key, struct oid *ret, struct diag *reterr)
{
    const json_t *v = json_object_get(j, key);
    const char *hex = json_string_value(v);

    if (!v || json_is_null(v))
        return 0;
    if (!hex || oid_parse(hex, ret) < 0)
        return diag_fail(reterr, -EINVAL, "%s: expected an object id of 40 hex digits", key);
    return 0;
}

static int get_text(const json_t *j, const char *key, char **ret, struct diag *reterr)
{
    const json_t *v = json_object_get(j, key);
    const char *s = json_string_value(v);

    if (!v || json_is_null(v))
        return 0;
    if (!s || strlen(s) != json_string_length(v))
        return diag_fail(reterr, -EINVAL, "%s: expected a string", key);
    *ret = xstrdup(s);
    return 0;
}

/* An integer in min..max; `fallback` when it is absent or null. */
static int get_int(const json_t *j, const char *key, const int64_t limits[3], int64_t *ret,
                   struct diag *reterr)
{
    const json_t *v = json_object_get(j, key);
    int64_t min = limits[0], max = limits[1], fallback = limits[2];

    if (!v || json_is_null(v)) {
        *ret = fallback;
        return 0;
    }
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
        return diag_fail(reterr, -EINVAL, "%s: expected a whole number from %lld", key,
                         (long long)min);
    *ret = json_integer_value(v);
    return 0;
}

static int get_ints(const json_t *j, struct record *r, struct diag *reterr)
{
    static const int64_t counts[] = {0, INT_MAX, 0}, exits[] = {0, INT_MAX, -1},
                         large[] = {0, INT64_MAX, 0}, waits[] = {0, INT64_MAX / NS_PER_MS, 0};
    int64_t attempt, status, duration, wait;
    int err;

    if ((err = get_int(j, "attempt", counts, &attempt, reterr)) < 0 ||
        (err = get_int(j, "exit", exits, &status, reterr)) < 0 ||
        (err = get_int(j, "duration_ms", large, &duration, reterr)) < 0 ||
        (err = get_int(j, "retry_after_ms", waits, &wait, reterr)) < 0)
        return err;
    r->attempt = attempt;
    r->exit = status;
    r->duration_ms = duration;
    r->retry_after_ms = wait;
    r->held = json_is_true(json_object_get(j, "held"));
    return 0;
}

static int get_kind(const json_t *j, struct record *r, struct diag *reterr)
{
    const char *name = json_str(j, "kind", "");

    for (int k = 0; k < RECORD_KINDS; k++)
        if (!strcmp(name, kinds[k])) {
            r->kind = k;
            return 0;
        }
    return diag_fail(reterr, -EINVAL, "kind: \"%s\" is not a kind of record", name);
}

/* "2026-11-23T04:40:00.123Z"; the fraction may be absent. */
static int get_at(const json_t *j, const char *key, int64_t *ret, struct diag *reterr)
{
    const char *text = json_str(j, key, ""), *dot = strchr(text, '.');
    _cleanup_free_ char *whole = dot ? xasprintf("%.*sZ", (int)(dot - text), text) : xstrdup(text);
    int ms = 0, end = 0;

    if ((dot && (sscanf(dot, ".%3dZ%n", &ms, &end) != 1 || end != 5 || dot[end])) ||
        clock_parse(whole, ret) < 0)
        return diag_fail(reterr, -EINVAL, "%s: expected a time as 2026-11-23T04:40:00.000Z", key);
    *ret += ms * NS_PER_MS;
    return 0;
}

/* What records of every format have. */
static int get_frame(const json_t *j, struct record *r, struct diag *reterr)
{
    static const int64_t formats[] = {1, INT_MAX, 0}, large[] = {0, INT64_MAX, 0};
    int64_t format, generation;
    int err;

    if ((err = get_int(j, "onward", formats, &format, reterr)) < 0 ||
        (err = get_text(j, "site", &r->site, reterr)) < 0 ||
        (err = get_int(j, "generation", large, &generation, reterr)) < 0 ||
        (err = get_at(j, "at", &r->at, reterr)) < 0 ||
        (err = get_text(j, "host", &r->host, reterr)) < 0 ||
        (err = get_text(j, "by", &r->by, reterr)) < 0 ||
        (err = get_oid(j, "previous", &r->previous, reterr)) < 0)
        return err;
    if (!format)
        return diag_fail(reterr, -EINVAL, "onward is missing: it is no record");
    if (!r->site)
        return diag_fail(reterr, -EINVAL, "site is missing");
    if (!json_object_get(j, "generation"))
        return diag_fail(reterr, -EINVAL, "generation is missing");
    r->format = format;
    r->generation = generation;
    return 0;
}

static int get_rest(const json_t *j, struct record *r, struct diag *reterr)
{
    int err;

    if ((err = get_ints(j, r, reterr)) < 0 || (err = get_kind(j, r, reterr)) < 0 ||
        (json_object_get(j, "begun") && (err = get_at(j, "begun", &r->begun, reterr)) < 0))
        return err;
#define GET_TEXT(name)                                                                             \
    if ((err = get_text(j, #name, &r->name, reterr)) < 0)                                          \
        return err;
#define GET_OID(name)                                                                              \
    if ((err = get_oid(j, #name, &r->name, reterr)) < 0)                                           \
        return err;
    TEXTS(GET_TEXT)
    OIDS(GET_OID)
    return 0;
}

static void json_freep(json_t **j)
{
    json_decref(*j);
}

int record_decode(const char *data, size_t len, struct record *ret, struct diag *reterr)
{
    _cleanup_(json_freep) json_t *j = NULL;
    _cleanup_(record_done) struct record r = {0};
    int err = json_read(data, len, &j, reterr);

    if (err < 0)
        return err;
    if (!json_is_object(j))
        return diag_fail(reterr, -EINVAL, "expected an object");
    if ((err = get_frame(j, &r, reterr)) < 0)
        return err;
    r.kind = RECORD_NEWER;
    r.exit = -1;
    if (r.format <= RECORD_FORMAT && (err = get_rest(j, &r, reterr)) < 0)
        return err;
    *ret = r;
    r = (struct record){0};
    return 0;
}

int record_settle(struct record *r, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf json = {0};
    struct record back;

    record_encode(r, &json);
    int err = record_decode(json.data, json.len, &back, reterr);
    if (err < 0)
        return diag_prefix(reterr, err, "this cannot be recorded");
    record_done(r);
    *r = back;
    return 0;
}

void record_summary(const struct record *r, struct buf *out)
{
    char hex[OID_HEX + 1];

    if (strcmp(r->site, RECORD_FLEET) != 0)
        buf_addf(out, "%s #%llu %s", r->site, (unsigned long long)r->generation,
                 record_kind_name(r->kind));
    else
        buf_addf(out, "(fleet) %s", record_kind_name(r->kind));
    if (!oid_is_zero(&r->to))
        buf_addf(out, " %.12s", oid_hex(&r->to, hex));
    if (r->attempt > 1)
        buf_addf(out, " (attempt %d)", r->attempt);
    if (r->message) {
        buf_adds(out, ": ");
        buf_add_escaped(out, r->message);
    }
}
