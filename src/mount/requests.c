#include "mount/requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metric.h"

/* How each request is answered.
 *
 * A handler finds its node (ESTALE if the kernel has none: it cannot happen with a correct kernel,
 * and must not crash with another), calls one op, replies once. Requests that may take long are
 * copied into a `struct slow` and answered by the pool.
 *
 * Every request is counted by kind: `COUNT("lookup")`. */

#define FOREVER 1e9 /* seconds */

#define COUNT(op)                                                                                  \
    do {                                                                                           \
        static int64_t *counter_;                                                                  \
        int64_t *c_ = __atomic_load_n(&counter_, __ATOMIC_ACQUIRE);                                \
        if (!c_) {                                                                                 \
            c_ = metric_counter(METRIC_FUSE_REQUESTS, op);                                         \
            __atomic_store_n(&counter_, c_, __ATOMIC_RELEASE);                                     \
        }                                                                                          \
        metric_bump(c_, 1);                                                                        \
    } while (0)

static struct front *front(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static struct caller caller(fuse_req_t req)
{
    const struct fuse_ctx *c = fuse_req_ctx(req);

    return (struct caller){.uid = c->uid, .gid = c->gid};
}

/* The node of a request, referenced; replies ESTALE and gives NULL when there is none. */
static struct node *node_of(fuse_req_t req, fuse_ino_t id)
{
    struct node *n = node_table_get(front(req)->table, id);

    if (!n)
        fuse_reply_err(req, ESTALE);
    return n;
}

static int fill_stat(const struct front *f, struct node *node, struct stat *st)
{
    *st = (struct stat){
        .st_ino = node->ino,
        .st_uid = f->uid,
        .st_gid = f->gid,
        .st_nlink = 1,
        .st_blksize = 4096,
    };
    int r = node->ops->getattr(node, st);
    if (r < 0)
        return r;
    if (!st->st_ctim.tv_sec)
        st->st_ctim = st->st_mtim;
    if (!st->st_atim.tv_sec)
        st->st_atim = st->st_mtim;
    if (!st->st_blocks)
        st->st_blocks = (st->st_size + 511) / 512;
    return 0;
}

static double attr_timeout(const struct node *node)
{
    return node->ops->flags & NODE_ATTR_FOREVER ? FOREVER : 0;
}

/* Fills `e` and counts the kernel's lookup; forget_entry() takes that back when the reply fails. */
static int fill_entry(struct front *f, struct node *node, struct fuse_entry_param *e)
{
    *e = (struct fuse_entry_param){
        .attr_timeout = attr_timeout(node),
        .entry_timeout = node->ops->flags & NODE_ENTRY_FOREVER ? FOREVER : 0,
    };
    int r = fill_stat(f, node, &e->attr);
    if (r < 0)
        return r;
    e->ino = node_table_lookup(f->table, node);
    return 0;
}

static void reply_entry(fuse_req_t req, struct node *node)
{
    struct fuse_entry_param e;
    struct front *f = front(req);
    int r = fill_entry(f, node, &e);

    if (r < 0)
        fuse_reply_err(req, -r);
    else if (fuse_reply_entry(req, &e) < 0)
        node_table_forget(f->table, e.ino, 1);
}

static void reply_attr(fuse_req_t req, struct node *node)
{
    struct stat st;
    int r = fill_stat(front(req), node, &st);

    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_attr(req, &st, attr_timeout(node));
}

struct range {
    size_t size;
    off_t off;
};

/* A request that is answered by the pool. */
struct slow {
    fuse_req_t req;
    struct node *node;
    void (*run)(struct slow *s);
    struct range range;
    char data[]; /* name, or the bytes to be written */
};

static void slow_run(void *arg)
{
    struct slow *s = arg;

    s->run(s);
    node_unref(s->node);
    free(s);
}

/* Runs it now, or in the pool if the node is slow. Takes the reference of `node`. */
static void dispatch(fuse_req_t req, struct node *node, void (*run)(struct slow *s),
                     const void *data, size_t len, struct range range)
{
    struct slow *s = malloc(sizeof(*s) + len + 1);

    if (!s) {
        fuse_reply_err(req, ENOMEM);
        node_unref(node);
        return;
    }
    *s = (struct slow){.req = req, .node = node, .run = run, .range = range};
    if (len)
        memcpy(s->data, data, len);
    s->data[len] = 0;
    if (node->ops->flags & NODE_SLOW)
        pool_submit(front(req)->slow, slow_run, s);
    else
        slow_run(s);
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    struct front *f = userdata;

    conn->want =
        conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ASYNC_DIO |
                         FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_NO_OPEN_SUPPORT |
                         FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_READDIRPLUS);
    conn->time_gran = 1;
    if (f->ready)
        f->ready(f->ready_arg);
}

