#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "view/context.h"

/* sites/, and teams/ with the same sites by team. Both follow the fleet on its board. */

struct fleet_dir {
    struct node node;
    struct view *view;
    char *team; /* of a directory in teams/; NULL otherwise */
};

static int fleet_dir_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFDIR | 0555;
    st->st_mtim = clock_timespec(view_fleet_time(((struct fleet_dir *)node)->view));
    return 0;
}

static int sites_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct view *v = ((struct fleet_dir *)dir)->view;
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_get(v->config.board);

    if (!fleet_site(fleet, name))
        return -ENOENT;
    *ret = site_node(v, dir, name, node_ino(dir->ino, name));
    return 0;
}

static int sites_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct view *v = ((struct fleet_dir *)dir)->view;
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_get(v->config.board);
    _cleanup_(names_done) struct names names = {0};

    vec_foreach (s, &fleet->sites)
        names_add(&names, (*s)->name, S_IFDIR);
    names_emit(&names, dir, cookie, sink);
    return 0;
}

static struct node *team_node(struct view *v, const char *team, uint64_t ino);

static int teams_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct view *v = ((struct fleet_dir *)dir)->view;
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_get(v->config.board);

    vec_foreach (s, &fleet->sites)
        if (!strcmp((*s)->team, name)) {
            *ret = team_node(v, name, node_ino(dir->ino, name));
            return 0;
        }
    return -ENOENT;
}

static int teams_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct view *v = ((struct fleet_dir *)dir)->view;
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_get(v->config.board);
    _cleanup_(names_done) struct names names = {0};

    vec_foreach (s, &fleet->sites)
        names_add(&names, (*s)->team, S_IFDIR);
    names_emit(&names, dir, cookie, sink);
    return 0;
}

static int team_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct fleet_dir *d = (struct fleet_dir *)dir;
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_get(d->view->config.board);
    const struct site_status *s = fleet_site(fleet, name);

    if (!s || strcmp(s->team, d->team))
        return -ENOENT;
    *ret = link_node_new(d->view->config.table, node_ino(dir->ino, name),
                         xasprintf("../../sites/%s", name), fleet->at);
    return 0;
}

static int team_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct fleet_dir *d = (struct fleet_dir *)dir;
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_get(d->view->config.board);
    _cleanup_(names_done) struct names names = {0};

    vec_foreach (s, &fleet->sites)
        if (!strcmp((*s)->team, d->team))
            names_add(&names, (*s)->name, S_IFLNK);
    names_emit(&names, dir, cookie, sink);
    return 0;
}

static void fleet_dir_free(struct node *node)
{
    free(((struct fleet_dir *)node)->team);
}

/* Slow, because the first one waits for the first decision. */
#define FLEET_DIR_OPS(name, what, entry)                                                           \
    static const struct node_ops what##_ops = {                                                    \
        .kind = name,                                                                              \
        .flags = NODE_SLOW | (entry),                                                              \
        .getattr = fleet_dir_getattr,                                                              \
        .lookup = what##_lookup,                                                                   \
        .readdir = what##_readdir,                                                                 \
        .free = fleet_dir_free,                                                                    \
    }
FLEET_DIR_OPS("sites", sites, NODE_ENTRY_FOREVER);
FLEET_DIR_OPS("teams", teams, NODE_ENTRY_FOREVER);
FLEET_DIR_OPS("team", team, 0); /* comes and goes */

struct fleet_dir_args {
    struct view *view;
    const char *team;
};

static void fleet_dir_init(struct node *node, const void *arg)
{
    const struct fleet_dir_args *args = arg;
    struct fleet_dir *d = (struct fleet_dir *)node;

    d->view = args->view;
    d->team = xstrdup_or_null(args->team);
}

static struct node *fleet_dir_node(struct view *v, const struct node_ops *ops, const char *team,
                                   uint64_t ino)
{
    struct fleet_dir_args args = {v, team};
    const char *key = team ? team : ops->kind;

    return node_intern(v->config.table, ops, sizeof(struct fleet_dir), key, strlen(key), ino,
                       fleet_dir_init, &args);
}

struct node *sites_node(struct view *v, uint64_t ino)
{
    return fleet_dir_node(v, &sites_ops, NULL, ino);
}

struct node *teams_node(struct view *v, uint64_t ino)
{
    return fleet_dir_node(v, &teams_ops, NULL, ino);
}

static struct node *team_node(struct view *v, const char *team, uint64_t ino)
{
    return fleet_dir_node(v, &team_ops, team, ino);
}
