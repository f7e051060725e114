#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "tree/table.h"
#include "view/context.h"

/* The tree of one revision: directories, files, symlinks and submodules that never change.
 *
 * A directory has one node for each path (key: its parent and its name). Files and symlinks are
 * keyed by what they are, (object, revision, kind), so that equal files of a revision are one inode
 * and are cached once; the revision is in the key because mtime and `user.git.revision` come from
 * it.
 *
 * Which revision that is: the one that is looked at; or, with mtime=change, the one that last
 * changed the path on the mainline, so that what did not change between two revisions is one file.
 * A revision has a place there, its own or that of its newest first-parent ancestor on the
 * mainline; an entry that is there as it was at that place has the revision of its last change, any
 * other that of its tree.
 *
 * There are many of these nodes, so they hold no byte twice: what a key says is read from the key.
 */

/* Since the first look at a revision: how long for all of them together the index is waited for. */
#define INDEX_PATIENCE (60 * NS_PER_SEC)

#define PATH_NEVER UINT32_MAX /* a path that never was on the mainline, or nobody wants to know */

struct snap_dir {
    struct node node; /* key: its parent, its name (of a root: NULL, the revision) */
    struct view *view;
    struct oid revision, tree;
    int64_t time, mtime; /* seconds, of the revision and of the directory */
    bool by_change;
    struct place {
        path_id path;
        uint32_t pos;
        uint32_t epoch; /* of the index when this was found; another one's say nothing */
    } place;            /* guarded by view->places; not used unless by_change */
};

struct snap_file {
    struct node node; /* key: struct file_key */
    struct view *view;
    int64_t time; /* seconds */
    int64_t size; /* -1: not known yet */
};

struct file_key {
    struct oid oid, revision;
    unsigned char kind; /* enum entry_kind */
};

struct snap_module {
    struct node node;
    struct oid revision, oid;
    int64_t time;
};

static const char *const snap_xattrs[] = {"user.git.revision", "user.git.oid", NULL};

static int get_xattr(const char *name, const struct oid *revision, const struct oid *oid,
                     char **ret)
{
    char hex[OID_HEX + 1];

    if (!strcmp(name, snap_xattrs[0]))
        *ret = xstrdup(oid_hex(revision, hex));
    else if (!strcmp(name, snap_xattrs[1]))
        *ret = xstrdup(oid_hex(oid, hex));
    else
        return -ENODATA;
    return 0;
}

static const mode_t kind_mode[] = {
    [ENTRY_FILE] = S_IFREG | 0444, [ENTRY_EXEC] = S_IFREG | 0555,   [ENTRY_LINK] = S_IFLNK | 0777,
    [ENTRY_DIR] = S_IFDIR | 0555,  [ENTRY_MODULE] = S_IFDIR | 0555,
};

static const struct file_key *key_of(const struct node *file)
{
    return file->key;
}

static int file_size(struct snap_file *f, int64_t *ret)
{
    int64_t size = __atomic_load_n(&f->size, __ATOMIC_RELAXED);

    if (size < 0) {
        uint64_t n;
        int r = blob_size(f->view->config.repo, &key_of(&f->node)->oid, &n);
        if (r < 0)
            return r == -ENOENT ? -EIO : r;
        size = n;
        __atomic_store_n(&f->size, size, __ATOMIC_RELAXED);
    }
    *ret = size;
    return 0;
}

static int file_getattr(struct node *node, struct stat *st)
{
    struct snap_file *f = (struct snap_file *)node;
    int64_t size;
    int r = file_size(f, &size);

    if (r < 0)
        return r;
    st->st_mode = kind_mode[key_of(node)->kind];
    st->st_size = size;
    st->st_mtim.tv_sec = f->time;
    return 0;
}

static ssize_t file_read(struct node *node, void *buf, size_t size, off_t off)
{
    struct snap_file *f = (struct snap_file *)node;
    ssize_t n = off < 0 ? 0 : blob_read(f->view->config.repo, &key_of(node)->oid, buf, size, off);

    return n == -ENOENT ? -EIO : n;
}

