#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "repo/diff.h"
#include "view/context.h"

/* sites/<site>/ and its migrating/: what the fleet on the board says of one site. Every lookup
 * reads the newest fleet, so links and texts are never older than the last decision. */

struct site_ctx {
    struct view *view;
    char *site;
};

/* The fleet and the site in it; the site is NULL when it is no longer declared. */
struct glance {
    struct fleet *fleet;
    const struct site_status *site;
};

static struct glance glance(const struct site_ctx *c)
{
    struct fleet *fleet = fleet_board_get(c->view->config.board);

    return (struct glance){fleet, fleet_site(fleet, c->site)};
}

static void glance_done(struct glance *g)
{
    fleet_unref(g->fleet);
}

static int64_t site_mtime(void *ctx)
{
    return view_fleet_time(((struct site_ctx *)ctx)->view);
}

static void site_ctx_free(void *ctx)
{
    free(((struct site_ctx *)ctx)->site);
    free(ctx);
}

/* The revisions that a site's links name. */
enum which { DESIRED, DEPLOYED, PREVIOUS, FROM, TO };

static struct oid revision_of(const struct site_status *s, enum which which)
{
    const struct oid *all[] = {
        [DESIRED] = &s->desired,
        [DEPLOYED] = &s->deployed,
        [PREVIOUS] = &s->previous,
        [FROM] = &s->from,
        [TO] = &s->to,
    };

    return *all[which];
}

static const char *source_of(const struct site_status *s, enum which which)
{
    /* While it soaks, where it comes from is what ran before. */
    if (which == FROM)
        which = oid_equal(&s->from, &s->deployed) ? DEPLOYED : PREVIOUS;
    if (which == PREVIOUS)
        return s->previous_source;
    return which == DEPLOYED ? s->deployed_source : s->source;
}

static bool has_revision(const struct site_ctx *c, enum which which)
{
    _cleanup_(glance_done) struct glance g = glance(c);

    if (!g.site)
        return false;
    struct oid oid = revision_of(g.site, which);
    return !oid_is_zero(&oid);
}

static int open_link(const struct site_ctx *c, enum which which, const char *up, uint64_t ino,
                     struct node **ret)
{
    _cleanup_(glance_done) struct glance g = glance(c);

    if (!g.site)
        return -ENOENT;
    struct oid oid = revision_of(g.site, which);
    if (oid_is_zero(&oid))
        return -ENOENT;
    *ret = link_node_new(c->view->config.table, ino,
                         view_target(up, &oid, source_of(g.site, which)), g.fleet->at);
    return 0;
}

#define SITE_LINK(name, which, up)                                                                 \
    static bool has_##name(void *ctx)                                                              \
    {                                                                                              \
        return has_revision(ctx, which);                                                           \
    }                                                                                              \
    static int open_##name(void *ctx, struct node *dir, uint64_t ino, struct node **ret)           \
    {                                                                                              \
        return open_link(ctx, which, up, ino, ret);                                                \
    }
SITE_LINK(desired, DESIRED, "../../")
SITE_LINK(deployed, DEPLOYED, "../../")
SITE_LINK(previous, PREVIOUS, "../../")
SITE_LINK(from, FROM, "../../../")
SITE_LINK(to, TO, "../../../")

static int open_status(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct site_ctx *c = ctx;
    _cleanup_(glance_done) struct glance g = glance(c);
    struct buf text = {0};

    if (!g.site)
        return -ENOENT;
    site_status_render(g.site, &text);
    *ret = text_node_new(c->view->config.table, ino, &text, g.fleet->at);
    return 0;
}

static int open_status_json(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct site_ctx *c = ctx;
    _cleanup_(glance_done) struct glance g = glance(c);
    struct buf text = {0};

    if (!g.site)
        return -ENOENT;
    json_t *j = site_status_json(g.site);
    json_write(j, 1, &text);
    json_decref(j);
    buf_addc(&text, '\n');
    *ret = text_node_new(c->view->config.table, ino, &text, g.fleet->at);
    return 0;
}

