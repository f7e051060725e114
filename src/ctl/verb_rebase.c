/* onward rebase: brings a workspace onto head. */
#include <errno.h>
#include <string.h>

#include "ctl/workspace_ref.h"

static int explain(const struct workspace_ref *w, int err, struct diag *reterr)
{
    if (err == -EACCES || err == -EPERM)
        return diag_fail(reterr, err, "%s belongs to somebody else", w->name);
    if (err == -EROFS)
        return diag_fail(reterr, err, "%s: the mount is read-only", w->name);
    return diag_fail(reterr, err, "%s: not rebased, and as it was (%s)", w->name,
                     strerrorname_np(-err));
}

/* The conflicts as their lines name them: "conflict: path base ours theirs", and "kept: …". */
static json_t *conflicts_json(const char *outcome)
{
    static const char *const sides[] = {"theirs", "ours", "base"};
    json_t *all = json_array();

    for (const char *line = outcome; *line; line += strspn(line, "\n")) {
        _cleanup_free_ char *text = xstrndup(line, strcspn(line, "\n"));
        char *path = strstr(text, ": ");
        line += strlen(text);
        if (!path)
            continue;
        json_t *one = json_object();
        *path = 0;
        json_object_set_new(one, "marked", json_boolean(!strcmp(text, "conflict")));
        for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
            char *id = strrchr(path + 2, ' ');
            if (!id)
                break;
            *id++ = 0;
            json_put_str(one, sides[i], strcmp(id, "-") ? id : NULL);
        }
        json_put_str(one, "path", path + 2);
        json_array_append_new(all, one);
    }
    return all;
}

static void print_json(const struct call *call, const struct workspace_ref *w, int err,
                       const char *outcome)
{
    _cleanup_(json_decrefp) json_t *j = json_object();
    _cleanup_(buf_done) struct buf out = {0};

    json_put_str(j, "workspace", w->name);
    json_put_str(j, "error", err < 0 ? strerrorname_np(-err) : NULL);
    if (err == -EUCLEAN)
        json_object_set_new(j, "conflicts", conflicts_json(outcome));
    else
        json_put_str(j, "outcome", outcome);
    json_write(j, 1, &out);
    fprintf(call->out, "%s\n", buf_str(&out));
}

static void print_text(const struct call *call, const struct workspace_ref *w, int err,
                       const struct buf *outcome)
{
    if (err == 0)
        fprintf(call->out, "%s: on head\n", w->name);
    else if (outcome->len) {
        paint_text(&call->paint, outcome->data, outcome->len, call->out);
        putc('\n', call->out);
    }
}

int verb_rebase(const struct call *call, struct diag *reterr)
{
    _cleanup_(workspace_ref_done) struct workspace_ref w = {0};
    _cleanup_(buf_done) struct buf outcome = {0};
    int r = workspace_ref_find(call, &w, reterr);

    if (r != 0)
        return r;
    workspace_ref_lock(&w, call->mount);
    int err = workspace_ref_command(&w, call->mount, "rebase", "rebase", NULL);
    if (err == -ENOTCONN || err == -EACCES)
        return explain(&w, err, reterr);
    r = workspace_ref_read(&w, call->mount, "outcome", &outcome, err < 0 ? NULL : reterr);
    if (err == 0 && r < 0)
        return r;
    if (call->json)
        print_json(call, &w, err, buf_str(&outcome));
    else
        print_text(call, &w, err, &outcome);
    if (err == -EUCLEAN)
        return diag_fail(reterr, err,
                         "%s: on head, with conflicts to decide: edit the files of `conflict:` "
                         "lines; of `kept:` lines the workspace's own stayed",
                         w.name);
    return err < 0 ? explain(&w, err, reterr) : VERB_YES;
}
