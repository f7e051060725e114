#include "stage/rebase.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "repo/history.h"
#include "repo/merge.h"
#include "repo/revision.h"
#include "stage/outcome.h"
#include "stage/overlay_node.h"
#include "stage/snapshot.h"

/* One rebase under way. */
struct rebase {
    struct workspace *ws;
    struct batch *batch; /* of what the workspace shows now, and is to show */
    struct workspace_rebase to;
    struct kept_dirs keep; /* the workspace's empty directories */
    struct oid head_tree;
    struct conflicts conflicts;
    struct buf *text; /* what goes into `outcome` */
};

static const struct staging_config *config_of(const struct rebase *b)
{
    return b->ws->env->config;
}

static int refuse(struct rebase *b, int err, const char *why)
{
    buf_addf(b->text, "%s\n", why);
    return err;
}

static int refuse_diag(struct rebase *b, int err, const struct diag *why)
{
    return refuse(b, err, diag_text(why, err));
}

/* Where it goes. 1: it is there. */
static int find_head(struct rebase *b)
{
    _cleanup_(diag_done) struct diag why = {0};
    const struct staging_config *config = config_of(b);
    struct revision_brief brief = {0};
    int r = mainline_head(config->mainline, &b->to.base);

    if (r == -ENOENT)
        return oid_is_zero(&b->ws->state.base)
                   ? 1
                   : refuse(b, -EBUSY, "the mainline has no revision any more");
    if (r == 0 && oid_equal(&b->to.base, &b->ws->state.base))
        return 1;
    if (r == 0)
        r = revision_brief(config->repo, &b->to.base, &brief);
    if (r < 0) {
        diag_fail(&why, r, "the mainline cannot be read: %s", strerrordesc_np(-r));
        return refuse_diag(b, r, &why);
    }
    b->head_tree = brief.tree;
    r = config->admit ? config->admit(&b->to.base, config->admit_arg, &why) : 0;
    return r < 0 ? refuse_diag(b, r, &why) : 0;
}

/* What the workspace is to show on head. */
static int merge(struct rebase *b)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct merge_sides sides = {
        .base = b->ws->base_tree,
        .theirs = b->head_tree,
        .ours_name = b->ws->name,
        .theirs_name = "head",
    };
    const struct sink_place place = {config_of(b)->repo, batch_sink(b->batch)};
    int r = snapshot_write(b->ws, b->batch, &b->to.ours, &b->keep, &why);

    sides.ours = b->to.ours;
    if (r == 0)
        r = merge_trees(&place, &sides, &b->to.shown, &b->conflicts, &why);
    int stored = r < 0 ? r : batch_store(b->batch, &why);
    return stored < 0 ? refuse_diag(b, stored, &why) : r;
}

/* May what the old base has be relied upon? It may where the mainline holds it. */
static bool stays(const struct rebase *b)
{
    const struct oid *base = &b->ws->state.base;

    return !oid_is_zero(base) && history_is_ancestor(config_of(b)->repo, base, &b->to.base) == 1;
}

static void add_conflicts(struct rebase *b)
{
    vec_foreach (c, &b->conflicts)
        outcome_add_conflict(b->text, c->marked ? "conflict" : "kept", c);
}

/* The outcome is there before the workspace moves: what was kept over what head has shall never be
 * so without having been said. */
static int move(struct rebase *b)
{
    _cleanup_(diag_done) struct diag why = {0};

    b->to.keep = &b->keep;
    b->to.share = stays(b);
    add_conflicts(b);
    if (!b->conflicts.n)
        outcome_add_revision(b->text, &b->to.base);
    outcome_save(b->ws, b->text);
    int r = workspace_rebase(b->ws, &b->to, &why);
    if (r == 0)
        return b->conflicts.n ? -EUCLEAN : 0;
    buf_clear(b->text);
    return refuse_diag(b, r, &why);
}

/* The workspace is frozen. */
static int rebase_frozen(struct rebase *b)
{
    if (b->ws->ended)
        return refuse(b, -ESTALE, "the workspace has ended");
    int r = find_head(b);
    if (r != 0)
        return r;
    r = merge(b);
    return r < 0 ? r : move(b);
}

static int rebase_now(struct rebase *b)
{
    workspace_lock_frozen(b->ws);
    int r = rebase_frozen(b);
    workspace_unlock_frozen(b->ws);
    return r;
}

int rebase_workspace(struct workspace *ws, const struct caller *who)
{
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_(batch_freep) struct batch *batch = batch_new(ws->overlay.repo);
    struct rebase b = {.ws = ws, .batch = batch, .text = &text};
    char hex[OID_HEX + 1];
    int r = workspace_may_change(ws, who);

    if (r < 0)
        return r;
    r = workspace_lock_committing(ws);
    if (r < 0)
        return r;
    r = overlay_flush(ws);
    r = r < 0 ? refuse(&b, r, "the mount is ending") : rebase_now(&b);
    if (r < 0 && r != -EUCLEAN)
        outcome_save(ws, &text);
    workspace_unlock_committing(ws);
    if (r == 0 || r == -EUCLEAN)
        log_info("rebased", "workspace=%s base=%s conflicts=%zu uid=%u", ws->name,
                 oid_hex(&b.to.base, hex), b.conflicts.n, who->uid);
    conflicts_done(&b.conflicts);
    kept_dirs_done(&b.keep);
    return r < 0 ? r : 0;
}
