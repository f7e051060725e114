#include "stage/commit.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "repo/scratch.h"
#include "stage/author.h"
#include "stage/commit_message.h"
#include "stage/landing.h"
#include "stage/outcome.h"
#include "stage/overlay_node.h"
#include "stage/review.h"
#include "stage/snapshot.h"

/* One commit under way. */
struct commit {
    struct landing landing;
    struct workspace *ws;
    const struct caller *who;
    char *message;
    struct signature author;
    struct kept_dirs keep; /* the workspace's empty directories */
    bool by_itself, proposed;
};

static struct commit *commit_of(struct landing *l)
{
    return container_of(l, struct commit, landing);
}

/* The steps of its landing */

/* Takes the workspace as it is at this instant. */
static int take_workspace(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct commit *c = commit_of(l);
    struct workspace *ws = c->ws;

    kept_dirs_done(&c->keep);
    if (ws->ended)
        return landing_refuse(l, -ESTALE, "the workspace has ended");
    int r = snapshot_write(ws, l->batch, &l->change.tree, &c->keep, &why);
    if (r < 0)
        return landing_refuse_diag(l, r, &why);
    l->change.base = ws->state.base;
    l->change.moves_over = ws->state.kept;
    l->change.base_tree = ws->base_tree;
    if (oid_equal(&l->change.tree, &l->change.base_tree))
        return landing_refuse(l, -ENODATA, "nothing changed");
    return landing_check_change(l);
}

static int hold(struct landing *l)
{
    struct commit *c = commit_of(l);

    author_done(&c->author);
    author_of(l->config, c->who->uid, &c->author);
    workspace_lock_frozen(c->ws);
    return take_workspace(l);
}

static void release(struct landing *l)
{
    workspace_unlock_frozen(commit_of(l)->ws);
}

/* One that nobody asked for leaves a proposal of the same change as it is: with its words, and with
 * the approvals that it has. */
static int propose(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct commit *c = commit_of(l);

    if (c->by_itself && review_has(c->ws, &l->change.tree))
        return landing_refuse(l, -ENODATA, "it is proposed already");
    const struct review_change change = {&l->change.tree, c->message, &c->author, l->needed};
    int r = review_propose(c->ws, &change, l->reasons, &why);

    c->proposed = r == 0;
    return r < 0 ? landing_refuse_diag(l, r, &why) : 0;
}

static int announce(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct commit *c = commit_of(l);
    int r = workspace_prepare_move(c->ws, &l->revision, &c->keep, &why);

    return r < 0 ? landing_refuse_diag(l, r, &why) : 0;
}

static int settle(struct landing *l, int r)
{
    struct workspace *ws = commit_of(l)->ws;

    workspace_settle_move(ws, r == 0);
    return r;
}

static const struct landing_ops ops = {
    .hold = hold,
    .release = release,
    .propose = propose,
    .announce = announce,
    .settle = settle,
};

/* What became of it */

/* `revision` NULL: it has become a proposal, and `reasons` say which. */
static void record(struct workspace *ws, int r, const struct oid *revision,
                   const struct buf *reasons)
{
    _cleanup_(buf_done) struct buf text = {0};

    if (r == 0 && revision)
        outcome_add_revision(&text, revision);
    outcome_save(ws, text.len ? &text : reasons);
}

static int land(struct commit *c, const char *line)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = commit_message_take(c->ws, line, &c->message, &why);

    if (r == 0 && (r = overlay_flush(c->ws)) < 0)
        diag_fail(&why, r, "the mount is ending");
    if (r < 0)
        return landing_refuse_diag(&c->landing, r, &why);
    c->landing.change.author = &c->author;
    c->landing.change.message = c->message;
    r = landing_run(&c->landing);
    return r < 0 ? r : 0;
}

