#include "mount/requests.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metric.h"
#include "mount/dirents.h"
#include "mount/entry.h"
#include "mount/scratch.h"

/* How each request is answered.
 *
 * A handler finds its node (ESTALE if the kernel has none: it cannot happen with a correct kernel,
 * and must not crash with another), calls one op, replies once. Requests that may take long are
 * copied into a `struct slow` and answered by the pool.
 *
 * Every request is counted by kind: `COUNT("lookup")`.
 *
 * Those that make or take away a name, and commands, are done once even if the kernel sends them
 * again (once.h). */

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

    if (!n) {
        struct caller who = caller(req);
        caller_set_current(&who);
        n = node_table_reach(front(req)->table, id);
    }
    if (!n)
        fuse_reply_err(req, ESTALE);
    return n;
}

struct range {
    size_t size;
    off_t off;
};

/* A request on its way to its op. In the pool it owns node and data; else both are the caller's. */
struct slow {
    fuse_req_t req;
    struct node *node;
    fuse_ino_t id; /* by which it was asked for */
    uint64_t unique;
    void (*run)(struct slow *s);
    struct range range;
    const char *data; /* name, or the bytes to be written */
    char copy[];
};

static void slow_run(void *arg)
{
    struct slow *s = arg;

    s->run(s);
    node_unref(s->node);
    free(s);
}

/* Runs `s` now, or a copy of it in the pool if the node is slow. Takes the reference of the node.
 * `len`: bytes of data. */
static void dispatch(struct slow *s, size_t len)
{
    s->unique = intake_unique(front(s->req)->intake);
    if (!(s->node->ops->flags & NODE_SLOW)) {
        s->run(s);
        node_unref(s->node);
        return;
    }
    struct slow *own = malloc(sizeof(*own) + len + 1);
    if (!own) {
        fuse_reply_err(s->req, ENOMEM);
        node_unref(s->node);
        return;
    }
    *own = *s;
    if (len)
        memcpy(own->copy, s->data, len);
    own->copy[len] = 0;
    own->data = own->copy;
    pool_submit(front(s->req)->slow, slow_run, own);
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    struct front *f = userdata;

    conn->want = conn->capable &
                 (FUSE_CAP_ASYNC_READ | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ASYNC_DIO |
                  FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_NO_OPEN_SUPPORT |
                  FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS);
    conn->time_gran = 1;
    if (f->ready)
        f->ready(f->ready_arg);
}

static void lookup_run(struct slow *s)
{
    struct node *child;
    struct caller who = caller(s->req);
    uint64_t epoch = notifier_epoch(front(s->req)->notifier);

    caller_set_current(&who);
    int r = s->node->ops->lookup ? s->node->ops->lookup(s->node, s->data, &child) : -ENOTDIR;

    if (r < 0) {
        fuse_reply_err(s->req, -r);
        return;
    }
    entry_reply(s->req, child, &(struct node_place){.dir = s->id, .name = s->data}, epoch, NULL);
    node_unref(child);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    COUNT("lookup");
    struct node *dir = strlen(name) > NAME_MAX ? NULL : node_of(req, parent);

    if (strlen(name) > NAME_MAX) /* the kernel passes on longer ones */
        fuse_reply_err(req, ENAMETOOLONG);
    else if (dir)
        dispatch(&(struct slow){req, dir, parent, 0, lookup_run, .data = name}, strlen(name));
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

    /* The kernel itself leaves out attributes that a notification has overtaken. */
    if (node)
        entry_reply_attr(req, node, true);
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
    else /* those that come with this reply it takes even if they are overtaken */
        entry_reply_attr(req, node, false);
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

static struct once_turn take_turn(fuse_req_t req)
{
    struct front *f = front(req);

    return once_begin(f->once, f->once ? intake_unique(f->intake) : 0);
}

/* A request that makes something in a directory. */
struct making {
    fuse_req_t req;
    fuse_ino_t id; /* of dir */
    struct node *dir;
    const char *name;
    mode_t mode;
    const char *target;
    const struct fuse_file_info *opened; /* NULL: it is not opened */
};

/* A predecessor has made it, and died before it said so: perhaps before a file had its mode. */
static int find_made(const struct making *m, const struct caller *who, struct node **ret)
{
    const struct set_attrs mode = {.valid = SET_MODE, .mode = m->mode & 07777};
    int r = m->dir->ops->lookup(m->dir, m->name, ret);

    if (r < 0 || !S_ISREG(m->mode) || !(*ret)->ops->setattr)
        return r;
    r = (*ret)->ops->setattr(*ret, who, &mode);
    if (r < 0)
        node_unref(TAKE(*ret));
    return r;
}

/* Does it, with `make` (-EROFS if that is 0: such things are not made here), and replies. What was
 * made by a predecessor is looked up. */
static void run_making(const struct making *m,
                       int (*make)(const struct making *m, const struct caller *who,
                                   struct node **ret))
{
    struct caller who = caller(m->req);
    struct node *made = NULL;
    uint64_t epoch = notifier_epoch(front(m->req)->notifier);
    struct once_turn turn = take_turn(m->req);

    int r = turn.done ? turn.result : make(m, &who, &made);
    if ((turn.again && r == -EEXIST) || (r == 0 && !made))
        r = find_made(m, &who, &made);
    once_end(&turn, r);
    if (r < 0) {
        fuse_reply_err(m->req, -r);
        return;
    }
    entry_reply(m->req, made, &(struct node_place){.dir = m->id, .name = m->name, .made = true},
                epoch, m->opened);
    node_unref(made);
}

static int make_file(const struct making *m, const struct caller *who, struct node **ret)
{
    if (!m->dir->ops->create)
        return -EROFS;
    return S_ISREG(m->mode) ? m->dir->ops->create(m->dir, who, m->name, m->mode & 07777, ret)
                            : -EPERM;
}

static void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    COUNT("mknod");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);

    if (dir)
        run_making(&(struct making){req, parent, dir, name, mode, NULL, NULL}, make_file);
}

