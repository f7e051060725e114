#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "view/context.h"

/* The tree of one revision: directories, files, symlinks and submodules that never change.
 *
 * A directory has one node for each path (key: its parent and its name). Files and symlinks are
 * keyed by what they are, (object, kind, revision), so that equal files of a revision are one inode
 * and are cached once; the revision is in the key because mtime and `user.git.revision` come from
 * it. */

struct snap_dir {
    struct node node;
    struct view *view;
    struct snapshot snap;
    struct oid tree;
};

struct snap_file {
    struct node node;
    struct view *view;
    struct oid revision, oid;
    int64_t time;
    int64_t size; /* -1: not known yet */
    enum entry_kind kind;
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

static int file_size(struct snap_file *f, int64_t *ret)
{
    int64_t size = __atomic_load_n(&f->size, __ATOMIC_RELAXED);

    if (size < 0) {
        uint64_t n;
        int r = blob_size(f->view->config.repo, &f->oid, &n);
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
    int64_t size = 0;
    int r = f->kind == ENTRY_MODULE ? 0 : file_size(f, &size);

    if (r < 0)
        return r;
    st->st_mode = kind_mode[f->kind];
    st->st_size = size;
    st->st_mtim.tv_sec = f->time;
    return 0;
}

static ssize_t file_read(struct node *node, void *buf, size_t size, off_t off)
{
    struct snap_file *f = (struct snap_file *)node;

    return off < 0 ? 0 : blob_read(f->view->config.repo, &f->oid, buf, size, off);
}

/* Targets that the kernel would cut short or refuse are an error of that link. */
static int link_read(struct node *node, char **ret)
{
    struct snap_file *f = (struct snap_file *)node;
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    int r = blob_load(f->view->config.repo, &f->oid, &blob);

    if (r < 0)
        return r == -ENOENT ? -EIO : r;
    if (!blob->size || blob->size >= PATH_MAX || memchr(blob->data, 0, blob->size))
        return -EIO;
    *ret = xstrndup(blob->data, blob->size);
    return 0;
}

static int file_getxattr(struct node *node, const char *name, char **ret)
{
    struct snap_file *f = (struct snap_file *)node;

    return get_xattr(name, &f->revision, &f->oid, ret);
}

static int module_lookup(struct node *dir, const char *name, struct node **ret)
{
    return -ENOENT;
}

static int module_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    return 0;
}

#define FOR_EVER (NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER)

static const struct node_ops file_ops = {
    .kind = "revision-file",
    .flags = FOR_EVER,
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
    .getattr = file_getattr,
    .lookup = module_lookup,
    .readdir = module_readdir,
    .getxattr = file_getxattr,
    .xattrs = snap_xattrs,
};

struct file_args {
    const struct snap_dir *dir;
    const struct tree_entry *entry;
};

static void file_init(struct node *node, const void *arg)
{
    const struct file_args *args = arg;
    struct snap_file *f = (struct snap_file *)node;

    f->view = args->dir->view;
    f->revision = args->dir->snap.revision;
    f->time = args->dir->snap.time;
    f->oid = args->entry->oid;
    f->kind = args->entry->kind;
    f->size = -1;
}

/* A submodule is a directory, and directories are keyed by path. */
static struct node *module_node(struct snap_dir *dir, const struct tree_entry *e)
{
    _cleanup_(buf_done) struct buf key = {0};
    struct file_args args = {dir, e};

    buf_add(&key, &dir->node.ino, sizeof(dir->node.ino));
    buf_adds(&key, e->name);
    return node_intern(dir->view->config.table, &module_ops, sizeof(struct snap_file), key.data,
                       key.len, node_ino(dir->node.ino, e->name), file_init, &args);
}

static uint64_t file_ino(const struct snap_dir *dir, const struct tree_entry *e)
{
    uint64_t ino = hash_bytes(&e->oid, sizeof(e->oid), e->kind + 1);

    ino = hash_bytes(&dir->snap.revision, sizeof(dir->snap.revision), ino);
    return ino > 1 ? ino : ino + 2;
}

static struct node *file_node(struct snap_dir *dir, const struct tree_entry *e)
{
    struct {
        struct oid oid, revision;
        char kind;
    } key = {e->oid, dir->snap.revision, e->kind};
    struct file_args args = {dir, e};

    return node_intern(dir->view->config.table, e->kind == ENTRY_LINK ? &link_ops : &file_ops,
                       sizeof(struct snap_file), &key, sizeof(key), file_ino(dir, e), file_init,
                       &args);
}

static const struct node_ops dir_ops;

struct dir_args {
    struct view *view;
    const struct snapshot *snap;
    struct oid tree;
    struct node *parent; /* NULL: the root of the revision */
};

static void dir_init(struct node *node, const void *arg)
{
    const struct dir_args *args = arg;
    struct snap_dir *d = (struct snap_dir *)node;

    d->view = args->view;
    d->snap = *args->snap;
    d->tree = args->tree;
    node->parent = args->parent;
}

/* The directory `name` in `parent` (NULL: the root of the revision, whose key is the revision). */
static struct node *dir_node(const struct dir_args *args, const char *name, uint64_t ino)
{
    _cleanup_(buf_done) struct buf key = {0};

    buf_add(&key, &args->parent, sizeof(args->parent));
    if (args->parent)
        buf_adds(&key, name);
    else
        buf_add(&key, &args->snap->revision, sizeof(args->snap->revision));
    return node_intern(args->view->config.table, &dir_ops, sizeof(struct snap_dir), key.data,
                       key.len, ino, dir_init, args);
}

static int dir_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFDIR | 0555;
    st->st_mtim.tv_sec = ((struct snap_dir *)node)->snap.time;
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
    if (e->kind == ENTRY_DIR) {
        struct dir_args args = {d->view, &d->snap, e->oid, dir};
        *ret = dir_node(&args, name, node_ino(dir->ino, name));
    } else if (e->kind == ENTRY_MODULE) {
        *ret = module_node(d, e);
    } else {
        *ret = file_node(d, e);
    }
    return 0;
}

static int dir_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct snap_dir *d = (struct snap_dir *)dir;
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    int r = dir_load(d, &tree);

    for (size_t i = cookie; r == 0 && i < tree->n; i++) {
        const struct tree_entry *e = &tree->entries[i];
        bool is_dir = e->kind == ENTRY_DIR || e->kind == ENTRY_MODULE;
        uint64_t ino = is_dir ? node_ino(dir->ino, e->name) : file_ino(d, e);
        if (sink->add(sink, e->name, kind_mode[e->kind] & S_IFMT, ino, i + 1, true))
            break;
    }
    return r;
}

static int dir_getxattr(struct node *node, const char *name, char **ret)
{
    struct snap_dir *d = (struct snap_dir *)node;

    return get_xattr(name, &d->snap.revision, &d->tree, ret);
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
        .time = view_time(brief.time) / NS_PER_SEC,
    };
    return 0;
}

struct node *snapshot_node(struct view *v, const struct snapshot *s, uint64_t ino)
{
    struct dir_args args = {v, s, s->tree, NULL};

    return dir_node(&args, NULL, ino);
}
