#include "stage/direct.h"

#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/metric.h"
#include "stage/landing.h"
#include "stage/review.h"
#include "stage/trailer.h"

struct direct {
    struct landing landing;
    bool exact;
    struct proposals *proposals;
    uint64_t proposal; /* that it has become; 0: none */
};

static int propose(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct direct *d = container_of(l, struct direct, landing);
    const struct landing_change *c = &l->change;
    const struct proposal what = {
        .tree = c->tree,
        .base = c->base,
        .base_tree = c->base_tree,
        .author = *c->author,
        .message = (char *)c->message,
    };
    int r = review_put(d->proposals, &what, l->needed, &d->proposal, l->reasons, &why);

    return r < 0 ? landing_refuse_diag(l, r, &why) : 0;
}

static int take(struct landing *l)
{
    struct direct *d = container_of(l, struct direct, landing);

    if (!d->exact || oid_equal(&l->head, &l->change.base))
        return 0;
    return landing_refuse(l, -ESTALE, "the mainline has moved meanwhile");
}

static const struct landing_ops ops = {.take = take, .propose = propose};

static int land(struct direct *d)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct landing *l = &d->landing;
    struct revision_brief base = {0};
    int r = trailer_check(l->change.message, &why);

    if (r < 0)
        return landing_refuse_diag(l, r, &why);
    if (!oid_is_zero(&l->change.base))
        r = revision_brief(l->config->repo, &l->change.base, &base);
    if (r < 0)
        return landing_refuse(l, r, "its base cannot be read");
    l->change.base_tree = base.tree;
    return landing_run(l);
}

int direct_land(struct stage_env *env, const struct staging_change *change,
                struct staging_landed *ret, struct buf *reasons)
{
    struct direct d = {
        .landing = {.ops = &ops,
                    .config = env->config,
                    .checks = env->checks,
                    .what = "change",
                    .reasons = reasons,
                    .change = {.base = change->base,
                               .tree = change->tree,
                               .author = change->author,
                               .message = change->message}},
        .exact = change->exact,
        .proposals = env->proposals,
    };
    char hex[OID_HEX + 1];
    int r = land(&d);

    metric_add(METRIC_COMMITS, r == 1 ? "proposed" : landing_label(r), 1);
    if (r < 0)
        return r;
    *ret = (struct staging_landed){.proposal = d.proposal};
    if (r == 1)
        return 0;
    ret->revision = d.landing.revision;
    log_info("landed", "revision=%s author=\"%s\"", oid_hex(&ret->revision, hex),
             change->author->email);
    return 0;
}