static void lookup_run(struct slow *s)
{
    struct node *child;
    struct caller who = caller(s->req);

    caller_set_current(&who);
    int r = s->node->ops->lookup ? s->node->ops->lookup(s->node, s->data, &child) : -ENOTDIR;

    if (r < 0) {
        fuse_reply_err(s->req, -r);
        return;
    }
    reply_entry(s->req, child);
    node_unref(child);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    COUNT("lookup");
    struct node *dir = node_of(req, parent);

    if (dir)
        dispatch(req, dir, lookup_run, name, strlen(name), (struct range){0});
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
    COUNT("forget");
    node_table_forget(front(req)->table, ino, n);
    fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    COUNT("forget");
    for (size_t i = 0; i < count; i++)
        node_table_forget(front(req)->table, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    COUNT("getattr");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);

    if (node)
        reply_attr(req, node);
}

static struct set_attrs set_attrs_from(const struct stat *st, int to_set)
{
    struct set_attrs set = {
        .mode = st->st_mode & 07777,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .size = st->st_size,
        .atime = st->st_atim,
        .mtime = st->st_mtim,
    };
    static const struct {
        int fuse;
        unsigned ours;
    } bits[] = {
        {FUSE_SET_ATTR_MODE, SET_MODE},   {FUSE_SET_ATTR_UID, SET_UID},
        {FUSE_SET_ATTR_GID, SET_GID},     {FUSE_SET_ATTR_SIZE, SET_SIZE},
        {FUSE_SET_ATTR_ATIME, SET_ATIME}, {FUSE_SET_ATTR_MTIME, SET_MTIME},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
        if (to_set & bits[i].fuse)
            set.valid |= bits[i].ours;
    struct timespec now = clock_timespec(clock_real());
    if (to_set & FUSE_SET_ATTR_ATIME_NOW)
        set.atime = now;
    if (to_set & FUSE_SET_ATTR_MTIME_NOW)
        set.mtime = now;
    return set;
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
    COUNT("setattr");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);

    if (!node)
        return;
    struct set_attrs set = set_attrs_from(attr, to_set);
    struct caller who = caller(req);
    int r = node->ops->setattr ? node->ops->setattr(node, &who, &set) : -EROFS;
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        reply_attr(req, node);
}

static void on_readlink(fuse_req_t req, fuse_ino_t ino)
{
    COUNT("readlink");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);
    _cleanup_free_ char *target = NULL;

    if (!node)
        return;
    int r = node->ops->readlink ? node->ops->readlink(node, &target) : -EINVAL;
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_readlink(req, target);
}

/* Ends a request that makes something: `r` of the op and the new node. */
static void reply_made(fuse_req_t req, int r, struct node *made)
{
    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    reply_entry(req, made);
    node_unref(made);
}

static void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    COUNT("mknod");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);
    struct caller who = caller(req);
    struct node *made = NULL;

    if (!dir)
        return;
    int r = -EROFS;
    if (dir->ops->create)
        r = S_ISREG(mode) ? dir->ops->create(dir, &who, name, mode & 07777, &made) : -EPERM;
    reply_made(req, r, made);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    COUNT("mkdir");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);
    struct caller who = caller(req);
    struct node *made = NULL;

    if (!dir)
        return;
    int r = dir->ops->mkdir ? dir->ops->mkdir(dir, &who, name, mode & 07777, &made) : -EROFS;
    reply_made(req, r, made);
}

static void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    COUNT("symlink");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);
    struct caller who = caller(req);
    struct node *made = NULL;

    if (!dir)
        return;
    int r = dir->ops->symlink ? dir->ops->symlink(dir, &who, name, target, &made) : -EROFS;
    reply_made(req, r, made);
}

static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    COUNT("unlink");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);
    struct caller who = caller(req);

    if (dir)
        fuse_reply_err(req, dir->ops->unlink ? -dir->ops->unlink(dir, &who, name) : EROFS);
}

