#include "site/site_status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/str.h"
#include "repo/oid_json.h"

const char *site_state_name(enum site_state s)
{
    static const char *const names[SITE_STATES] = {
        [SITE_UNKNOWN] = "unknown", [SITE_PENDING] = "pending", [SITE_MIGRATING] = "migrating",
        [SITE_IN_SYNC] = "in-sync", [SITE_DRIFTED] = "drifted", [SITE_FAILED] = "failed",
        [SITE_STALLED] = "stalled", [SITE_HELD] = "held",       [SITE_SUSPENDED] = "suspended",
    };

    return names[s];
}

/* ---- one piece of memory ---- */

/* What a status points to, laid out behind it: the arrays, then the strings. Without `at` it is
 * measured only. */
struct layout {
    char *at; /* NULL: nothing is copied */
    size_t size;
};

static void *lay(struct layout *l, const void *data, size_t len)
{
    void *to = l->at ? memcpy(l->at + l->size, data, len) : NULL;

    l->size += len;
    return to;
}

static void lay_string(struct layout *l, const char **s)
{
    const char *copy = *s ? lay(l, *s, strlen(*s) + 1) : NULL;

    if (l->at)
        *s = copy;
}

/* Everything that `s`, a shallow copy, points to; it points there afterwards. */
static void lay_out(struct layout *l, struct site_status *s)
{
    size_t paths = s->include.n * sizeof(*s->include.v);
    size_t reasons = s->blocked_by.n * sizeof(*s->blocked_by.v);
    const char **include = paths ? lay(l, s->include.v, paths) : NULL;
    struct blocked *blocked = reasons ? lay(l, s->blocked_by.v, reasons) : NULL;
    const char **strings[] = {
        &s->name,   &s->team, &s->backend, &s->source, &s->deployed_source, &s->previous_source,
        &s->message};

    for (size_t i = 0; i < s->include.n; i++) {
        const char *path = s->include.v[i];
        lay_string(l, include ? &include[i] : &path);
    }
    for (size_t i = 0; i < s->blocked_by.n; i++) {
        const char *detail = s->blocked_by.v[i].detail;
        lay_string(l, blocked ? &blocked[i].detail : &detail);
    }
    for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++)
        lay_string(l, strings[i]);
    if (!l->at)
        return;
    s->include.v = include;
    s->blocked_by.v = blocked;
}

struct site_status *site_status_new(const struct site_status *like)
{
    struct site_status shallow = *like;
    struct layout measure = {0}, fill = {0};

    lay_out(&measure, &shallow);
    struct site_status *s = xmalloc(sizeof(*s) + measure.size);
    *s = *like;
    s->refs = 1;
    fill.at = (char *)(s + 1);
    lay_out(&fill, s);
    return s;
}