static int make_dir(const struct making *m, const struct caller *who, struct node **ret)
{
    return m->dir->ops->mkdir ? m->dir->ops->mkdir(m->dir, who, m->name, m->mode & 07777, ret)
                              : -EROFS;
}

/* The kernel opens what it has had made, once. What is only written through that needs no page: so
 * the kernel keeps none, and does not ask before each write whether the file gives its program
 * privileges (`security.capability`). */
static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *opened)
{
    COUNT("create");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);

    opened->direct_io = (opened->flags & O_ACCMODE) == O_WRONLY;
    opened->keep_cache = true;
    if (dir)
        run_making(&(struct making){req, parent, dir, name, S_IFREG | (mode & 07777), NULL, opened},
                   make_file);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    COUNT("mkdir");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);

    if (dir)
        run_making(&(struct making){req, parent, dir, name, mode, NULL, NULL}, make_dir);
}

static int make_link(const struct making *m, const struct caller *who, struct node **ret)
{
    return m->dir->ops->symlink ? m->dir->ops->symlink(m->dir, who, m->name, m->target, ret)
                                : -EROFS;
}

static void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    COUNT("symlink");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);

    if (dir)
        run_making(&(struct making){req, parent, dir, name, 0, target, NULL}, make_link);
}

/* Before a name goes away or elsewhere: the node that our predecessor knew by it is to learn of it,
 * so it must be known to us. The kernel's reference keeps it. */
static void meet(struct front *f, fuse_ino_t dir, const char *name)
{
    node_unref(node_table_reach_name(f->table, dir, name));
}

/* Takes a name away with `op` (NULL: not here), and replies. */
static void run_taking(fuse_req_t req, fuse_ino_t parent, const char *name,
                       int (*op)(struct node *dir, const struct caller *who, const char *name),
                       struct node *dir)
{
    struct caller who = caller(req);
    struct once_turn turn = take_turn(req);

    meet(front(req), parent, name);
    int r = turn.done ? turn.result : op ? op(dir, &who, name) : -EROFS;
    if (turn.again && r == -ENOENT)
        r = 0;
    once_end(&turn, r);
    fuse_reply_err(req, -r);
}

static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    COUNT("unlink");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);

    if (dir)
        run_taking(req, parent, name, dir->ops->unlink, dir);
}

static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    COUNT("rmdir");
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);

    if (dir)
        run_taking(req, parent, name, dir->ops->rmdir, dir);
}

/* A rename, with the ids of the two directories. */
struct renaming {
    struct node *dir, *to;
    fuse_ino_t id, to_id;
    const char *name, *to_name;
    unsigned flags;
};

/* One that was begun before: 1 if it has been done. An exchange looks the same when it has not. */
static int look_after_rename(struct front *f, const struct renaming *x)
{
    struct node *there = NULL;

    if (x->flags & RENAME_EXCHANGE)
        return -ECONNABORTED;
    int r = x->dir->ops->lookup(x->dir, x->name, &there);
    node_unref(there);
    if (r != -ENOENT)
        return r;
    node_table_moved_before(f->table, x->id, x->name, x->to_id, x->to_name);
    if (x->dir->ops->renamed_before)
        x->dir->ops->renamed_before(x->dir, x->name, x->to, x->to_name);
    return 1;
}