static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    COUNT("rmdir");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);
    struct caller who = caller(req);

    if (dir)
        fuse_reply_err(req, dir->ops->rmdir ? -dir->ops->rmdir(dir, &who, name) : EROFS);
}

static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                      const char *newname, unsigned flags)
{
    COUNT("rename");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);
    if (!dir)
        return;
    _cleanup_(node_unrefp) struct node *to = node_of(req, newparent);
    if (!to)
        return;
    struct caller who = caller(req);
    int r = -EROFS;
    if (dir->ops->rename)
        r = to->ops->rename ? dir->ops->rename(dir, &who, name, to, newname, flags) : -EXDEV;
    fuse_reply_err(req, -r);
}

/* Git has no hard links; a revision has no changes. */
static void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
    COUNT("link");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, newparent);

    if (dir)
        fuse_reply_err(req, dir->ops->create ? EPERM : EROFS);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    COUNT("open");
    fuse_reply_err(req, ENOSYS);
}

static void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    COUNT("opendir");
    fuse_reply_err(req, ENOSYS);
}

static void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    COUNT("flush");
    fuse_reply_err(req, ENOSYS);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    COUNT("read");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);
    if (!node)
        return;
    _cleanup_free_ char *data = malloc(size ? size : 1);
    if (!data) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    ssize_t n = node->ops->read ? node->ops->read(node, data, size, off) : -EINVAL;
    if (n < 0)
        fuse_reply_err(req, -n);
    else
        fuse_reply_buf(req, data, n);
}

static void write_run(struct slow *s)
{
    struct caller who = caller(s->req);
    ssize_t n = s->node->ops->write(s->node, &who, s->data, s->range.size, s->range.off);

    if (n < 0)
        fuse_reply_err(s->req, -n);
    else
        fuse_reply_write(s->req, n);
}

/* Pages that the kernel is to drop. */
struct drop {
    struct fuse_session *session;
    fuse_ino_t ino;
};

static void drop_run(void *arg)
{
    struct drop *d = arg;

    /* It fails when the kernel has dropped them already, or the mount has ended. */
    fuse_lowlevel_notify_inval_inode(d->session, d->ino, 0, 0);
    free(d);
}

/* Nobody asks us before a file is opened for writing, so who may (root) can map one that nothing
 * can change and write to the page that all readers see. That comes here when the kernel writes the
 * page back; then all shall see again what the file holds. */
static void refuse_write(fuse_req_t req, fuse_ino_t ino)
{
    struct front *f = front(req);
    struct drop *d = NEW(struct drop);

    *d = (struct drop){f->session, ino};
    fuse_reply_err(req, EROFS);
    pool_submit(f->slow, drop_run, d);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    COUNT("write");
    struct node *node = node_of(req, ino);

    if (!node)
        return;
    if (node->ops->write) {
        dispatch(req, node, write_run, data, size, (struct range){size, off});
    } else {
        refuse_write(req, ino);
        node_unref(node);
    }
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    COUNT("fsync");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);

    if (node)
        fuse_reply_err(req, node->ops->fsync ? -node->ops->fsync(node, !datasync) : 0);
}

static void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                         struct fuse_file_info *fi)
{
    COUNT("fallocate");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);

    if (node)
        fuse_reply_err(req, node->ops->fallocate ? -node->ops->fallocate(node, mode, off, len)
                                                 : EOPNOTSUPP);
}

/* One READDIR or READDIRPLUS reply being filled. */
struct listing {
    struct dir_sink sink;
    fuse_req_t req;
    struct node *dir;
    bool plus;
    char *data;
    size_t len, size;
};

/* The entry's attributes and lookup for READDIRPLUS; without them (nodeid 0) the kernel asks when
 * it needs them. */
static void fill_plus(struct listing *l, const char *name, bool plus, struct fuse_entry_param *e)
{
    _cleanup_(node_unrefp) struct node *child = NULL;

    if (!plus || l->dir->ops->lookup(l->dir, name, &child) < 0 ||
        fill_entry(front(l->req), child, e) < 0)
        e->ino = 0;
}

