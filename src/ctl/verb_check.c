/* onward check: the findings on a workspace as it is now. */
#include "ctl/workspace_ref.h"

static void print_json(const struct call *call, const char *workspace, const char *findings)
{
    _cleanup_(json_decrefp) json_t *j = json_object();
    _cleanup_(buf_done) struct buf out = {0};

    json_put_str(j, "workspace", workspace);
    json_object_set_new(j, "findings", findings_json(findings));
    json_write(j, 1, &out);
    fprintf(call->out, "%s\n", buf_str(&out));
}

static void print_text(const struct call *call, const char *workspace, const struct buf *findings)
{
    if (findings->len)
        paint_text(&call->paint, findings->data, findings->len, call->out);
    else
        fprintf(call->out, "%s: no findings", workspace);
    putc('\n', call->out);
}

int verb_check(const struct call *call, struct diag *reterr)
{
    _cleanup_(workspace_ref_done) struct workspace_ref w = {0};
    _cleanup_(buf_done) struct buf findings = {0};
    int r = workspace_ref_find(call, &w, reterr);

    if (r == 0)
        r = workspace_ref_read(&w, call->mount, "check", &findings, reterr);
    if (r != 0)
        return r;
    if (call->json)
        print_json(call, w.name, buf_str(&findings));
    else
        print_text(call, w.name, &findings);
    return findings.len ? VERB_NO : VERB_YES;
}