static int run_rename(struct front *f, const struct renaming *x, const struct caller *who,
                      bool again)
{
    if (!x->dir->ops->rename)
        return -EROFS;
    if (!x->to->ops->rename)
        return -EXDEV;
    int r = again ? look_after_rename(f, x) : 0;
    if (r)
        return r < 0 ? r : 0;
    meet(f, x->id, x->name);
    meet(f, x->to_id, x->to_name);
    return x->dir->ops->rename(x->dir, who, x->name, x->to, x->to_name, x->flags);
}

static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                      const char *newname, unsigned flags)
{
    COUNT("rename");
    struct front *f = front(req);
    _cleanup_(node_unrefp) struct node *dir = node_of(req, parent);
    if (!dir)
        return;
    _cleanup_(node_unrefp) struct node *to = node_of(req, newparent);
    if (!to)
        return;
    const struct renaming x = {dir, to, parent, newparent, name, newname, flags};
    struct caller who = caller(req);
    struct once_turn turn = take_turn(req);
    int r = turn.done ? turn.result : run_rename(f, &x, &who, turn.again);
    once_end(&turn, r);
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

static void read_run(struct slow *s)
{
    char *data = scratch(s->range.size);

    if (s->range.size && !data) {
        fuse_reply_err(s->req, ENOMEM);
        return;
    }
    ssize_t n = s->node->ops->read(s->node, data, s->range.size, s->range.off);
    if (n < 0)
        fuse_reply_err(s->req, -n);
    else
        fuse_reply_buf(s->req, data, n);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    COUNT("read");
    struct node *node = node_of(req, ino);

    if (!node)
        return;
    if (!off)
        prefetch_saw_read(front(req)->prefetch, node, ino);
    if (node->ops->read) {
        dispatch(&(struct slow){req, node, ino, 0, read_run, {size, off}, NULL}, 0);
    } else {
        fuse_reply_err(req, EINVAL);
        node_unref(node);
    }
}

/* Of what is slow a write is a command. One that was begun by a predecessor may have been done, in
 * whole or in part, and nobody is left to tell. */
static void write_run(struct slow *s)
{
    struct caller who = caller(s->req);
    bool command = s->node->ops->flags & NODE_SLOW;
    struct once_turn turn = once_begin(command ? front(s->req)->once : NULL, s->unique);
    ssize_t n = -ECONNABORTED;

    if (turn.done)
        n = turn.result;
    else if (!turn.once || !once_is_again(s->unique))
        n = s->node->ops->write(s->node, &who, s->data, s->range.size, s->range.off);
    once_end(&turn, n);
    if (n < 0)
        fuse_reply_err(s->req, -n);
    else
        fuse_reply_write(s->req, n);
}

/* Nobody asks us before a file is opened for writing, so who may (root) can map one that nothing
 * can change and write to the page that all readers see. That comes here when the kernel writes the
 * page back; then all shall see again what the file holds. */
static void refuse_write(fuse_req_t req, fuse_ino_t ino)
{
    struct front *f = front(req);

    fuse_reply_err(req, EROFS);
    notifier_post(f->notifier, ino);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    COUNT("write");
    struct node *node = node_of(req, ino);

    if (!node)
        return;
    if (node->ops->write) {
        dispatch(&(struct slow){req, node, ino, 0, write_run, {size, off}, data}, size);
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

static void readdir_run(struct slow *s)
{
    dirents_reply(s->req,
                  &(struct dirents_asked){s->node, s->id, s->range.off, s->range.size, false});
}

static void readdirplus_run(struct slow *s)
{
    dirents_reply(s->req,
                  &(struct dirents_asked){s->node, s->id, s->range.off, s->range.size, true});
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    COUNT("readdir");
    struct node *dir = node_of(req, ino);

    if (dir)
        dispatch(&(struct slow){req, dir, ino, 0, readdir_run, {size, off}, NULL}, 0);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                           struct fuse_file_info *fi)
{
    COUNT("readdirplus");
    struct node *dir = node_of(req, ino);

    if (dir)
        dispatch(&(struct slow){req, dir, ino, 0, readdirplus_run, {size, off}, NULL}, 0);
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

/* Is this a name that a node may have? To the others the answer is that this filesystem knows none
 * of the kind: ls(1) then asks once a run, not three times a file, for labels and access lists. Not
 * ENOSYS, which the kernel would remember, for every name. */
static bool is_user_xattr(const char *name)
{
    return !strncmp(name, "user.", strlen("user."));
}

static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    COUNT("getxattr");
    if (!is_user_xattr(name)) {
        fuse_reply_err(req, EOPNOTSUPP);
        return;
    }
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
    .create = on_create,
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