static int listing_add(struct dir_sink *sink, const char *name, mode_t type, uint64_t ino,
                       uint64_t cookie, bool plus)
{
    struct listing *l = container_of(sink, struct listing, sink);
    struct fuse_entry_param e = {.attr = {.st_mode = type, .st_ino = ino}};
    size_t room = l->size - l->len;
    size_t need = l->plus ? fuse_add_direntry_plus(l->req, NULL, 0, name, &e, 0)
                          : fuse_add_direntry(l->req, NULL, 0, name, &e.attr, 0);

    if (need > room)
        return 1;
    if (l->plus) {
        fill_plus(l, name, plus, &e);
        if (!e.ino)
            e.attr = (struct stat){.st_mode = type, .st_ino = ino};
        fuse_add_direntry_plus(l->req, l->data + l->len, room, name, &e, cookie);
    } else {
        fuse_add_direntry(l->req, l->data + l->len, room, name, &e.attr, cookie);
    }
    l->len += need;
    return 0;
}

static void list(struct slow *s, bool plus)
{
    _cleanup_free_ char *data = malloc(s->range.size);
    struct listing l = {
        .sink = {.add = listing_add},
        .req = s->req,
        .dir = s->node,
        .plus = plus,
        .data = data,
        .size = s->range.size,
    };

    if (!data) {
        fuse_reply_err(s->req, ENOMEM);
        return;
    }
    int r =
        s->node->ops->readdir ? s->node->ops->readdir(s->node, s->range.off, &l.sink) : -ENOTDIR;
    if (r < 0 && !l.len)
        fuse_reply_err(s->req, -r);
    else
        fuse_reply_buf(s->req, data, l.len);
}

static void readdir_run(struct slow *s)
{
    list(s, false);
}

static void readdirplus_run(struct slow *s)
{
    list(s, true);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    COUNT("readdir");
    struct node *dir = node_of(req, ino);

    if (dir)
        dispatch(req, dir, readdir_run, NULL, 0, (struct range){size, off});
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                           struct fuse_file_info *fi)
{
    COUNT("readdirplus");
    struct node *dir = node_of(req, ino);

    if (dir)
        dispatch(req, dir, readdirplus_run, NULL, 0, (struct range){size, off});
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
    COUNT("statfs");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);
    struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};

    if (!node)
        return;
    int r = node->ops->statfs ? node->ops->statfs(node, &st) : 0;
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_statfs(req, &st);
}

/* Answers getxattr and listxattr: the length alone when size is 0. */
static void reply_bytes(fuse_req_t req, const char *data, size_t len, size_t size)
{
    if (!size)
        fuse_reply_xattr(req, len);
    else if (len > size)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, data, len);
}

static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    COUNT("getxattr");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);
    _cleanup_free_ char *value = NULL;

    if (!node)
        return;
    int r = node->ops->getxattr ? node->ops->getxattr(node, name, &value) : -ENODATA;
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        reply_bytes(req, value, strlen(value), size);
}

static void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    COUNT("listxattr");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);
    _cleanup_(buf_done) struct buf names = {0};

    if (!node)
        return;
    for (const char *const *x = node->ops->xattrs; x && *x; x++)
        buf_add(&names, *x, strlen(*x) + 1);
    reply_bytes(req, buf_str(&names), names.len, size);
}

static int refuse_xattr(struct node *node)
{
    return node->ops->setattr ? ENOTSUP : EROFS;
}

static void on_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t size, int flags)
{
    COUNT("setxattr");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);

    if (node)
        fuse_reply_err(req, refuse_xattr(node));
}

static void on_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    COUNT("removexattr");
    _cleanup_(node_unrefp) struct node *node = node_of(req, ino);

    if (node)
        fuse_reply_err(req, refuse_xattr(node));
}

const struct fuse_lowlevel_ops requests = {
    .init = on_init,
    .lookup = on_lookup,
    .forget = on_forget,
    .forget_multi = on_forget_multi,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .readlink = on_readlink,
    .mknod = on_mknod,
    .mkdir = on_mkdir,
    .symlink = on_symlink,
    .unlink = on_unlink,
    .rmdir = on_rmdir,
    .rename = on_rename,
    .link = on_link,
    .open = on_open,
    .opendir = on_opendir,
    .flush = on_flush,
    .read = on_read,
    .write = on_write,
    .fsync = on_fsync,
    .fsyncdir = on_fsync,
    .fallocate = on_fallocate,
    .readdir = on_readdir,
    .readdirplus = on_readdirplus,
    .statfs = on_statfs,
    .getxattr = on_getxattr,
    .listxattr = on_listxattr,
    .setxattr = on_setxattr,
    .removexattr = on_removexattr,
};
