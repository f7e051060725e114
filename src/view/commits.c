#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "repo/diff.h"
#include "view/context.h"

/* commits/<id>/: about a revision. Not listed (revisions/ lists); found by full id. */

struct commit_ctx {
    struct view *view;
    struct revision *rev;
};

static int64_t commit_mtime(void *ctx)
{
    return clock_from_seconds(((struct commit_ctx *)ctx)->rev->committer.time);
}

static void commit_free(void *ctx)
{
    revision_free(((struct commit_ctx *)ctx)->rev);
    free(ctx);
}

static int open_text(struct commit_ctx *c, uint64_t ino, struct buf *text, struct node **ret)
{
    *ret = text_node_new(c->view->config.table, ino, text, commit_mtime(c));
    return 0;
}

static int open_message(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct commit_ctx *c = ctx;
    struct buf text = {0};

    buf_adds(&text, c->rev->message);
    return open_text(c, ino, &text, ret);
}

static int open_signature(struct commit_ctx *c, const struct signature *s, uint64_t ino,
                          struct node **ret)
{
    struct buf text = {0};

    buf_addf(&text, "%s <%s>\n", s->name, s->email);
    return open_text(c, ino, &text, ret);
}

static int open_author(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct commit_ctx *c = ctx;

    return open_signature(c, &c->rev->author, ino, ret);
}

static int open_committer(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct commit_ctx *c = ctx;

    return open_signature(c, &c->rev->committer, ino, ret);
}

static int open_date(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct commit_ctx *c = ctx;
    struct buf text = {0};
    char when[CLOCK_TEXT];

    buf_addf(&text, "%s\n", clock_format(commit_mtime(c), when));
    return open_text(c, ino, &text, ret);
}

static int open_tree(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct commit_ctx *c = ctx;

    *ret = link_node_new(c->view->config.table, ino, view_target("../../", &c->rev->oid, NULL),
                         commit_mtime(c));
    return 0;
}

/* The tree of the first parent; zero if there is none (or a shallow clone has cut it off). */
static int parent_tree(const struct commit_ctx *c, struct oid *ret)
{
    struct revision_brief brief = {0};
    int r = 0;

    if (c->rev->nparents)
        r = revision_brief(c->view->config.repo, &c->rev->parents[0], &brief);
    *ret = brief.tree;
    return r == -ENOENT ? 0 : r;
}

static int add_change(const struct change *change, void *arg)
{
    struct buf *text = arg;

    buf_addf(text, "%c ", change->status);
    buf_add_quoted(text, change->path);
    buf_addc(text, '\n');
    return 0;
}

static int open_changes(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct commit_ctx *c = ctx;
    _cleanup_(buf_done) struct buf text = {0};
    struct oid from;
    int r = parent_tree(c, &from);

    if (r == 0)
        r = diff_changes(c->view->config.repo, &from, &c->rev->tree, add_change, &text);
    return r < 0 ? r : open_text(c, ino, &text, ret);
}

static int open_patch(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct commit_ctx *c = ctx;
    _cleanup_(buf_done) struct buf text = {0};
    struct oid from;
    int r = parent_tree(c, &from);

    if (r == 0)
        r = diff_patch(c->view->config.repo, &from, &c->rev->tree, NULL, 0, VIEW_PATCH_MOST, &text);
    return r < 0 ? r : open_text(c, ino, &text, ret);
}

static int open_trailers(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct commit_ctx *c = ctx;
    struct buf text = {0};

    revision_trailers(c->rev->message, &text);
    return open_text(c, ino, &text, ret);
}

/* Which sites run it now: the one thing here that changes. */
static int open_sites(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct commit_ctx *c = ctx;
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_get(c->view->config.board);
    struct buf text = {0};

    vec_foreach (s, &fleet->sites)
        if (oid_equal(&(*s)->deployed, &c->rev->oid))
            buf_addf(&text, "%s\n", (*s)->name);
    *ret = text_node_new(c->view->config.table, ino, &text, fleet->at);
    return 0;
}

/* parents/: 1, 2, … as links to the parents' own directories here. */
struct parents {
    struct node node;
    struct commit_ctx *commit; /* of the parent node, which is held */
};

static int parents_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFDIR | 0555;
    st->st_mtim = clock_timespec(commit_mtime(((struct parents *)node)->commit));
    return 0;
}

static int parents_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct commit_ctx *c = ((struct parents *)dir)->commit;
    char hex[OID_HEX + 1];

    for (size_t i = 0; i < c->rev->nparents; i++) {
        _cleanup_free_ char *number = xasprintf("%zu", i + 1);
        if (strcmp(name, number))
            continue;
        *ret = link_node_new(c->view->config.table, node_ino(dir->ino, name),
                             xasprintf("../../%s", oid_hex(&c->rev->parents[i], hex)),
                             commit_mtime(c));
        return 0;
    }
    return -ENOENT;
}

static int parents_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct commit_ctx *c = ((struct parents *)dir)->commit;

    for (size_t i = cookie; i < c->rev->nparents; i++) {
        _cleanup_free_ char *number = xasprintf("%zu", i + 1);
        if (sink->add(sink, number, S_IFLNK, node_ino(dir->ino, number), i + 1, true))
            break;
    }
    return 0;
}

static const struct node_ops parents_ops = {
    .kind = "parents",
    .getattr = parents_getattr,
    .lookup = parents_lookup,
    .readdir = parents_readdir,
};

static void parents_init(struct node *node, const void *arg)
{
    struct node *parent = *(struct node *const *)arg;

    node->parent = parent;
    ((struct parents *)node)->commit = menu_node_ctx(parent);
}

static int open_parents(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    *ret = node_intern(dir->table, &parents_ops, sizeof(struct parents), &dir, sizeof(dir), ino,
                       parents_init, &dir);
    return 0;
}

static const struct menu_item commit_items[] = {
    {"message", S_IFREG, false, NULL, open_message},
    {"author", S_IFREG, false, NULL, open_author},
    {"committer", S_IFREG, false, NULL, open_committer},
    {"date", S_IFREG, false, NULL, open_date},
    {"parents", S_IFDIR, false, NULL, open_parents},
    {"tree", S_IFLNK, false, NULL, open_tree},
    {"changes", S_IFREG, false, NULL, open_changes},
    {"patch", S_IFREG, false, NULL, open_patch},
    {"trailers", S_IFREG, false, NULL, open_trailers},
    {"sites", S_IFREG, false, NULL, open_sites},
};

static const struct menu commit_menu = {
    .kind = "commit",
    .items = commit_items,
    .n = ARRAY_SIZE(commit_items),
    .mode = 0555,
    .mtime = commit_mtime,
    .free_ctx = commit_free,
};

static int commits_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct view *v = ((struct view_dir *)dir)->view;
    struct oid oid;
    struct revision *rev;
    int r = oid_parse(name, &oid) < 0 ? -ENOENT : revision_load(v->config.repo, &oid, &rev);

    if (r < 0)
        return r;
    struct commit_ctx *c = NEW(struct commit_ctx);
    *c = (struct commit_ctx){v, rev};
    *ret = menu_node_get(v->config.table, &commit_menu, name, node_ino(dir->ino, name), c, dir);
    return 0;
}

static int commits_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    return 0;
}

static const struct node_ops commits_ops = {
    .kind = "commits",
    .flags = NODE_SLOW | NODE_ENTRY_FOREVER,
    .getattr = view_dir_getattr,
    .lookup = commits_lookup,
    .readdir = commits_readdir,
};

struct node *commits_node(struct view *v, uint64_t ino)
{
    return view_dir_node(v, &commits_ops, ino);
}
