#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "view/context.h"

/* sites/<site>/history/: a directory for each generation of the site, out of the ledger. The newest
 * record of a generation is its outcome so far. */

#define HISTORY_UP "../../../../" /* from history/<generation>/ to the root */

struct generations {
    struct node node;
    struct view *view;
    char *site;
};

struct generation_ctx {
    struct view *view;
    char *site;
    uint64_t generation;
};

static int generations_getattr(struct node *node, struct stat *st)
{
    struct timespec t = clock_timespec(view_fleet_time(((struct generations *)node)->view));

    st->st_mode = S_IFDIR | 0555;
    st->st_mtim = t;
    return 0;
}

struct listing {
    struct node *dir;
    struct dir_sink *sink;
};

static int list_generation(uint64_t generation, void *arg)
{
    struct listing *l = arg;
    char name[24];

    snprintf(name, sizeof(name), "%" PRIu64, generation);
    return l->sink->add(l->sink, name, S_IFDIR, node_ino(l->dir->ino, name), generation, false);
}

/* Oldest first: a new generation comes last and moves nothing. */
static int generations_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct generations *g = (struct generations *)dir;
    struct listing listing = {dir, sink};

    return ledger_generations(g->view->config.ledger, g->site, cookie, list_generation, &listing);
}

/* The outcome of one generation. */
struct find {
    bool found;
    struct oid record, from, to, log;
    int64_t at;
};

static int find_generation(const struct record *r, void *arg)
{
    struct find *f = arg;

    if (!f->found) {
        f->found = true;
        f->record = r->oid;
        f->from = r->from;
        f->to = r->to;
        f->at = r->at;
    }
    if (oid_is_zero(&f->log))
        f->log = r->log;
    return 0;
}

static int find_outcome(const struct generation_ctx *c, struct find *ret)
{
    *ret = (struct find){0};
    return ledger_generation(c->view->config.ledger, c->site, c->generation, find_generation, ret);
}

static int open_revision(struct generation_ctx *c, bool from, uint64_t ino, struct node **ret)
{
    struct find f;
    int r = find_outcome(c, &f);

    if (r < 0)
        return r;
    const struct oid *oid = from ? &f.from : &f.to;
    if (oid_is_zero(oid))
        return -ENOENT;
    *ret = link_node_new(c->view->config.table, ino, view_target(HISTORY_UP, oid, NULL), f.at);
    return 0;
}

static int open_to(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    return open_revision(ctx, false, ino, ret);
}

static int open_from(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    return open_revision(ctx, true, ino, ret);
}

static bool has_from(void *ctx)
{
    struct find f;

    return find_outcome(ctx, &f) == 0 && !oid_is_zero(&f.from);
}

int view_add_blob(struct view *v, const struct oid *oid, struct buf *out)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    int r = oid_is_zero(oid) ? 0 : blob_load(v->config.repo, oid, &blob);

    if (blob)
        buf_add(out, blob->data, blob->size);
    return r == -ENOENT ? -EIO : r;
}

int view_add_record(struct view *v, const struct record *r, struct buf *out)
{
    int err = view_add_blob(v, &r->oid, out);

    if (err == 0 && out->len && out->data[out->len - 1] != '\n')
        buf_addc(out, '\n');
    return err;
}

static int open_blob(struct generation_ctx *c, const struct oid *oid, int64_t at, uint64_t ino,
                     struct node **ret)
{
    struct buf text = {0};
    int r = view_add_blob(c->view, oid, &text);

    if (r == 0)
        *ret = text_node_new(c->view->config.table, ino, &text, at);
    return r;
}

static int open_record(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct find f;
    int r = find_outcome(ctx, &f);

    return r < 0 ? r : open_blob(ctx, &f.record, f.at, ino, ret);
}

struct collect {
    struct view *view;
    struct buf text;
    int64_t at; /* of the newest */
};

static int collect_record(const struct record *r, void *arg)
{
    struct collect *c = arg;

    if (!c->at)
        c->at = r->at;
    return view_add_record(c->view, r, &c->text);
}

static int open_records(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    const struct generation_ctx *g = ctx;
    struct collect c = {.view = g->view};
    int r = ledger_generation(g->view->config.ledger, g->site, g->generation, collect_record, &c);

    if (r == 0)
        *ret = text_node_new(g->view->config.table, ino, &c.text, c.at);
    buf_done(&c.text);
    return r;
}

static int open_log(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct find f;
    int r = find_outcome(ctx, &f);

    return r < 0 ? r : open_blob(ctx, &f.log, f.at, ino, ret);
}

static const struct menu_item generation_items[] = {
    {"revision", S_IFLNK, false, NULL, open_to},
    {"from", S_IFLNK, false, has_from, open_from},
    {"record.json", S_IFREG, false, NULL, open_record},
    {"records", S_IFREG, false, NULL, open_records},
    {"log", S_IFREG, false, NULL, open_log},
};

static int64_t generation_mtime(void *ctx)
{
    return view_fleet_time(((struct generation_ctx *)ctx)->view);
}

static void generation_free(void *ctx)
{
    free(((struct generation_ctx *)ctx)->site);
    free(ctx);
}

static const struct menu generation_menu = {
    .kind = "generation",
    .items = generation_items,
    .n = ARRAY_SIZE(generation_items),
    .mode = 0555,
    .mtime = generation_mtime,
    .free_ctx = generation_free,
};

static int generations_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct generations *g = (struct generations *)dir;
    char *end, canonical[24];
    uint64_t number = strtoull(name, &end, 10);

    snprintf(canonical, sizeof(canonical), "%" PRIu64, number);
    if (strcmp(name, canonical) || !number) /* records before the first deployment have 0 */
        return -ENOENT;
    struct generation_ctx *c = NEW(struct generation_ctx);
    *c = (struct generation_ctx){g->view, xstrdup(g->site), number};
    struct find f;
    int r = find_outcome(c, &f);
    if (r < 0) {
        generation_free(c);
        return r;
    }
    _cleanup_free_ char *key = xasprintf("%s/%s", g->site, name);
    *ret = menu_node_get(g->view->config.table, &generation_menu, key, node_ino(dir->ino, name), c,
                         dir);
    return 0;
}

static void generations_free(struct node *node)
{
    free(((struct generations *)node)->site);
}

static const struct node_ops generations_ops = {
    .kind = "generations",
    .flags = NODE_SLOW,
    .getattr = generations_getattr,
    .lookup = generations_lookup,
    .readdir = generations_readdir,
    .free = generations_free,
};

struct generations_args {
    struct view *view;
    const char *site;
    struct node *parent;
};

static void generations_init(struct node *node, const void *arg)
{
    const struct generations_args *args = arg;
    struct generations *g = (struct generations *)node;

    g->view = args->view;
    g->site = xstrdup(args->site);
    node->parent = args->parent;
}

struct node *generations_node(struct view *v, struct node *parent, const char *site, uint64_t ino)
{
    struct generations_args args = {v, site, parent};

    return node_intern(v->config.table, &generations_ops, sizeof(struct generations), site,
                       strlen(site), ino, generations_init, &args);
}