static int link_read(struct node *node, char **ret)
{
    struct snap_file *f = (struct snap_file *)node;

    return blob_target(f->view->config.repo, &key_of(node)->oid, ret);
}

static int file_getxattr(struct node *node, const char *name, char **ret)
{
    return get_xattr(name, &key_of(node)->revision, &key_of(node)->oid, ret);
}

static int module_getattr(struct node *node, struct stat *st)
{
    st->st_mode = kind_mode[ENTRY_MODULE];
    st->st_mtim.tv_sec = ((struct snap_module *)node)->time;
    return 0;
}

static int module_getxattr(struct node *node, const char *name, char **ret)
{
    struct snap_module *m = (struct snap_module *)node;

    return get_xattr(name, &m->revision, &m->oid, ret);
}

static int module_lookup(struct node *dir, const char *name, struct node **ret)
{
    return -ENOENT;
}

static int module_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    return 0;
}

#define FOR_EVER (NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER | NODE_FIXED)

static const struct node_ops file_ops = {
    .kind = "revision-file",
    .flags = FOR_EVER | NODE_PREFETCH,
    .getattr = file_getattr,
    .read = file_read,
    .getxattr = file_getxattr,
    .xattrs = snap_xattrs,
};

static const struct node_ops link_ops = {
    .kind = "revision-link",
    .flags = FOR_EVER,
    .getattr = file_getattr,
    .readlink = link_read,
};

static const struct node_ops module_ops = {
    .kind = "revision-module",
    .flags = FOR_EVER,
    .getattr = module_getattr,
    .lookup = module_lookup,
    .readdir = module_readdir,
    .getxattr = module_getxattr,
    .xattrs = snap_xattrs,
};

/* What the history index says of an entry. */
struct origin {
    struct oid revision;
    int64_t time; /* seconds */
    struct place place;
};

/* The newest change of the path up to its place, if it made what is there. */
static void find_change(struct history_index *ix, enum entry_kind kind, const struct oid *oid,
                        struct origin *o)
{
    struct history_change change;
    struct history_revision rev;

    if (o->place.path == PATH_NEVER ||
        history_index_last_change(ix, o->place.path, o->place.pos, &change) < 0 || !change.there ||
        change.kind != kind || !oid_equal(&change.oid, oid) ||
        history_index_at(ix, change.pos, &rev) < 0)
        return;
    o->revision = rev.oid;
    o->time = clock_from_seconds(rev.time) / NS_PER_SEC;
}

static path_id child_path(struct view *v, path_id dir, const char *name)
{
    path_id id;

    if (dir == PATH_NEVER || history_index_child(v->config.history, dir, name, &id) < 0)
        return PATH_NEVER;
    return id;
}

/* What is left of the patience with an index that is being made. */
static int64_t patience(struct view *v)
{
    int64_t now = clock_mono(), end;

    pthread_mutex_lock(&v->places);
    if (!v->patience_ends)
        v->patience_ends = now + INDEX_PATIENCE;
    end = v->patience_ends;
    pthread_mutex_unlock(&v->places);
    return end > now ? end - now : 0;
}

/* The place of a revision's root. One that could not be found in time has an epoch that is over. */
static struct place root_place(struct view *v, const struct oid *revision, int64_t timeout)
{
    struct place place = {PATH_ROOT, 0, history_index_epoch(v->config.history)};
    int r = view_anchor(v, revision, timeout, &place.pos);

    if (r < 0)
        place.path = PATH_NEVER;
    if (r < 0 && r != -ENOENT) {
        place.epoch--;
        if (timeout && !__atomic_exchange_n(&v->said_late, true, __ATOMIC_RELAXED))
            log_warn("mtime-of-revision",
                     "reason=\"the history index is not there: %s\" consequence=\"files have the "
                     "time of the revision, not of their last change\"",
                     strerror(-r));
    }
    return place;
}

static struct place place_of(struct snap_dir *d);

/* From that of its parent on. */
static struct place find_place(struct snap_dir *d)
{
    const struct node *node = &d->node;
    size_t skip = sizeof(node->parent);

