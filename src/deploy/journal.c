#include "deploy/journal.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "repo/oid_json.h"

json_t *journal_event(const char *name, int64_t at)
{
    json_t *e = json_object();
    char text[CLOCK_TEXT];

    json_put_str(e, "at", clock_format_ms(at, text));
    json_put_str(e, "event", name);
    return e;
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
    json_t *e = journal_event(record_kind_name(r->kind), r->at);

    json_put_str(e, "site", *r->site ? r->site : NULL); /* null: all of them */
    json_object_set_new(e, "generation", json_integer(r->generation));
    json_object_set_new(e, "attempt", json_integer(r->attempt));
    oid_put_json(e, "from", &r->from);
    oid_put_json(e, "to", &r->to);
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
    const char *name = record_kind_name(r->kind), *outcome = r->outcome ? r->outcome : "-",
               *by = r->by ? r->by : "";

    if (!strcmp(r->site, RECORD_FLEET))
        log_event(level, name, "by=\"%s\" message=\"%s\"", by, r->message ? r->message : "");
    else if (r->message)
        log_event(level, name,
                  "site=%s generation=%llu attempt=%d revision=%s outcome=%s by=\"%s\" "
                  "message=\"%s\"",
                  r->site, (unsigned long long)r->generation, r->attempt, oid_hex(&r->to, hex),
                  outcome, by, r->message);
    else
        log_event(level, name,
                  "site=%s generation=%llu attempt=%d revision=%s outcome=%s by=\"%s\"", r->site,
                  (unsigned long long)r->generation, r->attempt, oid_hex(&r->to, hex), outcome, by);
}

/* An attempt has come to its end; what heals by itself, or is found to be in order, is none. */
static bool ends_attempt(const struct record *r)
{
    return r->kind == RECORD_DEPLOYED || r->kind == RECORD_FAILED ||
           r->kind == RECORD_INTERRUPTED || (r->kind == RECORD_HEALED && r->outcome);
}

void journal_record(const struct journal *j, const struct record *r)
{
    bool told = r->outcome && r->kind != RECORD_HEALED;

    log_record(r);
    send_record(j, r);
    if (ends_attempt(r))
        metric_add2(METRIC_ATTEMPTS, r->backend ? r->backend : "",
                    told ? r->outcome : record_kind_name(r->kind), 1);
    else if (r->kind == RECORD_DRIFTED)
        metric_add(METRIC_DRIFTS, r->backend ? r->backend : "", 1);
}

/* ---- rollouts ---- */

static bool desires(const struct fleet *f, const struct oid *revision)
{
    vec_foreach (s, &f->sites)
        if (oid_equal(&(*s)->desired, revision))
            return true;
    return false;
}

static void tell_rollout(const struct journal *j, const char *what, const struct fleet_rollout *r,
                         const struct fleet_wave *w)
{
    json_t *e = journal_event(what, clock_real());
    char hex[OID_HEX + 1];

    oid_put_json(e, "revision", &r->revision);
    json_put_str(e, "wave", w ? w->name : NULL);
    if (w) {
        json_object_set_new(e, "sites", json_integer(w->sites));
        json_object_set_new(e, "arrived", json_integer(w->arrived));
        json_object_set_new(e, "failed", json_integer(w->failed));
    }
    send(j, e);
    log_info(what, "revision=%s wave=\"%s\"", oid_hex(&r->revision, hex), w ? w->name : "");
}

/* The wave that says where the rollout is; NULL: all are done, but later ones catch up. */
static const struct fleet_wave *open_wave(const struct fleet_rollout *r)
{
    return r && r->open < r->waves.n ? &r->waves.v[r->open] : NULL;
}

static void tell_progress(const struct journal *j, const struct fleet_rollout *before,
                          const struct fleet_rollout *now)
{
    const struct fleet_wave *was = open_wave(before), *is = open_wave(now);

    if (!is || (was && before->open == now->open && !strcmp(was->phase, is->phase)))
        return;
    tell_rollout(j,
                 !strcmp(is->phase, "soaking")   ? "wave-soaking"
                 : !strcmp(is->phase, "stopped") ? "wave-stopped"
                                                 : "wave-opened",
                 now, is);
}

void journal_rollouts(const struct journal *j, const struct fleet *before, const struct fleet *now)
{
    size_t b = 0, n = 0;

    while (b < before->rollouts.n || n < now->rollouts.n) { /* both in the order of revisions */
        const struct fleet_rollout *old = b < before->rollouts.n ? &before->rollouts.v[b] : NULL,
                                   *new = n < now->rollouts.n ? &now->rollouts.v[n] : NULL;
        int order = !old   ? 1
                    : !new ? -1
                           : memcmp(&old->revision, &new->revision, sizeof(old->revision));
        if (order < 0)
            tell_rollout(j, desires(now, &old->revision) ? "rollout-done" : "rollout-superseded",
                         old, NULL);
        else
            tell_progress(j, order ? NULL : old, new);
        b += order <= 0;
        n += order >= 0;
    }
}

void journal_head(const struct journal *j, const struct oid *head)
{
    json_t *e = journal_event("head", clock_real());
    char hex[OID_HEX + 1];

    oid_put_json(e, "revision", head);
    send(j, e);
    log_info("head", "revision=%s", oid_hex(head, hex));
}

void journal_problem(const struct journal *j, const char *problem)
{
    json_t *e = journal_event(problem ? "problem" : "problem-over", clock_real());

    json_put_str(e, "message", problem);
    send(j, e);
    if (problem)
        log_error("problem", "reason=\"%s\"", problem);
    else
        log_info("problem-over", "%s", "reason=\"sites move again\"");
}
