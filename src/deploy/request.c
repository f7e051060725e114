#include "deploy/request.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/http.h"
#include "onward/backend.h"
#include "onward/version.h"
#include "repo/oid_json.h"

/* Most of a last line that goes into a record. */
#define MESSAGE_MOST 300

char *request_tree(const struct backend_request *request, const struct oid *revision)
{
    char hex[OID_HEX + 1];

    if (oid_is_zero(revision))
        return NULL;
    return xasprintf("%s/revisions/%s", request->mountpoint, oid_hex(revision, hex));
}

static void put_labels(json_t *j, const struct site *site)
{
    json_t *labels = json_object();

    vec_foreach (l, &site->labels)
        json_put_str(labels, l->key, l->value);
    json_object_set_new(j, ONWARD_FIELD_LABELS, labels);
}

json_t *request_json(const struct backend_request *request)
{
    _cleanup_free_ char *tree = request_tree(request, &request->to);
    _cleanup_free_ char *previous = request_tree(request, &request->from);
    char deadline[CLOCK_TEXT];
    json_t *j = json_object();

    json_object_set_new(j, ONWARD_FIELD_ONWARD, json_integer(ONWARD_CONTRACT));
    json_put_str(j, ONWARD_FIELD_VERB, backend_verb_name(request->verb));
    json_put_str(j, ONWARD_FIELD_SITE, request->site->name);
    json_put_str(j, ONWARD_FIELD_TEAM, request->site->team);
    put_labels(j, request->site);
    json_object_set_new(j, ONWARD_FIELD_GENERATION, json_integer(request->generation));
    json_object_set_new(j, ONWARD_FIELD_ATTEMPT, json_integer(request->attempt));
    oid_put_json(j, ONWARD_FIELD_FROM, &request->from);
    oid_put_json(j, ONWARD_FIELD_TO, &request->to);
    json_put_str(j, ONWARD_FIELD_SOURCE, request->site->source);
    json_put_str(j, ONWARD_FIELD_TREE, tree);
    json_put_str(j, ONWARD_FIELD_PREVIOUS_TREE, previous);
    json_put_str(j, ONWARD_FIELD_DEADLINE, clock_format(clock_real() + request->timeout, deadline));
    return j;
}

/* Adds a value that comes from the repository: it must be one plain component. */
static int add_component(struct buf *out, const char *value, bool escaped)
{
    if (!*value || strchr(value, '/') || !strcmp(value, ".") || !strcmp(value, ".."))
        return -EINVAL;
    if (escaped)
        http_add_escaped(out, value);
    else
        buf_adds(out, value);
    return 0;
}

int request_expand(const char *pattern, const struct site *site, bool escaped, struct buf *ret)
{
    int r = 0;

    for (const char *p = pattern; *p && r == 0;) {
        bool is_site = !strncmp(p, "{site}", 6), is_team = !strncmp(p, "{team}", 6);
        if (is_site || is_team)
            r = add_component(ret, is_site ? site->name : site->team, escaped);
        else
            buf_addc(ret, *p);
        p += is_site || is_team ? 6 : 1;
    }
    return r;
}

char *request_last_line(const struct buf *output)
{
    const char *data = buf_str(output);
    size_t end = output->len, begin;
    struct buf out = {0};

    while (end && strchr(" \t\r\n", data[end - 1]))
        end--;
    for (begin = end; begin && data[begin - 1] != '\n'; begin--)
        ;
    if (end - begin > MESSAGE_MOST)
        end = begin + MESSAGE_MOST;
    _cleanup_free_ char *line = xstrndup(data + begin, end - begin);
    buf_add_escaped(&out, line);
    return buf_take(&out);
}