static int commit(struct workspace *ws, const struct caller *who, const char *line, bool by_itself)
{
    _cleanup_(buf_done) struct buf reasons = {0};
    struct commit c = {
        .landing = {.ops = &ops,
                    .config = ws->env->config,
                    .checks = ws->env->checks,
                    .what = "commit",
                    .reasons = &reasons},
        .ws = ws,
        .who = who,
        .by_itself = by_itself,
    };
    const struct oid *revision = &c.landing.revision;
    char hex[OID_HEX + 1];

    int r = workspace_may_change(ws, who);
    if (r == 0)
        r = workspace_lock_committing(ws);
    if (r < 0)
        return r;
    r = land(&c, line);
    bool committed = r == 0 && !c.proposed;
    metric_add(METRIC_COMMITS, c.proposed ? "proposed" : landing_label(r), 1);
    if (r != -ENODATA || !by_itself)
        record(ws, r, c.proposed ? NULL : revision, &reasons);
    if (committed) {
        review_overtaken(ws, revision);
        commit_message_used(ws, c.message);
    }
    workspace_unlock_committing(ws);
    if (committed)
        log_info("committed", "workspace=%s revision=%s uid=%u", ws->name, oid_hex(revision, hex),
                 who->uid);
    kept_dirs_done(&c.keep);
    author_done(&c.author);
    free(c.message);
    return r;
}

int commit_workspace(struct workspace *ws, const struct caller *who, const char *line)
{
    return commit(ws, who, line, false);
}

int commit_by_itself(struct workspace *ws)
{
    const struct caller owner = {ws->state.uid, ws->state.gid};
    char after[CLOCK_TEXT];
    _cleanup_free_ char *line = xasprintf("Autocommit of workspace %s after %s without writes",
                                          ws->name, clock_format_duration(ws->autocommit, after));

    return commit(ws, &owner, line, true);
}

/* The mainline has the announced revision, or it has it not. */
static int resolve(struct workspace *ws, struct diag *reterr)
{
    struct oid revision = ws->state.next_base;
    char hex[OID_HEX + 1];
    int r = landing_has_landed(ws->env->config, &revision);

    if (r == 1) {
        log_info("commit-finished", "workspace=%s revision=%s", ws->name, oid_hex(&revision, hex));
        r = workspace_finish_move(ws, reterr);
        if (r < 0)
            return r;
        metric_add(METRIC_COMMITS, landing_label(0), 1);
        record(ws, 0, &revision, NULL);
        return 0;
    }
    if (r < 0)
        return r;
    log_info("commit-undone", "workspace=%s revision=%s", ws->name, oid_hex(&revision, hex));
    workspace_cancel_move(ws);
    return 0;
}

int commit_recover(struct workspace *ws, struct diag *reterr)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = oid_is_zero(&ws->state.next_base) ? 0 : resolve(ws, &why);

    if (r < 0)
        return diag_fail(reterr, r, "cannot resolve an interrupted commit: %s", diag_text(&why, r));
    workspace_tidy(ws);
    return 0;
}

static int take(struct workspace *ws, struct sink *sink, struct check_input *ret,
                struct diag *reterr)
{
    workspace_lock_frozen(ws);
    int r = ws->ended ? -ESTALE : snapshot_take(ws, sink, &ret->tree, NULL, reterr);
    ret->base = ws->base_tree;
    workspace_unlock_frozen(ws);
    return r;
}

/* For commands, which look at the tree through the mount: it is written. */
static int check_written(struct workspace *ws, struct findings *ret, struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *batch = batch_new(ws->overlay.repo);
    struct check_input in;
    int r = take(ws, batch_sink(batch), &in, reterr);

    if (r == 0)
        r = batch_store(batch, reterr);
    return r < 0 ? r : checks_run(ws->env->checks, &in, 0, ret, reterr);
}

int commit_check(struct workspace *ws, struct findings *ret, struct diag *reterr)
{
    _cleanup_(scratch_freep) struct scratch *scratch =
        scratch_new(ws->overlay.repo, CHECK_FILE_SIZE);
    struct check_input in;
    int r = take(ws, scratch_sink(scratch), &in, reterr);

    if (r == 0)
        r = checks_run(ws->env->checks, &in, CHECK_NO_WAIT, ret, reterr);
    return r == -EINPROGRESS ? check_written(ws, ret, reterr) : r;
}