static bool is_migrating(void *ctx)
{
    _cleanup_(glance_done) struct glance g = glance(ctx);

    return g.site && g.site->state == SITE_MIGRATING;
}

static int open_migrating(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct site_ctx *c = ctx;

    *ret = migrating_node(c->view, dir, c->site, ino);
    return 0;
}

static int open_history(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct site_ctx *c = ctx;

    *ret = generations_node(c->view, dir, c->site, ino);
    return 0;
}

static bool has_drifted(void *ctx)
{
    _cleanup_(glance_done) struct glance g = glance(ctx);

    return g.site && g.site->drifted_at;
}

/* What differs from what is deployed: what the backend told of it, or at least its one line. */
static int open_drift(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct site_ctx *c = ctx;
    _cleanup_(glance_done) struct glance g = glance(c);
    _cleanup_(buf_done) struct buf text = {0};

    if (!g.site || !g.site->drifted_at)
        return -ENOENT;
    int r = view_add_blob(c->view, &g.site->drift_log, &text);
    if (r < 0)
        return r;
    if (!text.len && g.site->message)
        buf_addf(&text, "%s\n", g.site->message);
    *ret = text_node_new(c->view->config.table, ino, &text, g.site->drifted_at);
    return 0;
}

static int tree_of(struct view *v, const struct oid *revision, struct oid *ret)
{
    struct revision_brief brief = {0};
    int r = oid_is_zero(revision) ? 0 : revision_brief(v->config.repo, revision, &brief);

    *ret = brief.tree;
    return r;
}

/* The change of the site's inputs between two of its revisions, as a patch: of the directory that
 * it comes from, of the one that it goes to, and of what it includes. */
static int open_patch(const struct site_ctx *c, const enum which between[2], uint64_t ino,
                      struct node **ret)
{
    _cleanup_(glance_done) struct glance g = glance(c);
    _cleanup_(buf_done) struct buf text = {0};
    VEC(const char *) paths = {0};
    struct oid trees[2];
    bool all = false;
    int r = g.site ? 0 : -ENOENT;

    for (int i = 0; i < 2 && r == 0; i++) {
        struct oid revision = revision_of(g.site, between[i]);
        const char *source = source_of(g.site, between[i]);
        r = tree_of(c->view, &revision, &trees[i]);
        all |= source && !strcmp(source, ".");
        if (source)
            *VEC_ADD(&paths) = source;
    }
    if (r == 0 && !oid_equal(&trees[0], &trees[1])) {
        vec_foreach (path, &g.site->include)
            *VEC_ADD(&paths) = *path;
        r = diff_patch(c->view->config.repo, &trees[0], &trees[1], paths.v, all ? 0 : paths.n,
                       VIEW_PATCH_MOST, &text);
    }
    free(paths.v);
    if (r == 0)
        *ret = text_node_new(c->view->config.table, ino, &text, g.fleet->at);
    return r;
}

/* What a deployment would change now. */
static int open_plan(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    return open_patch(ctx, (enum which[]){DEPLOYED, DESIRED}, ino, ret);
}

static bool has_ledger(void *ctx)
{
    return ((struct site_ctx *)ctx)->view->config.ledger;
}

static bool has_blame(void *ctx)
{
    return ((struct site_ctx *)ctx)->view->config.history && has_deployed(ctx);
}

static int open_blame(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct site_ctx *c = ctx;
    _cleanup_(glance_done) struct glance g = glance(c);

    if (!g.site)
        return -ENOENT;
    return blame_node(c->view, &g.site->deployed, g.site->deployed_source, ino, ret);
}

static const struct menu_item site_items[] = {
    {"desired", S_IFLNK, false, has_desired, open_desired},
    {"deployed", S_IFLNK, false, has_deployed, open_deployed},
    {"previous", S_IFLNK, false, has_previous, open_previous},
    {"migrating", S_IFDIR, false, is_migrating, open_migrating},
    {"status", S_IFREG, false, NULL, open_status},
    {"status.json", S_IFREG, false, NULL, open_status_json},
    {"plan", S_IFREG, false, has_desired, open_plan},
    {"drift", S_IFREG, false, has_drifted, open_drift},
    {"blame", S_IFREG, false, has_blame, open_blame},
    {"history", S_IFDIR, false, has_ledger, open_history},
};