    if (!node->parent)
        return root_place(d->view, &d->revision, 0);
    _cleanup_free_ char *name = xstrndup((const char *)node->key + skip, node->key_len - skip);
    struct place place = place_of((struct snap_dir *)node->parent);
    place.path = child_path(d->view, place.path, name);
    return place;
}

/* Looks again when the index was made anew or has another line. */
static struct place place_of(struct snap_dir *d)
{
    struct view *v = d->view;

    if (!d->by_change)
        return (struct place){.path = PATH_NEVER};
    uint32_t epoch = history_index_epoch(v->config.history);
    pthread_mutex_lock(&v->places);
    struct place place = d->place;
    pthread_mutex_unlock(&v->places);
    if (place.epoch == epoch)
        return place;
    place = find_place(d);
    pthread_mutex_lock(&v->places);
    d->place = place;
    pthread_mutex_unlock(&v->places);
    return place;
}

static struct origin origin_of(struct snap_dir *d, const struct tree_entry *e)
{
    struct origin o = {d->revision, d->time, place_of(d)};

    o.place.path = child_path(d->view, o.place.path, e->name);
    find_change(d->view->config.history, e->kind, &e->oid, &o);
    return o;
}

struct module_args {
    const struct tree_entry *entry;
    struct origin origin;
};

static void module_init(struct node *node, const void *arg)
{
    const struct module_args *args = arg;
    struct snap_module *m = (struct snap_module *)node;

    m->revision = args->origin.revision;
    m->oid = args->entry->oid;
    m->time = args->origin.time;
}

/* A submodule is a directory, and directories are keyed by path. */
static struct node *module_node(struct snap_dir *dir, const struct tree_entry *e)
{
    _cleanup_(buf_done) struct buf key = {0};
    struct module_args args = {e, origin_of(dir, e)};

    buf_add(&key, &dir->node.ino, sizeof(dir->node.ino));
    buf_adds(&key, e->name);
    return node_intern(dir->node.table, &module_ops, sizeof(struct snap_module), key.data, key.len,
                       node_ino(dir->node.ino, e->name), module_init, &args);
}

static uint64_t file_ino(const struct tree_entry *e, const struct oid *revision)
{
    uint64_t ino = hash_bytes(&e->oid, sizeof(e->oid), e->kind + 1);

    ino = hash_bytes(revision, sizeof(*revision), ino);
    return ino > 1 ? ino : ino + 2;
}

struct file_args {
    struct view *view;
    int64_t time;
};

static void file_init(struct node *node, const void *arg)
{
    const struct file_args *args = arg;
    struct snap_file *f = (struct snap_file *)node;

    f->view = args->view;
    f->time = args->time;
    f->size = -1;
}

static struct node *file_node(struct snap_dir *dir, const struct tree_entry *e)
{
    struct origin origin = origin_of(dir, e);
    struct file_key key = {e->oid, origin.revision, e->kind};
    struct file_args args = {dir->view, origin.time};

    return node_intern(dir->node.table, e->kind == ENTRY_LINK ? &link_ops : &file_ops,
                       sizeof(struct snap_file), &key, sizeof(key), file_ino(e, &origin.revision),
                       file_init, &args);
}

static const struct node_ops dir_ops;

/* What a directory is made of; its node is filled from it. */
struct dir_args {
    const struct snap_dir *dir;
    struct node *parent; /* NULL: the root of the revision */
};

static void dir_init(struct node *node, const void *arg)
{
    const struct dir_args *args = arg;
    struct snap_dir *d = (struct snap_dir *)node;
    struct node head = *node;

    *d = *args->dir;
    d->node = head;
    node->parent = args->parent;
}

/* The directory of the entry `e` in `parent`. */
static struct node *dir_node(struct snap_dir *parent, const struct tree_entry *e)
{
    _cleanup_(buf_done) struct buf key = {0};
    struct origin origin = origin_of(parent, e);
    struct snap_dir dir = {
        .view = parent->view,
        .revision = parent->revision,
        .time = parent->time,
        .by_change = parent->by_change,
    };
    struct dir_args args = {&dir, &parent->node};

