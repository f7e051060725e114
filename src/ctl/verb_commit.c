/* onward commit: a workspace's changes become a revision. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/moved.h"
#include "ctl/workspace_ref.h"

/* Longer messages go through the file `message`: a shell would cut them into several writes, and so
 * people may expect the same limit here. */
#define LINE_MOST 4000
/* How the outcome of a commit begins that waits for approvals. */
#define PROPOSED "proposal "

static const struct {
    int err;
    const char *meaning;
} meanings[] = {
    {EINVAL, "refused: the checks have findings, or there is no message"},
    {EBUSY, "refused: the mainline is in the way (conflicts: `onward rebase`)"},
    {ENODATA, "nothing to commit"},
    {EACCES, "refused: the workspace belongs to somebody else"},
    {EPERM, "refused: the workspace belongs to somebody else"},
    {EROFS, "refused: the mount or the repository is read-only"},
    {ENOSPC, "failed: no space left; the workspace is as it was"},
    {EDQUOT, "failed: the quota is used up; the workspace is as it was"},
    {EIO, "failed: the repository could not be written; the workspace is as it was"},
};

static const char *meaning_of(int err)
{
    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
        if (meanings[i].err == -err)
            return meanings[i].meaning;
    return strerrordesc_np(-err);
}

/* Whether the message can be the line that is written to `commit`. */
static int is_line(const char *message)
{
    return !strchr(message, '\n') && strlen(message) < LINE_MOST && strcmp(message, "-") != 0;
}

static int submit(const struct call *call, const struct workspace_ref *w, struct diag *reterr)
{
    if (call->message && is_line(call->message))
        return workspace_ref_command(w, call->mount, "commit", call->message, reterr);
    if (call->message) {
        _cleanup_free_ char *path = xasprintf("%s/.onward/message", w->dir);
        int r = mountpoint_replace(call->mount, path, call->message, reterr);
        if (r < 0)
            return r;
    }
    return workspace_ref_command(w, call->mount, "commit", "-", reterr);
}

static int refuse(const struct call *call, const struct workspace_ref *w, int err,
                  const struct buf *outcome, struct diag *reterr)
{
    if (call->json) {
        _cleanup_(json_decrefp) json_t *j = json_object();
        _cleanup_(buf_done) struct buf out = {0};
        json_put_str(j, "workspace", w->name);
        json_put_str(j, "revision", NULL);
        json_put_str(j, "error", strerrorname_np(-err));
        json_put_str(j, "outcome", buf_str(outcome));
        json_write(j, 1, &out);
        fprintf(call->out, "%s\n", buf_str(&out));
    } else if (outcome->len) {
        paint_text(&call->paint, outcome->data, outcome->len, call->out);
        putc('\n', call->out);
    }
    return diag_fail(reterr, err, "%s: %s (%s)", w->name, meaning_of(err), strerrorname_np(-err));
}

static void print(const struct call *call, const struct workspace_ref *w, const char *rev)
{
    _cleanup_(json_decrefp) json_t *sites = moved_sites(call->mount, rev);
    _cleanup_(buf_done) struct buf text = {0};

    if (call->json) {
        _cleanup_(json_decrefp) json_t *j = json_object();
        json_put_str(j, "workspace", w->name);
        json_put_str(j, "revision", rev);
        json_object_set(j, "sites", sites);
        json_write(j, 1, &text);
    } else {
        buf_addf(&text, "%s: revision %s", w->name, rev);
        moved_text(sites, &text);
    }
    fprintf(call->out, "%s\n", buf_str(&text));
}

/* The outcome "proposal N: needs M approvals", and what follows it. */
static void print_proposed(const struct call *call, const struct workspace_ref *w,
                           const struct buf *outcome)
{
    _cleanup_(json_decrefp) json_t *j = json_object();
    _cleanup_(buf_done) struct buf text = {0};

    if (call->json) {
        json_put_str(j, "workspace", w->name);
        json_put_str(j, "revision", NULL);
        json_object_set_new(j, "proposal",
                            json_integer(strtoll(outcome->data + strlen(PROPOSED), NULL, 10)));
        json_put_str(j, "outcome", outcome->data);
        json_write(j, 1, &text);
    } else {
        buf_addf(&text, "%s: %s", w->name, outcome->data);
    }
    fprintf(call->out, "%s\n", buf_str(&text));
}

int verb_commit(const struct call *call, struct diag *reterr)
{
    _cleanup_(workspace_ref_done) struct workspace_ref w = {0};
    _cleanup_(buf_done) struct buf outcome = {0};
    int r = workspace_ref_find(call, &w, reterr);

    if (r != 0)
        return r;
    workspace_ref_lock(&w, call->mount);
    int committed = submit(call, &w, reterr);
    if (committed == -ENOTCONN)
        return committed;
    r = workspace_ref_read(&w, call->mount, "outcome", &outcome, committed < 0 ? NULL : reterr);
    if (committed < 0)
        return refuse(call, &w, committed, &outcome, reterr);
    if (r < 0)
        return r;
    if (!strncmp(buf_str(&outcome), PROPOSED, strlen(PROPOSED))) {
        print_proposed(call, &w, &outcome);
        return VERB_YES;
    }
    _cleanup_free_ char *rev = moved_revision(buf_str(&outcome));
    if (!rev)
        return diag_fail(reterr, -EPROTO, "%s: committed, but the outcome names no revision: %s",
                         w.name, buf_str(&outcome));
    print(call, &w, rev);
    return VERB_YES;
}
