/* onward list: the workspaces. */
#include <errno.h>
#include <string.h>

#include "ctl/rev.h"
#include "ctl/workspace_ref.h"

/* What is shown of one workspace. */
struct summary {
    char *owner;  /* the name */
    char *base;   /* full id, NULL while there is none */
    char *behind; /* as its status says */
    size_t added, modified, deleted;
};

static void summary_done(struct summary *s)
{
    free(s->owner);
    free(s->base);
    free(s->behind);
}

/* `A`, `M`, `D` or `T` and a path in each line. */
static void count_changes(const char *text, struct summary *ret)
{
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        ret->added += *text == 'A';
        ret->modified += *text == 'M' || *text == 'T';
        ret->deleted += *text == 'D';
    }
}

/* "1000 ann": the name, or the number when there is no name. Yours. */
static char *owner_name(const char *text)
{
    const char *blank = strchr(text, ' ');

    return xstrdup(blank ? blank + 1 : text);
}

static int summary_read(const struct workspace_ref *w, const struct mountpoint *m,
                        struct summary *ret, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf owner = {0}, status = {0}, changes = {0};
    _cleanup_free_ char *base = xasprintf("%s/.onward/base", w->dir);
    int r = workspace_ref_read(w, m, "owner", &owner, reterr);

    if (r == 0)
        r = workspace_ref_read(w, m, "status", &status, reterr);
    if (r == 0)
        r = workspace_ref_read(w, m, "changes", &changes, reterr);
    if (r < 0)
        return r;
    ret->owner = owner_name(buf_str(&owner));
    ret->behind = keyed_value(buf_str(&status), "behind");
    count_changes(buf_str(&changes), ret);
    /* A workspace of a repository without a commit has no base. */
    r = rev_of_link(m, base, &ret->base, reterr);
    return r == -ENOENT ? 0 : r;
}

static void add_row(const char *name, const struct summary *s, struct columns *t)
{
    _cleanup_free_ char *base = s->base ? xasprintf("%.*s", REV_SHORT, s->base) : NULL;
    _cleanup_free_ char *changes = xasprintf("+%zu ~%zu -%zu", s->added, s->modified, s->deleted);

    columns_add(t, name);
    columns_add(t, s->owner);
    columns_add(t, base);
    columns_add(t, s->behind);
    columns_add(t, changes);
}

static json_t *summary_json(const char *name, const struct summary *s)
{
    json_t *j = json_object();

    json_put_str(j, "workspace", name);
    json_put_str(j, "owner", s->owner);
    json_put_str(j, "base", s->base);
    json_put_str(j, "behind", s->behind);
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

    if (r == -ENOENT || r == -EACCES)
        return 0;
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
    int r = mountpoint_list(call->mount, "staging", &names, reterr);

    for (size_t i = 0; i < ARRAY_SIZE(heading); i++)
        columns_add(&t, heading[i]);
    for (size_t i = 0; i < names.n && r == 0; i++)
        r = add(call, names.v[i], &t, array, reterr);
    if (r == 0)
        print(call, &t, array);
    return r;
}
