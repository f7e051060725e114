#include "stage/control.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "repo/diff.h"
#include "repo/scratch.h"
#include "stage/autocommit_node.h"
#include "stage/commit.h"
#include "stage/landing.h"
#include "stage/message.h"
#include "stage/outcome.h"
#include "stage/rebase.h"
#include "stage/snapshot.h"
#include "tree/control.h"
#include "tree/link.h"
#include "tree/menu.h"
#include "tree/text.h"

#define DIFF_MOST (256 << 20)

/* The workspace's tree and its base's, as of now. The tree is nowhere but in `scratch`. */
struct pair {
    struct oid base, base_tree, tree;
    struct scratch *scratch;
};

static void pair_done(struct pair *p)
{
    scratch_free(p->scratch);
}

/* `keep`: as for scratch_new(). */
static int take_pair(struct workspace *ws, uint64_t keep, struct pair *ret)
{
    ret->scratch = scratch_new(ws->overlay.repo, keep);
    workspace_lock_frozen(ws);
    int r =
        ws->ended ? -ESTALE : snapshot_take(ws, scratch_sink(ret->scratch), &ret->tree, NULL, NULL);
    ret->base = ws->state.base;
    ret->base_tree = ws->base_tree;
    workspace_unlock_frozen(ws);
    return r;
}

static int text_node(struct workspace *ws, uint64_t ino, struct buf *text, struct node **ret)
{
    *ret = text_node_new(ws->env->config->table, ino, text, clock_real());
    return 0;
}

/* changes */

static int add_change(const struct change *c, void *arg)
{
    struct buf *out = arg;

    buf_addf(out, "%c ", c->status);
    buf_add_quoted(out, c->path);
    buf_addc(out, '\n');
    return 0;
}

static int open_changes(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct workspace *ws = ctx;
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_(pair_done) struct pair pair = {0};
    int r = take_pair(ws, 0, &pair);

    if (r == 0)
        r = diff_changes(ws->overlay.repo, &pair.base_tree, &pair.tree, add_change, &text);
    return r < 0 ? r : text_node(ws, ino, &text, ret);
}

static int open_diff(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct workspace *ws = ctx;
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_(pair_done) struct pair pair = {0};
    int r = take_pair(ws, SCRATCH_WHOLE, &pair);

    if (r == 0)
        r = diff_patch(ws->overlay.repo, &pair.base_tree, &pair.tree, NULL, 0, DIFF_MOST, &text);
    return r < 0 ? r : text_node(ws, ino, &text, ret);
}

/* status */

static int count_change(const struct change *c, void *arg)
{
    ((size_t *)arg)[(unsigned char)c->status]++;
    return 0;
}

static void add_outcome(struct workspace *ws, struct buf *out)
{
    _cleanup_(buf_done) struct buf text = {0};

    if (outcome_read(ws, &text) < 0 || !text.len)
        buf_adds(out, "outcome: none\n");
    else
        buf_addf(out, "outcome: %.*s\n", (int)strcspn(text.data, "\n"), text.data);
}

static int open_status(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct workspace *ws = ctx;
    _cleanup_(buf_done) struct buf text = {0};
    size_t counts[256] = {0};
    char hex[OID_HEX + 1];
    _cleanup_(pair_done) struct pair pair = {0};
    int r = take_pair(ws, 0, &pair);

    if (r == 0)
        r = diff_changes(ws->overlay.repo, &pair.base_tree, &pair.tree, count_change, counts);
    if (r < 0)
        return r;
    buf_addf(&text, "workspace: %s\nowner: %s\nbase: %s\n", ws->name, ws->state.owner,
             oid_is_zero(&pair.base) ? "none" : oid_hex(&pair.base, hex));
    landing_add_behind(ws->env->config, &pair.base, &text);
    buf_addf(&text, "added: %zu\nmodified: %zu\ndeleted: %zu\ntype-changed: %zu\n", counts['A'],
             counts['M'], counts['D'], counts['T']);
    add_outcome(ws, &text);
    return text_node(ws, ino, &text, ret);
}

/* check, outcome, owner, base */

static int open_check(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct workspace *ws = ctx;
    _cleanup_(findings_done) struct findings findings = {0};
    _cleanup_(buf_done) struct buf text = {0};
    int r = commit_check(ws, &findings, NULL);

    if (r < 0)
        return r;
    findings_render(&findings, &text);
    return text_node(ws, ino, &text, ret);
}

static int open_outcome(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    _cleanup_(buf_done) struct buf text = {0};
    int r = outcome_read(ctx, &text);

    return r < 0 ? r : text_node(ctx, ino, &text, ret);
}

