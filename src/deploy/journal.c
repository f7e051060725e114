#include "deploy/journal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

static json_t *make_event(const char *name, int64_t at)
{
    json_t *e = json_object();
    char text[CLOCK_TEXT];

    json_put_str(e, "at", clock_format(at, text));
    json_put_str(e, "event", name);
    return e;
}

static void put_oid(json_t *e, const char *key, const struct oid *oid)
{
    char hex[OID_HEX + 1];

    json_put_str(e, key, oid_is_zero(oid) ? NULL : oid_hex(oid, hex));
}

static void send(const struct journal *j, json_t *event)
{
    if (j->event)
        j->event(event, j->arg);
    else
        json_decref(event);
}

static void send_record(const struct journal *j, const struct record *r)
{
    json_t *e = make_event(record_kind_name(r->kind), r->at);

    json_put_str(e, "site", r->site);
    json_object_set_new(e, "generation", json_integer(r->generation));
    json_object_set_new(e, "attempt", json_integer(r->attempt));
    put_oid(e, "from", &r->from);
    put_oid(e, "to", &r->to);
    json_put_str(e, "backend", r->backend);
    json_put_str(e, "outcome", r->outcome);
    json_put_str(e, "message", r->message);
    json_put_str(e, "by", r->by);
    json_object_set_new(e, "duration_ms", json_integer(r->duration_ms));
    send(j, e);
}

static void log_record(const struct record *r)
{
    char hex[OID_HEX + 1];
    enum log_level level = r->kind == RECORD_FAILED ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;

    log_event(level, record_kind_name(r->kind),
              "site=%s generation=%llu attempt=%d revision=%s%s%s%s%s%s", r->site,
              (unsigned long long)r->generation, r->attempt, oid_hex(&r->to, hex),
              r->outcome ? " outcome=" : "", r->outcome ? r->outcome : "",
              r->message ? " message=\"" : "", r->message ? r->message : "",
              r->message ? "\"" : "");
}

void journal_record(const struct journal *j, const struct record *r)
{
    const char *outcome = r->outcome ? r->outcome : record_kind_name(r->kind);

    log_record(r);
    send_record(j, r);
    if (r->kind == RECORD_DEPLOYED || r->kind == RECORD_FAILED || r->kind == RECORD_INTERRUPTED)
        metric_add2(METRIC_ATTEMPTS, r->backend ? r->backend : "", outcome, 1);
}

void journal_head(const struct journal *j, const struct oid *head)
{
    json_t *e = make_event("head", clock_real());
    char hex[OID_HEX + 1];

    put_oid(e, "revision", head);
    send(j, e);
    log_info("head", "revision=%s", oid_hex(head, hex));
}

void journal_problem(const struct journal *j, const char *problem)
{
    json_t *e = make_event(problem ? "problem" : "problem-over", clock_real());

    json_put_str(e, "message", problem);
    send(j, e);
    if (problem)
        log_error("problem", "reason=\"%s\"", problem);
    else
        log_info("problem-over", "%s", "reason=\"sites move again\"");
}
