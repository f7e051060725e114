#include "daemon/rollback.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "repo/history.h"
#include "site/restore.h"
#include "stage/trailer.h"

/* How often it begins anew because others commit meanwhile. */
#define TRIES 10

/* One way through: what is to follow head, and what it says of itself. */
struct restoration {
    const struct rollback *b;
    struct fleet *fleet;
    struct oid head, to;
    struct staging_landed landed;
};

/* The older revision is one that the mainline has had. */
static int find_revision(struct restoration *a, struct diag *reterr)
{
    const char *name = a->b->order->to;
    int r = revision_resolve(a->b->repo, name, &a->to);

    if (r < 0)
        return diag_fail(reterr, r, "%s names no revision", name);
    r = history_is_ancestor(a->b->repo, &a->to, &a->head);
    if (r < 0)
        return diag_fail(reterr, r, "cannot tell whether %s is behind head", name);
    return r ? 0
             : diag_fail(reterr, -EINVAL,
                         "%s is not behind head: only what the mainline had can be restored", name);
}

/* ---- the message --------------------------------------------------------------------------------
 */

/* Whether a site before the i-th desires the same. */
static bool is_repeated(const struct restoration *a, size_t i, const struct oid *desired)
{
    for (size_t k = 0; k < i; k++) {
        const struct site_status *s = fleet_site(a->fleet, a->b->order->sites.v[k]);
        if (s && oid_equal(&s->desired, desired))
            return true;
    }
    return false;
}

/* What the sites are to run now. */
static void add_rolled_back(const struct restoration *a, struct buf *out)
{
    char hex[OID_HEX + 1];

    for (size_t i = 0; i < a->b->order->sites.n; i++) {
        const struct site_status *s = fleet_site(a->fleet, a->b->order->sites.v[i]);
        if (s && !oid_is_zero(&s->desired) && !is_repeated(a, i, &s->desired))
            buf_addf(out, "Rollback-of: %s\n", oid_hex(&s->desired, hex));
    }
}

static void write_message(const struct restoration *a, struct buf *out)
{
    const struct order *o = a->b->order;
    char hex[OID_HEX + 1];

    oid_hex(&a->to, hex);
    if (o->sites.n == 1) {
        buf_addf(out, "Roll back %s to %.12s\n", o->sites.v[0], hex);
    } else {
        buf_addf(out, "Roll back %zu sites to %.12s\n\n", o->sites.n, hex);
        vec_foreach (site, &o->sites)
            buf_addf(out, "* %s\n", *site);
    }
    buf_addc(out, '\n');
    add_rolled_back(a, out);
    buf_addf(out, TRAILER_RESTORES ": %s\nReason: %s\n", hex, o->reason);
}

/* ---- landing ------------------------------------------------------------------------------------
 */

static int land(struct restoration *a, const struct oid *tree, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf message = {0}, reasons = {0};

    write_message(a, &message);
    const struct staging_change change = {.base = a->head,
                                          .tree = *tree,
                                          .author = a->b->author,
                                          .message = message.data,
                                          .exact = true};
    int r = staging_land(a->b->staging, &change, &a->landed, &reasons);
    while (reasons.len && reasons.data[reasons.len - 1] == '\n')
        reasons.data[--reasons.len] = 0;
    return r < 0 && reasons.len ? diag_fail(reterr, r, "%s", reasons.data) : r;
}

/* -ESTALE: the mainline has moved meanwhile. */
static int try(struct restoration *a, struct diag *reterr)
{
    const struct order *o = a->b->order;
    _cleanup_(batch_freep) struct batch *batch = batch_new(a->b->repo);
    struct restore restore = {.repo = a->b->repo,
                              .batch = batch,
                              .sites = (const char *const *)o->sites.v,
                              .n = o->sites.n};
    struct oid tree;
    int r = mainline_head(a->b->mainline, &a->head);

    if (r < 0)
        return diag_fail(reterr, r, "the mainline has no revision");
    r = find_revision(a, reterr);
    if (r < 0)
        return r;
    restore.head = a->head;
    restore.to = a->to;
    r = restore_tree(&restore, &tree, reterr);
    return r < 0 ? r : land(a, &tree, reterr);
}

/* ---- the answer ---------------------------------------------------------------------------------
 */

/* What an operator has said before, and what goes on being so. */
static void add_stays(const struct restoration *a, const char *site, struct buf *out)
{
    const struct site_status *s = fleet_site(a->fleet, site);

    if (!s)
        return;
    vec_foreach (why, &s->blocked_by)
        if (!strcmp(why->kind, "hold") || !strcmp(why->kind, "suspend"))
            buf_addf(out, "\n%s stays where it is (%s): %s", site, why->kind, why->detail);
}

static void write_answer(const struct restoration *a, struct buf *out)
{
    char hex[OID_HEX + 1];

    if (a->landed.proposal)
        buf_addf(out, "proposal %" PRIu64 ": waits for approvals", a->landed.proposal);
    else
        buf_addf(out, "revision %s", oid_hex(&a->landed.revision, hex));
    vec_foreach (site, &a->b->order->sites)
        add_stays(a, *site, out);
    if (a->fleet->paused)
        buf_addf(out, "\nnothing moves while rollouts are paused: %s", a->fleet->paused);
}

int rollback_run(const struct rollback *b, struct buf *answer, struct diag *reterr)
{
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_get(b->board);
    struct restoration a = {.b = b, .fleet = fleet};
    int r = -ESTALE;

    if (!b->staging)
        return diag_fail(reterr, -EROFS, "this mount is read-only: nothing can be committed");
    for (int i = 0; r == -ESTALE && i < TRIES; i++)
        r = try(&a, reterr);
    if (r == -ESTALE)
        return diag_fail(reterr, -EBUSY, "others commit all the time; try again");
    if (r == 0)
        write_answer(&a, answer);
    return r;
}