static const struct menu site_menu = {
    .kind = "site",
    .items = site_items,
    .n = ARRAY_SIZE(site_items),
    .mode = 0555,
    .mtime = site_mtime,
    .free_ctx = site_ctx_free,
};

static struct node *menu_of(struct view *v, const struct menu *menu, struct node *parent,
                            const char *site, uint64_t ino)
{
    struct site_ctx *c = NEW(struct site_ctx);

    *c = (struct site_ctx){v, xstrdup(site)};
    return menu_node_get(v->config.table, menu, site, ino, c, parent);
}

struct node *site_node(struct view *v, struct node *parent, const char *site, uint64_t ino)
{
    return menu_of(v, &site_menu, parent, site, ino);
}

/* One line of text out of a site's status, if it is migrating. */
static int open_line(const struct site_ctx *c, uint64_t ino,
                     bool (*write)(const struct site_status *s, struct buf *out), struct node **ret)
{
    _cleanup_(glance_done) struct glance g = glance(c);
    struct buf text = {0};

    if (!g.site || g.site->state != SITE_MIGRATING || !write(g.site, &text))
        return -ENOENT;
    buf_addc(&text, '\n');
    *ret = text_node_new(c->view->config.table, ino, &text, g.fleet->at);
    return 0;
}

static bool write_step(const struct site_status *s, struct buf *out)
{
    buf_adds(out, s->step ? s->step : "apply");
    return true;
}

static bool write_attempt(const struct site_status *s, struct buf *out)
{
    buf_addf(out, "%d", s->attempt);
    return true;
}

static bool write_time(int64_t at, struct buf *out)
{
    char text[CLOCK_TEXT];

    if (!at)
        return false;
    buf_adds(out, clock_format(at, text));
    return true;
}

static bool write_since(const struct site_status *s, struct buf *out)
{
    return write_time(s->since, out);
}

static bool write_deadline(const struct site_status *s, struct buf *out)
{
    return write_time(s->deadline, out);
}

static bool has_deadline(void *ctx)
{
    _cleanup_(glance_done) struct glance g = glance(ctx);

    return g.site && g.site->deadline;
}

#define MIGRATING_LINE(name)                                                                       \
    static int open_##name(void *ctx, struct node *dir, uint64_t ino, struct node **ret)           \
    {                                                                                              \
        return open_line(ctx, ino, write_##name, ret);                                             \
    }
MIGRATING_LINE(step)
MIGRATING_LINE(attempt)
MIGRATING_LINE(since)
MIGRATING_LINE(deadline)

/* The change that is on its way. */
static int open_diff(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    return is_migrating(ctx) ? open_patch(ctx, (enum which[]){FROM, TO}, ino, ret) : -ENOENT;
}

static const struct menu_item migrating_items[] = {
    {"from", S_IFLNK, false, has_from, open_from},
    {"to", S_IFLNK, false, has_to, open_to},
    {"diff", S_IFREG, false, NULL, open_diff},
    {"step", S_IFREG, false, NULL, open_step},
    {"attempt", S_IFREG, false, NULL, open_attempt},
    {"since", S_IFREG, false, NULL, open_since},
    {"deadline", S_IFREG, false, has_deadline, open_deadline},
};

static const struct menu migrating_menu = {
    .kind = "migrating",
    .items = migrating_items,
    .n = ARRAY_SIZE(migrating_items),
    .mode = 0555,
    .mtime = site_mtime,
    .free_ctx = site_ctx_free,
};

struct node *migrating_node(struct view *v, struct node *parent, const char *site, uint64_t ino)
{
    return menu_of(v, &migrating_menu, parent, site, ino);
}