struct site_status *site_status_ref(struct site_status *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void site_status_unref(struct site_status *s)
{
    if (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(s);
}

/* ---- comparing ---- */

static bool same_lists(const struct site_status *a, const struct site_status *b)
{
    if (a->include.n != b->include.n || a->blocked_by.n != b->blocked_by.n)
        return false;
    for (size_t i = 0; i < a->include.n; i++)
        if (strcmp(a->include.v[i], b->include.v[i]) != 0)
            return false;
    for (size_t i = 0; i < a->blocked_by.n; i++)
        if (strcmp(a->blocked_by.v[i].kind, b->blocked_by.v[i].kind) != 0 ||
            !str_equal(a->blocked_by.v[i].detail, b->blocked_by.v[i].detail))
            return false;
    return true;
}

static bool same_revisions(const struct site_status *a, const struct site_status *b)
{
    return oid_equal(&a->desired, &b->desired) &&
           oid_equal(&a->desired_inputs, &b->desired_inputs) &&
           oid_equal(&a->deployed, &b->deployed) &&
           oid_equal(&a->deployed_inputs, &b->deployed_inputs) &&
           oid_equal(&a->previous, &b->previous) && oid_equal(&a->from, &b->from) &&
           oid_equal(&a->to, &b->to) && oid_equal(&a->drift_log, &b->drift_log);
}

static bool same_texts(const struct site_status *a, const struct site_status *b)
{
    return str_equal(a->name, b->name) && str_equal(a->team, b->team) &&
           str_equal(a->backend, b->backend) && str_equal(a->source, b->source) &&
           str_equal(a->deployed_source, b->deployed_source) &&
           str_equal(a->previous_source, b->previous_source) && str_equal(a->message, b->message) &&
           str_equal(a->step, b->step);
}

bool site_status_equal(const struct site_status *a, const struct site_status *b)
{
    return a->state == b->state && a->generation == b->generation &&
           a->deployed_generation == b->deployed_generation && a->attempt == b->attempt &&
           a->since == b->since && a->deadline == b->deadline && a->drifted_at == b->drifted_at &&
           same_revisions(a, b) && same_texts(a, b) && same_lists(a, b);
}

/* ---- as text ----
 * `status` is made from `status.json`, so that the two cannot disagree. */

static void put_count(json_t *j, const char *key, uint64_t n)
{
    json_object_set_new(j, key, n ? json_integer(n) : json_null());
}

json_t *site_status_json(const struct site_status *s)
{
    json_t *j = json_object(), *blocked = json_array(), *include = json_array();

    json_put_str(j, "site", s->name);
    json_put_str(j, "team", s->team);
    json_put_str(j, "state", site_state_name(s->state));
    oid_put_json(j, "desired", &s->desired);
    oid_put_json(j, "deployed", &s->deployed);
    oid_put_json(j, "previous", &s->previous);
    put_count(j, "generation", s->generation);
    put_count(j, "attempt", s->attempt);
    json_put_str(j, "step", s->step);
    json_put_time(j, "since", s->since);
    json_put_time(j, "deadline", s->deadline);
    json_put_time(j, "drifted", s->drifted_at);
    json_put_str(j, "message", s->message);
    vec_foreach (b, &s->blocked_by) {
        json_t *why = json_object();
        json_put_str(why, "kind", b->kind);
        json_put_str(why, "detail", b->detail);
        json_array_append_new(blocked, why);
    }
    json_object_set_new(j, "blocked_by", blocked);
    oid_put_json(j, "inputs", &s->desired_inputs);
    json_put_str(j, "backend", s->backend);
    vec_foreach (path, &s->include)
        json_array_append_new(include, json_string(*path));
    json_object_set_new(j, "include", include);
    return j;
}

/* One "key: value" line. */
static void line_add(struct buf *out, const char *key, const json_t *value)
{
    if (json_is_integer(value)) {
        buf_addf(out, "%s: %lld\n", key, (long long)json_integer_value(value));
    } else if (json_is_string(value)) {
        buf_addf(out, "%s: ", key);
        buf_add_visible(out, json_string_value(value));
        buf_addc(out, '\n');
    }
}

/* An item of a list: a path, or a reason with its kind. */
static void item_add(struct buf *out, const char *key, const json_t *item)
{
    const char *detail = json_str(item, "detail", NULL);

    if (json_is_string(item)) {
        line_add(out, key, item);
        return;
    }
    json_t *text = json_sprintf("%s%s%s", json_str(item, "kind", ""), detail ? ": " : "",
                                detail ? detail : "");
    line_add(out, key, text);
    json_decref(text);
}

void site_status_render(const struct site_status *s, struct buf *out)
{
    json_t *j = site_status_json(s), *value;
    const char *key;

    json_object_foreach (j, key, value) {
        if (!json_is_array(value))
            line_add(out, key, value);
        for (size_t i = 0; i < json_array_size(value); i++)
            item_add(out, key, json_array_get(value, i));
    }
    json_decref(j);
}
