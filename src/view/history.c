#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "view/context.h"

/* history/<path>/: a directory for every path that ever was on the mainline, out of the history
 * index. It holds the directories of the names that ever were below the path, and a link for each
 * version of the path itself: each change of it, named NNNN-YYYY-MM-DD-<abbrev>.
 *
 * A node is keyed by its path, and asks for the path's id with each request: ids are good only
 * until the index is made anew. Nothing is listed from memory. Cookies say where to go on: a
 * child's is its path id, a version's is VERSIONS + the place of its revision on the mainline. */

#define VERSIONS (UINT64_C(1) << 32) /* above all path ids */
#define ABBREV   12

/* Room for the name of a version: a number, a date, an id. */
#define VERSION_NAME (10 + 1 + CLOCK_TEXT + 1 + ABBREV + 1)

struct history_dir {
    struct node node; /* key: the path with its NUL */
    struct view *view;
};

static const char *path_of(const struct node *dir)
{
    return dir->key;
}

static struct history_index *index_of(const struct node *dir)
{
    return ((const struct history_dir *)dir)->view->config.history;
}

static int history_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFDIR | 0555;
    st->st_mtim = clock_timespec(view_refs_time(((struct history_dir *)node)->view));
    return 0;
}

/* The directory's id in an index that holds the newest revision. */
static int find_self(const struct node *dir, path_id *ret)
{
    int r = view_index_wait(((const struct history_dir *)dir)->view, VIEW_INDEX_WAIT);

    return r < 0 ? r : history_index_path(index_of(dir), path_of(dir), ret);
}

static char *version_name(uint32_t number, const struct history_revision *rev,
                          char out[VERSION_NAME])
{
    char when[CLOCK_TEXT], hex[OID_HEX + 1];

    snprintf(out, VERSION_NAME, "%04" PRIu32 "-%.10s-%.*s", number,
             clock_format(clock_from_seconds(rev->time), when), ABBREV, oid_hex(&rev->oid, hex));
    return out;
}

/* The revision that made the version `name`: found by its abbreviated id, and right if it gives
 * that very name. */
static int find_version(struct history_index *ix, path_id path, const char *name,
                        struct history_revision *ret)
{
    const char *dash = strrchr(name, '-'), *abbrev = dash ? dash + 1 : "";
    struct history_change change;
    char real[VERSION_NAME];

    if (strlen(abbrev) != ABBREV || strspn(abbrev, "0123456789abcdef") != ABBREV)
        return -ENOENT;
    int r = history_index_find_abbrev(ix, abbrev, ret);
    if (r == 0)
        r = history_index_last_change(ix, path, ret->pos, &change);
    if (r < 0)
        return r;
    bool same = change.pos == ret->pos && !strcmp(name, version_name(change.number, ret, real));
    return same ? 0 : -ENOENT;
}

/* A link from the directory of `path` to the path in that revision. */
static struct node *version_node(const struct node *dir, const char *name,
                                 const struct history_revision *rev)
{
    _cleanup_(buf_done) struct buf up = {0};

    buf_adds(&up, "../../");
    for (const char *p = path_of(dir); *p; p++)
        if (*p == '/')
            buf_adds(&up, "../");
    return link_node_new(dir->table, node_ino(dir->ino, name),
                         view_target(buf_str(&up), &rev->oid, path_of(dir)),
                         clock_from_seconds(rev->time));
}

static struct node *child_node(struct node *dir, const char *name);

static int history_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct history_index *ix = index_of(dir);
    struct history_revision rev;
    path_id self, child;
    int r = find_self(dir, &self);

    if (r < 0)
        return r;
    r = history_index_child(ix, self, name, &child);
    if (r == 0) {
        *ret = child_node(dir, name);
        return 0;
    }
    if (r != -ENOENT || self == PATH_ROOT)
        return r;
    r = find_version(ix, self, name, &rev);
    if (r == 0)
        *ret = version_node(dir, name, &rev);
    return r;
}

struct history_list {
    const struct node *dir;
    struct dir_sink *sink;
    path_id self;
    bool has_children;
};

static int list_child(path_id id, const char *name, void *arg)
{
    struct history_list *l = arg;

    return l->sink->add(l->sink, name, S_IFDIR, node_ino(l->dir->ino, name), id, false) ? 1 : 0;
}

static int stop(path_id id, const char *name, void *arg)
{
    return 1;
}

static int list_version(const struct history_change *change, void *arg)
{
    struct history_list *l = arg;
    struct history_index *ix = index_of(l->dir);
    struct history_revision rev;
    char name[VERSION_NAME];
    path_id child;
    int r = history_index_at(ix, change->pos, &rev);

    if (r < 0)
        return r;
    version_name(change->number, &rev, name);
    if (l->has_children && history_index_child(ix, l->self, name, &child) == 0)
        return 0;
    return l->sink->add(l->sink, name, S_IFLNK, node_ino(l->dir->ino, name), VERSIONS + change->pos,
                        false)
               ? 1
               : 0;
}

static int history_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct history_index *ix = index_of(dir);
    struct history_list l = {.dir = dir, .sink = sink};
    int r = find_self(dir, &l.self);

    if (r == 0 && cookie < VERSIONS)
        r = history_index_children(ix, l.self, cookie, list_child, &l);
    if (r == 0 && l.self != PATH_ROOT) {
        r = history_index_children(ix, l.self, PATH_ROOT, stop, NULL);
        l.has_children = r == 1;
        if (r >= 0)
            r = history_index_changes(ix, l.self, cookie < VERSIONS ? 0 : cookie - VERSIONS + 1,
                                      list_version, &l);
    }
    return r < 0 && r != -ENOENT ? r : 0;
}

static const struct node_ops history_ops = {
    .kind = "history",
    .flags = NODE_SLOW,
    .getattr = history_getattr,
    .lookup = history_lookup,
    .readdir = history_readdir,
};

/* The root of these directories is always there. */
static const struct node_ops history_root_ops = {
    .kind = "history-root",
    .flags = NODE_SLOW | NODE_ENTRY_FOREVER,
    .getattr = history_getattr,
    .lookup = history_lookup,
    .readdir = history_readdir,
};

struct history_args {
    struct view *view;
    struct node *parent;
};

static void history_init(struct node *node, const void *arg)
{
    const struct history_args *args = arg;

    ((struct history_dir *)node)->view = args->view;
    node->parent = args->parent;
}

static struct node *child_node(struct node *dir, const char *name)
{
    struct history_args args = {((struct history_dir *)dir)->view, dir};
    const char *path = path_of(dir);
    _cleanup_free_ char *key = xasprintf("%s%s%s", path, *path ? "/" : "", name);

    return node_intern(dir->table, &history_ops, sizeof(struct history_dir), key, strlen(key) + 1,
                       node_ino(dir->ino, name), history_init, &args);
}

struct node *history_node(struct view *v, uint64_t ino)
{
    struct history_args args = {v, NULL};

    return node_intern(v->config.table, &history_root_ops, sizeof(struct history_dir), "", 1, ino,
                       history_init, &args);
}
