/* onward approve: says that somebody else's proposal may become a revision. */
#include <errno.h>
#include <string.h>

#include "ctl/proposal_ref.h"
#include "ctl/rev.h"

static const struct {
    int err;
    const char *meaning;
} meanings[] = {
    {EACCES, "it is your own: somebody else has to approve it"},
    {ESTALE, "it has ended, or changed, a moment ago; look again"},
    {EBUSY, "approved, but not merged: it conflicts with the mainline"},
    {EINVAL, "approved, but not merged: the checks have findings"},
    {ENODATA, "approved, but not merged: the mainline has these changes already"},
    {ENOENT, "this mount is read-only, or it has ended a moment ago"},
    {EROFS, "this mount is read-only"},
};

static const char *meaning_of(int err)
{
    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
        if (meanings[i].err == -err)
            return meanings[i].meaning;
    return strerrordesc_np(-err);
}

/* Approves the content that is there now: what was looked at has its id in the link. With a comment
 * there is no room for that. */
static int submit(const struct call *call, const struct proposal_ref *p)
{
    _cleanup_free_ char *tree = proposal_ref_path(p, "tree"),
                        *path = proposal_ref_path(p, "approve");
    _cleanup_free_ char *content = NULL;
    int r = call->message ? 0 : rev_of_link(call->mount, tree, &content, NULL);

    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    return mountpoint_command(call->mount, path, call->message ? call->message : content, NULL);
}

static int refuse(const struct call *call, const struct proposal_ref *p, int err,
                  struct diag *reterr)
{
    _cleanup_free_ char *path = proposal_ref_path(p, "findings");
    _cleanup_(buf_done) struct buf findings = {0};

    if ((err == -EBUSY || err == -EINVAL) &&
        mountpoint_read(call->mount, path, &findings, NULL) == 0)
        paint_text(&call->paint, buf_str(&findings), findings.len, call->out);
    return diag_fail(reterr, err, "proposal %s: %s (%s)", p->number, meaning_of(err),
                     strerrorname_np(-err));
}

/* What has become of it: it is gone when it was merged. */
static void print(const struct call *call, const struct proposal_ref *p)
{
    _cleanup_(json_decrefp) json_t *j = NULL;
    _cleanup_free_ char *head = NULL;

    if (proposal_ref_json(p, call->mount, &j, NULL) == 0) {
        int missing = proposal_missing(j);
        fprintf(call->out, "proposal %s: approved; needs %d approval%s\n", p->number, missing,
                missing == 1 ? "" : "s");
        return;
    }
    rev_of_link(call->mount, "head", &head, NULL);
    fprintf(call->out, "proposal %s: merged; head is revision %s\n", p->number, head ? head : "?");
}

int verb_approve(const struct call *call, struct diag *reterr)
{
    _cleanup_(proposal_ref_done) struct proposal_ref p = {0};
    int r = proposal_ref_find(call, call->operands[0], &p, reterr);

    if (r != 0)
        return r;
    if (call->message && strchr(call->message, '\n'))
        return diag_fail(reterr, VERB_USAGE, "the comment of an approval is one line");
    r = submit(call, &p);
    if (r < 0)
        return refuse(call, &p, r, reterr);
    print(call, &p);
    return VERB_YES;
}
