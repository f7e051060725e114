#include "stage/review_merge.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "stage/commit_message.h"
#include "stage/landing.h"
#include "stage/outcome.h"
#include "stage/review.h"
#include "stage/snapshot.h"
#include "stage/trailer.h"

/* One merge under way. */
struct merging {
    struct landing landing;
    struct proposals *s;
    struct proposal *p;
    uint64_t number;
    char *message, *what;
    struct workspace *ws;  /* that it came from, `committing` held; NULL: it is not here */
    bool along;            /* it shows what was proposed, and so moves with the mainline */
    struct kept_dirs keep; /* its empty directories */
};

static struct merging *merging_of(struct landing *l)
{
    return container_of(l, struct merging, landing);
}

static struct landing_change change_of(const struct proposal *p, const char *message)
{
    return (struct landing_change){
        .base = p->base,
        .base_tree = p->base_tree,
        .tree = p->tree,
        .author = &p->author,
        .message = message,
        .moves_over = true,
        .restores = !p->workspace && trailer_has(message, TRAILER_RESTORES),
    };
}

/* The steps of its landing */

static int hold(struct landing *l)
{
    struct merging *m = merging_of(l);

    if (m->ws)
        workspace_lock_frozen(m->ws);
    pthread_mutex_lock(&m->s->writing);
    return 0;
}

static void release(struct landing *l)
{
    struct merging *m = merging_of(l);

    pthread_mutex_unlock(&m->s->writing);
    if (m->ws)
        workspace_unlock_frozen(m->ws);
}

/* The proposal as it is now, if it is still there, and has its approvals. */
static int take(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct merging *m = merging_of(l);

    proposal_unref(TAKE(m->p));
    int r = proposals_fresh(m->s, m->number, &m->p, &why);
    if (r == -ENOENT)
        return 1;
    if (r < 0)
        return r == -EAGAIN ? r : landing_refuse_diag(l, r, &why);
    if ((int)m->p->approvals.n < (l->needed > 0 ? l->needed : 1))
        return 1;
    free(m->message);
    m->message = proposal_revision_text(m->p);
    l->change = change_of(m->p, m->message);
    return 0;
}

/* Takes the workspace along if it is as it was when it was proposed. */
static int prepare_workspace(struct merging *m)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct oid tree;

    kept_dirs_done(&m->keep);
    m->along = false;
    if (!m->ws || m->ws->ended || !oid_equal(&m->ws->state.base, &m->p->base))
        return 0;
    int r = snapshot_id(m->ws, &tree, &m->keep, &why);
    if (r == 0 && !oid_equal(&tree, &m->p->tree))
        return 0;
    if (r == 0)
        r = workspace_prepare_move(m->ws, &m->landing.revision, &m->keep, &why);
    m->along = r == 0;
    return r < 0 ? landing_refuse_diag(&m->landing, r, &why) : 0;
}

/* P2: the closing record is there before the mainline moves, and goes when it has not. */
static int announce(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct merging *m = merging_of(l);
    int r = prepare_workspace(m);

    if (r < 0)
        return r;
    r = proposals_close(m->s, &m->p, &l->revision, &why);
    return r < 0 && r != -EAGAIN ? landing_refuse_diag(l, r, &why) : r;
}

/* Whether the mainline has moved is asked of it, whatever `r` says. */
static int settle(struct landing *l, int r)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct merging *m = merging_of(l);

    if (m->p->state == PROPOSAL_MERGING) {
        int s = proposals_resolve(m->s, &m->p, &why);
        if (s < 0)
            log_warn("proposal-not-resolved", "reason=\"%s\"", diag_text(&why, s));
        if (s == 0 && !m->p)
            r = 0;
    }
    if (m->along)
        workspace_settle_move(m->ws, r == 0);
    return r;
}

static const struct landing_ops ops = {
    .hold = hold,
    .release = release,
    .take = take,
    .announce = announce,
    .settle = settle,
};

static struct landing landing_for(struct proposals *s, struct buf *reasons)
{
    return (struct landing){
        .ops = &ops,
        .config = &s->config,
        .checks = s->env->checks,
        .reasons = reasons,
    };
}

/* The workspace */

/* The workspace that it came from, `committing` held. One that commits right now is as good as
 * changed: an approver does not wait for somebody else's checks. */
static struct workspace *take_workspace(struct proposals *s, const struct proposal *p)
{
    struct workspace *ws = NULL;
    _cleanup_free_ char *id = NULL;

    if (!p->workspace || s->env->find(s->env->arg, p->workspace, &ws) < 0)
        return NULL;
    if (review_id(ws, &id) == 0 && !strcmp(id, p->id) &&
        pthread_mutex_trylock(&ws->committing) == 0)
        return ws;
    workspace_unref(ws);
    return NULL;
}

static void tell_workspace(const struct merging *m, const char *message)
{
    _cleanup_(buf_done) struct buf text = {0};

    if (!m->along || m->ws->ended)
        return;
    outcome_add_revision(&text, &m->landing.revision);
    outcome_save(m->ws, &text);
    commit_message_used(m->ws, message);
}

int review_merge(struct proposals *s, uint64_t number)
{
    _cleanup_(proposal_unrefp) struct proposal *first = NULL;
    _cleanup_(buf_done) struct buf reasons = {0};
    struct merging m = {.landing = landing_for(s, &reasons), .s = s, .number = number};
    char hex[OID_HEX + 1];

    if (proposals_get(s, number, &first) < 0)
        return 0;
    if ((int)first->approvals.n < review_needed(s))
        return 0;
    m.landing.what = m.what = xasprintf("proposal %" PRIu64, number);
    m.ws = take_workspace(s, first);
    int r = landing_run(&m.landing);
    if (r == 0)
        tell_workspace(&m, first->message);
    if (m.ws)
        pthread_mutex_unlock(&m.ws->committing);
    proposals_set_reason(s, first, r < 0 ? buf_str(&reasons) : NULL);
    if (r == 0)
        log_info("merged", "proposal=%" PRIu64 " revision=%s", number,
                 oid_hex(&m.landing.revision, hex));
    if (r <= 0)
        metric_add(METRIC_COMMITS, r == 0 ? "merged" : "not-merged", 1);
    proposals_changed(s);
    kept_dirs_done(&m.keep);
    proposal_unref(m.p);
    free(m.message);
    free(m.what);
    workspace_unref(m.ws);
    return r < 0 ? r : 0;
}

int review_obstacles(struct proposals *s, struct proposal *p, struct buf *out)
{
    struct landing l = landing_for(s, out);

    l.change = change_of(p, p->message);
    int r = landing_try(&l);
    return r == -EINVAL || r == -EBUSY || r == -ENODATA ? 0 : r;
}