static int open_owner(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct workspace *ws = ctx;
    _cleanup_(buf_done) struct buf text = {0};

    buf_addf(&text, "%u %s\n", ws->state.uid, ws->state.owner);
    return text_node(ws, ino, &text, ret);
}

static bool there_base(void *ctx)
{
    struct oid base;
    int64_t mtime;

    workspace_base(ctx, &base, &mtime);
    return !oid_is_zero(&base);
}

static int open_base(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct workspace *ws = ctx;
    char hex[OID_HEX + 1];
    struct oid base;
    int64_t mtime;

    workspace_base(ws, &base, &mtime);
    *ret = link_node_new(ws->env->config->table, ino,
                         xasprintf("../../../revisions/%s", oid_hex(&base, hex)), mtime);
    return 0;
}

/* message, autocommit, commit, rebase, drop */

static int open_autocommit(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    *ret = autocommit_node_get(ctx, dir->parent, ino);
    return 0;
}

static int open_message(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    *ret = message_node_get(ctx, dir->parent, ino);
    return 0;
}

static int do_commit(void *ctx, const struct caller *who, const char *line)
{
    return commit_workspace(ctx, who, line);
}

static void commit_refused(void *ctx, const struct caller *who, const char *why)
{
    _cleanup_(buf_done) struct buf text = {0};

    if (workspace_may_change(ctx, who) < 0 || workspace_lock_committing(ctx) < 0)
        return;
    buf_addf(&text, "%s\n", why);
    outcome_save(ctx, &text);
    workspace_unlock_committing(ctx);
}

static int do_rebase(void *ctx, const struct caller *who, const char *line)
{
    return rebase_workspace(ctx, who);
}

static int do_drop(void *ctx, const struct caller *who, const char *line)
{
    struct workspace *ws = ctx;
    int r = workspace_may_change(ws, who);

    if (r == 0 && strcmp(line, "force"))
        r = -EINVAL;
    if (r == 0)
        r = workspace_end(ws, NULL);
    if (r == 0)
        ws->env->vanished(ws->env->arg, ws->name);
    return r;
}

/* `what` says what is to be done with lines. */
static int open_control(struct workspace *ws, struct node *dir, uint64_t ino,
                        struct control_config what, struct node **ret)
{
    struct oid base;
    int64_t mtime;
    workspace_base(ws, &base, &mtime);
    what.mode = 0200;
    what.uid = ws->state.uid;
    what.gid = ws->state.gid;
    what.mtime = mtime;
    what.ctx = ws;
    what.holder = dir->parent;
    *ret = control_node_get(ws->env->config->table, ino, &what);
    return 0;
}

static int open_commit(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    return open_control(ctx, dir, ino,
                        (struct control_config){.command = do_commit, .refused = commit_refused},
                        ret);
}

static int open_rebase(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    return open_control(ctx, dir, ino, (struct control_config){.command = do_rebase}, ret);
}

static int open_drop(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    return open_control(ctx, dir, ino, (struct control_config){.command = do_drop}, ret);
}

/* The menu */

static const struct menu_item items[] = {
    {"autocommit", S_IFREG, false, NULL, open_autocommit},
    {"base", S_IFLNK, false, there_base, open_base},
    {"changes", S_IFREG, false, NULL, open_changes},
    {"check", S_IFREG, false, NULL, open_check},
    {"commit", S_IFREG, false, NULL, open_commit},
    {"diff", S_IFREG, false, NULL, open_diff},
    {"drop", S_IFREG, false, NULL, open_drop},
    {"message", S_IFREG, false, NULL, open_message},
    {"outcome", S_IFREG, false, NULL, open_outcome},
    {"owner", S_IFREG, false, NULL, open_owner},
    {"rebase", S_IFREG, false, NULL, open_rebase},
    {"status", S_IFREG, false, NULL, open_status},
};

static int64_t menu_mtime(void *ctx)
{
    struct oid base;
    int64_t mtime;

    workspace_base(ctx, &base, &mtime);
    return mtime;
}

static void menu_free(void *ctx)
{
    workspace_unref(ctx);
}

static const struct menu menu = {
    .kind = "staging-control",
    .items = items,
    .n = ARRAY_SIZE(items),
    .mode = 0555,
    .mtime = menu_mtime,
    .free_ctx = menu_free,
};

struct node *control_menu(struct workspace *ws, struct node *root)
{
    /* Not the name: another workspace may have had it, whose files are still open. */
    _cleanup_free_ char *key = xasprintf("%p", (void *)ws);

    return menu_node_get(ws->env->config->table, &menu, key, node_ino(ws->instance, CONTROL_NAME),
                         workspace_ref(ws), root);
}
