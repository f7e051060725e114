/* onward rollback: sites go back to older content, by a new revision. */
#include <stdlib.h>
#include <string.h>

#include "ctl/fleet_order.h"
#include "ctl/moved.h"
#include "ctl/rev.h"

/* How the answer begins when the rollback waits for approvals. */
#define PROPOSED "proposal "

static void print_json(const struct call *call, const char *answer, const char *rev,
                       const json_t *sites)
{
    _cleanup_(json_decrefp) json_t *j = json_object();
    _cleanup_(buf_done) struct buf text = {0};

    json_put_str(j, "revision", rev);
    if (!rev)
        json_object_set_new(j, "proposal",
                            json_integer(strtoll(answer + strlen(PROPOSED), NULL, 10)));
    json_object_set(j, "sites", (json_t *)sites);
    json_put_str(j, "outcome", answer);
    json_write(j, 1, &text);
    fprintf(call->out, "%s\n", buf_str(&text));
}

static void print(const struct call *call, const char *answer)
{
    bool proposed = !strncmp(answer, PROPOSED, strlen(PROPOSED));
    _cleanup_free_ char *rev = proposed ? NULL : moved_revision(answer);
    _cleanup_(json_decrefp) json_t *sites = rev ? moved_sites(call->mount, rev) : json_array();
    _cleanup_(buf_done) struct buf text = {0};

    if (call->json) {
        print_json(call, answer, rev, sites);
        return;
    }
    buf_adds(&text, answer);
    moved_text(sites, &text);
    paint_text(&call->paint, text.data, text.len, call->out);
    putc('\n', call->out);
}

int verb_rollback(const struct call *call, struct diag *reterr)
{
    _cleanup_free_ char *rev = NULL;
    _cleanup_(buf_done) struct buf answer = {0};
    int r = rev_resolve(call->mount, call->to, &rev, reterr);

    if (r == 0)
        r = fleet_order_give(call, rev, &answer, reterr);
    if (r == 0)
        print(call, buf_str(&answer));
    return r;
}
