/* onward list: the workspaces, or the proposals. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/proposal_ref.h"
#include "ctl/rev.h"
#include "ctl/workspace_ref.h"

/* What is shown of one workspace, out of its file `status`. */
struct summary {
    char *owner, *base; /* base: the full id, or "none" while there is no revision */
    long behind;        /* -1: not known */
    long added, modified, deleted;
};

static void summary_done(struct summary *s)
{
    free(s->owner);
    free(s->base);
}

/* The number behind the key; -1 when there is none. */
static long keyed_number(const char *text, const char *key)
{
    _cleanup_free_ char *value = keyed_value(text, key);

    return value && *value >= '0' && *value <= '9' ? strtol(value, NULL, 10) : -1;
}

static int summary_read(const struct workspace_ref *w, const struct mountpoint *m,
                        struct summary *ret, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf status = {0};
    int r = workspace_ref_read(w, m, "status", &status, reterr);

    if (r < 0)
        return r;
    const char *text = buf_str(&status);
    ret->owner = keyed_value(text, "owner");
    ret->base = keyed_value(text, "base");
    ret->behind = keyed_number(text, "behind");
    ret->added = keyed_number(text, "added");
    ret->modified = keyed_number(text, "modified") + keyed_number(text, "type-changed");
    ret->deleted = keyed_number(text, "deleted");
    return 0;
}

static void add_row(const char *name, const struct summary *s, struct columns *t)
{
    _cleanup_free_ char *base = s->base ? xasprintf("%.*s", REV_SHORT, s->base) : NULL;
    _cleanup_free_ char *behind = s->behind >= 0 ? xasprintf("%ld", s->behind) : NULL;
    _cleanup_free_ char *changes = xasprintf("+%ld ~%ld -%ld", s->added, s->modified, s->deleted);

    columns_add(t, name);
    columns_add(t, s->owner);
    columns_add(t, base);
    columns_add(t, behind);
    columns_add(t, changes);
}

static json_t *summary_json(const char *name, const struct summary *s)
{
    json_t *j = json_object();

    json_put_str(j, "workspace", name);
    json_put_str(j, "owner", s->owner);
    json_put_str(j, "base", s->base && strcmp(s->base, "none") ? s->base : NULL);
    json_object_set_new(j, "behind", s->behind >= 0 ? json_integer(s->behind) : json_null());
    json_object_set_new(j, "added", json_integer(s->added));
    json_object_set_new(j, "modified", json_integer(s->modified));
    json_object_set_new(j, "deleted", json_integer(s->deleted));
    return j;
}

/* One workspace into the table and the array. One that vanished meanwhile, or that is not ours to
 * see, is passed over. */
static int add(const struct call *call, const char *name, struct columns *t, json_t *array,
               struct diag *reterr)
{
    _cleanup_(workspace_ref_done) struct workspace_ref w = {
        .name = xstrdup(name),
        .dir = xasprintf("staging/%s", name),
    };
    _cleanup_(summary_done) struct summary s = {0};
    int r = summary_read(&w, call->mount, &s, reterr);

    if (r == -ENOENT || r == -EACCES) {
        diag_done(reterr);
        return 0;
    }
    if (r == 0) {
        add_row(name, &s, t);
        json_array_append_new(array, summary_json(name, &s));
    }
    return r;
}

static void print(const struct call *call, const struct columns *t, const json_t *array)
{
    _cleanup_(buf_done) struct buf text = {0};

    if (call->json) {
        json_write(array, 1, &text);
        fprintf(call->out, "%s\n", buf_str(&text));
    } else if (json_array_size(array)) {
        columns_print(t, &call->paint, -1, true, call->out);
    } else {
        fputs("no workspaces; `onward new NAME` makes one\n", call->out);
    }
}

int verb_list(const struct call *call, struct diag *reterr)
{
    static const char *const heading[] = {"WORKSPACE", "OWNER", "BASE", "BEHIND", "CHANGES"};
    _cleanup_(names_done) struct names names = {0};
    _cleanup_(columns_done) struct columns t = {.ncolumns = ARRAY_SIZE(heading)};
    _cleanup_(json_decrefp) json_t *array = json_array();

    if (call->proposals)
        return proposals_print(call, reterr);
    int r = mountpoint_list(call->mount, "staging", &names, reterr);
    for (size_t i = 0; i < ARRAY_SIZE(heading); i++)
        columns_add(&t, heading[i]);
    for (size_t i = 0; i < names.n && r == 0; i++)
        r = add(call, names.v[i], &t, array, reterr);
    if (r == 0)
        print(call, &t, array);
    return r;
}