    dir.tree = e->oid;
    dir.place = origin.place;
    dir.mtime = origin.time;
    buf_add(&key, &args.parent, sizeof(args.parent));
    buf_adds(&key, e->name);
    return node_intern(parent->node.table, &dir_ops, sizeof(dir), key.data, key.len,
                       node_ino(parent->node.ino, e->name), dir_init, &args);
}

static int dir_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFDIR | 0555;
    st->st_mtim.tv_sec = ((struct snap_dir *)node)->mtime;
    return 0;
}

static int dir_load(struct snap_dir *d, struct tree **ret)
{
    int r = tree_load(d->view->config.repo, &d->tree, ret);

    return r == -ENOENT ? -EIO : r;
}

static int dir_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct snap_dir *d = (struct snap_dir *)dir;
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    int r = dir_load(d, &tree);

    if (r < 0)
        return r;
    const struct tree_entry *e = tree_find(tree, name);
    if (!e)
        return -ENOENT;
    *ret = e->kind == ENTRY_DIR      ? dir_node(d, e)
           : e->kind == ENTRY_MODULE ? module_node(d, e)
                                     : file_node(d, e);
    return 0;
}

static uint64_t entry_ino(struct snap_dir *d, const struct tree_entry *e)
{
    if (e->kind == ENTRY_DIR || e->kind == ENTRY_MODULE)
        return node_ino(d->node.ino, e->name);
    struct origin origin = origin_of(d, e);
    return file_ino(e, &origin.revision);
}

static int dir_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct snap_dir *d = (struct snap_dir *)dir;
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    int r = dir_load(d, &tree);

    for (size_t i = cookie; r == 0 && i < tree->n; i++) {
        const struct tree_entry *e = &tree->entries[i];
        if (sink->add(sink, e->name, kind_mode[e->kind] & S_IFMT, entry_ino(d, e), i + 1, true))
            break;
    }
    return r;
}

static int dir_getxattr(struct node *node, const char *name, char **ret)
{
    struct snap_dir *d = (struct snap_dir *)node;

    return get_xattr(name, &d->revision, &d->tree, ret);
}

static const struct node_ops dir_ops = {
    .kind = "revision-dir",
    .flags = FOR_EVER,
    .getattr = dir_getattr,
    .lookup = dir_lookup,
    .readdir = dir_readdir,
    .getxattr = dir_getxattr,
    .xattrs = snap_xattrs,
};

int snapshot_load(struct view *v, const struct oid *revision, struct snapshot *ret)
{
    struct revision_brief brief;
    int r = revision_brief(v->config.repo, revision, &brief);

    if (r < 0)
        return r;
    *ret = (struct snapshot){
        .revision = *revision,
        .tree = brief.tree,
        .time = clock_from_seconds(brief.time) / NS_PER_SEC,
        .by_change = v->config.mtime == VIEW_MTIME_CHANGE && v->config.history,
    };
    return 0;
}

struct node *snapshot_node(struct view *v, const struct snapshot *s, uint64_t ino)
{
    _cleanup_(buf_done) struct buf key = {0};
    struct origin origin = {s->revision, s->time, {.path = PATH_NEVER}};
    struct snap_dir dir = {
        .view = v,
        .revision = s->revision,
        .tree = s->tree,
        .time = s->time,
        .by_change = s->by_change,
    };
    struct dir_args args = {&dir, NULL};

    buf_add(&key, &args.parent, sizeof(args.parent));
    buf_add(&key, &s->revision, sizeof(s->revision));
    struct node *there = node_find(v->config.table, &dir_ops, key.data, key.len);
    if (there)
        return there;
    if (s->by_change)
        origin.place = root_place(v, &s->revision, patience(v));
    find_change(v->config.history, ENTRY_DIR, &s->tree, &origin);
    dir.place = origin.place;
    dir.mtime = origin.time;
    return node_intern(v->config.table, &dir_ops, sizeof(dir), key.data, key.len, ino, dir_init,
                       &args);
}
