#include "stage/overlay_node.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "stage/control.h"
#include "stage/overlay_news.h"
#include "tree/table.h"

#define DIR_SIZE 4096

/* Identity: the key is the parent's address, which no other node has while it lives (and it lives
 * as long as its children), and the name. The root's is the workspace's address. */

#define KEY_MOST (sizeof(void *) + OVERLAY_NAME_MOST)

static size_t make_key(const void *parent, const char *name, char key[KEY_MOST])
{
    size_t len = strlen(name);

    memcpy(key, &parent, sizeof(parent));
    memcpy(key + sizeof(parent), name, len);
    return sizeof(parent) + len;
}

static const struct node_ops *ops_of(mode_t type)
{
    return S_ISDIR(type) ? &overlay_dir_ops : S_ISLNK(type) ? &overlay_link_ops : &overlay_file_ops;
}

struct init_args {
    struct workspace *ws;
    struct overlay_node *parent;
    const char *name;
    const struct overlay_entry *at;
};

static void init(struct node *node, const void *arg)
{
    const struct init_args *args = arg;
    struct overlay_node *n = overlay_node(node);

    n->ws = workspace_ref(args->ws);
    n->name = xstrdup_or_null(args->name);
    n->at = *args->at;
    n->era = args->ws->era;
    n->node.parent = args->parent ? &args->parent->node : NULL;
    fd_slot_init(&n->slot);
}

static struct overlay_node *intern(const struct init_args *args)
{
    char key[KEY_MOST];
    const void *place = args->parent ? (const void *)args->parent : args->ws;
    size_t len = make_key(place, args->name ? args->name : "", key);

    struct overlay_node *n =
        node_intern(args->ws->env->config->table, ops_of(args->at->type),
                    sizeof(struct overlay_node), key, len, args->at->ino, init, args);
    overlay_news_add(n);
    return n;
}

struct overlay_node *overlay_node_child(struct overlay_node *dir, const char *name,
                                        const struct overlay_entry *e)
{
    struct init_args args = {dir->ws, dir, name, e};

    for (;;) {
        struct overlay_node *n = intern(&args);
        if (n->era != dir->ws->era)
            overlay_node_sync(n);
        if (!n->stale && !n->gone)
            return n;
        node_rekey(&n->node, NULL, 0);
        node_unref(&n->node);
    }
}

struct overlay_node *overlay_node_known(struct overlay_node *dir, const char *name,
                                        const struct overlay_entry *e)
{
    char key[KEY_MOST];
    size_t len = make_key(dir, name, key);
    struct node *node = node_find(dir->node.table, ops_of(e->type), key, len);

    if (!node)
        return NULL;
    struct overlay_node *n = overlay_node(node);
    if (overlay_node_sync(n) == 0 && !n->gone)
        return n;
    node_unref(node);
    return NULL;
}

struct node *overlay_root(struct workspace *ws)
{
    struct overlay_entry at = {.type = S_IFDIR, .upper = true, .mode = 0700, .ino = ws->ino};

    workspace_lock_read(ws);
    at.base = ws->base_tree;
    struct overlay_node *n = intern(&(struct init_args){ws, NULL, NULL, &at});
    workspace_unlock_read(ws);
    return &n->node;
}

void overlay_node_detach(struct overlay_node *n)
{
    n->gone = true;
    if (n->at.upper && n->name)
        fd_cache_keep(n->ws->env->fds, &n->slot);
    node_rekey(&n->node, NULL, 0);
}

void overlay_node_move(struct overlay_node *n, struct overlay_node *dir, const char *name)
{
    char key[KEY_MOST];
    struct node *before = n->node.parent;

    free(n->name);
    n->name = xstrdup(name);
    n->node.parent = node_ref(&dir->node);
    node_rekey(&n->node, key, make_key(dir, name, key));
    node_table_moved(&n->node, name);
    node_unref(before);
}

static void overlay_free(struct node *node)
{
    struct overlay_node *n = overlay_node(node);

    overlay_news_drop(n);
    if (n->listing) {
        listing_done(&n->listing->entries);
        free(n->listing);
    }
    fd_cache_drop(n->ws->env->fds, &n->slot);
    room_take(n->ws, true, -n->held);
    free(n->name);
    workspace_unref(n->ws);
}

static bool is_file_of(struct node *node, void *ws)
{
    return node->ops == &overlay_file_ops && overlay_node(node)->ws == ws;
}

int overlay_flush(struct workspace *ws)
{
    int r = node_table_flush(ws->env->config->table, is_file_of, ws);

    if (r < 0 && r != -ESHUTDOWN)
        log_warn("mappings-not-written", "workspace=%s reason=\"%s\"", ws->name, strerror(-r));
    return r == -ESHUTDOWN ? r : 0;
}

/* Where it is now */

int overlay_node_fd(struct overlay_node *n)
{
    struct fd_cache *fds = n->ws->env->fds;
    int flags = S_ISDIR(n->at.type)   ? O_RDONLY | O_DIRECTORY
                : S_ISLNK(n->at.type) ? O_PATH
                                      : O_RDWR;

    if (!n->name)
        return n->ws->upper;
    int fd = fd_cache_get(fds, &n->slot);
    if (fd >= 0)
        return fd;
    if (n->gone)
        return -ESTALE;
    struct overlay_node *parent = overlay_parent(n);
    int dir = overlay_node_fd(parent);
    if (dir < 0)
        return dir;
    fd = openat(dir, n->name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
        fd_cache_trim(fds);
        fd = openat(dir, n->name, flags | O_NOFOLLOW | O_CLOEXEC);
    }
    int err = -errno;
    overlay_node_put(parent);
    return fd < 0 ? err : fd_cache_add(fds, &n->slot, fd);
}

void overlay_node_put(struct overlay_node *n)
{
    if (n->name)
        fd_cache_put(n->ws->env->fds, &n->slot);
}

int overlay_node_dir(struct overlay_node *n, struct overlay_dir *ret)
{
    struct overlay_dir d = {.fd = -1, .ino = n->node.ino};

    if (n->gone)
        return -ENOENT;
    if (n->at.upper) {
        d.fd = overlay_node_fd(n);
        if (d.fd < 0)
            return d.fd;
    }
    if (n->at.kind != ENTRY_MODULE)
        d.base = n->at.base;
    *ret = d;
    return 0;
}

void overlay_node_close_dir(struct overlay_node *n, const struct overlay_dir *d)
{
    if (d->fd >= 0)
        overlay_node_put(n);
}

/* Is it what the node was? Of what is in the upper, nobody knows. */
static bool is_same(const struct overlay_node *n, const struct overlay_entry *e)
{
    return e->type == n->at.type && !e->upper && !n->at.upper && oid_equal(&e->base, &n->at.base);
}

/* Looks again what is in the node's place. Another link is another node: targets never change. */
static int look_again(struct overlay_node *n)
{
    struct overlay_node *parent = overlay_parent(n);
    struct overlay_dir d;
    struct overlay_entry e;

    int r = overlay_node_dir(parent, &d);
    if (r == 0) {
        r = overlay_find(&n->ws->overlay, &d, n->name, &e);
        overlay_node_close_dir(parent, &d);
    }
    if (r < 0 && r != -ENOENT)
        return r;
    bool same = r == 0 && is_same(n, &e);
    if (same || (r == 0 && e.type == n->at.type && !S_ISLNK(e.type))) {
        n->at = e;
        n->news_content |= !same;
        fd_cache_drop(n->ws->env->fds, &n->slot);
        return 0;
    }
    n->news_name = true;
    if (S_ISREG(n->at.type) && !n->at.upper)
        n->gone = true; /* its blob can still be read by who has it open */
    else
        n->stale = true;
    return 0;
}

/* With `resync` held: first the parents, then the node itself. */
static int follow(struct overlay_node *n)
{
    struct overlay_node *parent = overlay_parent(n);
    int r = 0;

    if (n->gone || n->era == n->ws->era)
        return 0;
    if (!parent) {
        n->at.base = n->ws->base_tree;
    } else {
        r = follow(parent);
        if (r == 0 && (parent->stale || parent->gone)) {
            n->stale = true;
            n->news_name = true;
        } else if (r == 0) {
            r = look_again(n);
        }
    }
    if (r == 0)
        n->era = n->ws->era;
    return r;
}

int overlay_node_sync(struct overlay_node *n)
{
    int r = 0;

    if (n->ws->ended)
        return -ESTALE;
    if (n->era != n->ws->era) {
        pthread_mutex_lock(&n->ws->resync);
        r = follow(n);
        pthread_mutex_unlock(&n->ws->resync);
    }
    return r < 0 ? r : n->stale ? -ESTALE : 0;
}

/* Attributes */

static int stat_upper(struct overlay_node *n, struct stat *ret)
{
    struct fd_cache *fds = n->ws->env->fds;
    struct overlay_node *parent = overlay_parent(n);
    int r = 0;

    if (!n->name)
        return fstat(n->ws->upper, ret) < 0 ? -errno : 0;
    int fd = fd_cache_get(fds, &n->slot);
    if (fd >= 0) {
        r = fstat(fd, ret) < 0 ? -errno : 0;
        fd_cache_put(fds, &n->slot);
        return r;
    }
    if (n->gone)
        return -ESTALE;
    fd = overlay_node_fd(parent);
    if (fd < 0)
        return fd;
    if (fstatat(fd, n->name, ret, AT_SYMLINK_NOFOLLOW) < 0)
        r = -errno;
    overlay_node_put(parent);
    return r;
}

static int fill_base(struct overlay_node *n, struct stat *st)
{
    uint64_t size = DIR_SIZE;

    if (!S_ISDIR(n->at.type)) {
        int r = blob_size(n->ws->overlay.repo, &n->at.base, &size);
        if (r < 0)
            return r;
    }
    st->st_size = size;
    st->st_blocks = (size + 511) / 512;
    st->st_mtim = clock_timespec(n->ws->overlay.base_mtime);
    return 0;
}

static int fill_upper(struct overlay_node *n, struct stat *st)
{
    struct stat own;
    int r = stat_upper(n, &own);

    if (r < 0)
        return r;
    st->st_size = own.st_size;
    st->st_blocks = own.st_blocks;
    st->st_atim = own.st_atim;
    st->st_mtim = own.st_mtim;
    st->st_ctim = own.st_ctim;
    return 0;
}

static int overlay_getattr(struct node *node, struct stat *st)
{
    struct overlay_node *n = overlay_node(node);

    workspace_lock_read(n->ws);
    int r = overlay_node_sync(n);
    if (r == 0) {
        st->st_mode = n->at.type | n->at.mode;
        st->st_uid = n->ws->state.uid;
        st->st_gid = n->ws->state.gid;
        st->st_nlink = n->gone ? 0 : 1;
        r = n->at.upper ? fill_upper(n, st) : fill_base(n, st);
    }
    workspace_unlock_read(n->ws);
    return r;
}

/* Names */

static int overlay_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct overlay_node *n = overlay_node(dir);
    struct overlay_entry e;
    struct overlay_dir d;

    if (strlen(name) > OVERLAY_NAME_MOST)
        return -ENAMETOOLONG;
    if (!n->name && !strcmp(name, CONTROL_NAME)) {
        *ret = control_menu(n->ws, dir);
        return 0;
    }
    workspace_lock_read(n->ws);
    int r = overlay_node_sync(n);
    if (r == 0)
        r = overlay_node_dir(n, &d);
    if (r == 0) {
        r = overlay_find(&n->ws->overlay, &d, name, &e);
        if (r == 0)
            *ret = &overlay_node_child(n, name, &e)->node;
        overlay_node_close_dir(n, &d);
    }
    workspace_unlock_read(n->ws);
    return r;
}

/* With ws->listing held. */
static void drop_listing(struct shared_listing *l)
{
    if (l && --l->refs == 0) {
        listing_done(&l->entries);
        free(l);
    }
}

static void set_listing(struct overlay_node *n, struct shared_listing *l)
{
    drop_listing(n->listing);
    n->listing = l;
    if (l)
        l->refs++;
}

void overlay_node_forget_listing(struct overlay_node *n)
{
    pthread_mutex_lock(&n->ws->listing);
    set_listing(n, NULL);
    pthread_mutex_unlock(&n->ws->listing);
}

static int make_listing(struct overlay_node *n, struct shared_listing **ret)
{
    _cleanup_(overlay_names_done) struct overlay_names names = {0};
    struct overlay_dir d;
    int r = overlay_node_sync(n);

    if (r == 0)
        r = overlay_node_dir(n, &d);
    if (r == 0) {
        r = overlay_list(&n->ws->overlay, &d, &names);
        overlay_node_close_dir(n, &d);
    }
    if (r < 0 && r != -ENOENT) /* a removed directory is empty */
        return r;
    struct shared_listing *l = NEW(struct shared_listing);
    vec_foreach (name, &names)
        if (n->name || strcmp(name->name, CONTROL_NAME))
            listing_add(&l->entries, name->name, name->type, name->ino);
    listing_finish(&l->entries);
    l->refs = 1;
    *ret = l;
    return 0;
}

/* The listing that readers in the middle share, or a new one for those who begin. */
static int get_listing(struct overlay_node *n, bool begin, struct shared_listing **ret)
{
    struct shared_listing *l = NULL;
    int r = 0;

    pthread_mutex_lock(&n->ws->listing);
    if (!begin && n->listing) {
        l = n->listing;
        l->refs++;
    }
    pthread_mutex_unlock(&n->ws->listing);
    if (!l) {
        workspace_lock_read(n->ws);
        r = make_listing(n, &l);
        if (r == 0) {
            pthread_mutex_lock(&n->ws->listing);
            set_listing(n, l);
            pthread_mutex_unlock(&n->ws->listing);
        }
        workspace_unlock_read(n->ws);
    }
    *ret = l;
    return r;
}

static int overlay_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct overlay_node *n = overlay_node(dir);
    struct shared_listing *l;
    int r = get_listing(n, cookie == 0, &l);

    if (r < 0)
        return r;
    /* No lock is held: the sink may look the names up. */
    bool all = listing_emit(&l->entries, cookie, sink);
    pthread_mutex_lock(&n->ws->listing);
    if (all && n->listing == l) {
        n->listing = NULL;
        l->refs--;
    }
    drop_listing(l);
    pthread_mutex_unlock(&n->ws->listing);
    return 0;
}

/* Content */

static ssize_t read_blob(struct overlay_node *n, void *buf, size_t size, off_t off)
{
    return off < 0 ? 0 : blob_read(n->ws->overlay.repo, &n->at.base, buf, size, off);
}

static ssize_t read_upper(struct overlay_node *n, void *buf, size_t size, off_t off)
{
    int fd = overlay_node_fd(n);

    if (fd < 0)
        return fd;
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(fd, (char *)buf + done, size - done, off + done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            overlay_node_put(n);
            return got < 0 && !done ? -EIO : (ssize_t)done;
        }
        done += got;
    }
    overlay_node_put(n);
    return done;
}

static ssize_t overlay_read(struct node *node, void *buf, size_t size, off_t off)
{
    struct overlay_node *n = overlay_node(node);

    workspace_lock_read(n->ws);
    ssize_t r = overlay_node_sync(n);
    if (r == 0)
        r = n->at.upper ? read_upper(n, buf, size, off) : read_blob(n, buf, size, off);
    workspace_unlock_read(n->ws);
    return r;
}

static int readlink_upper(struct overlay_node *n, char **ret)
{
    char target[PATH_MAX];
    int fd = overlay_node_fd(n);

    if (fd < 0)
        return fd;
    ssize_t len = readlinkat(fd, "", target, sizeof(target));
    int r = len < 0 ? -errno : 0;
    overlay_node_put(n);
    if (r == 0)
        *ret = xstrndup(target, len);
    return r;
}

static int overlay_readlink(struct node *node, char **ret)
{
    struct overlay_node *n = overlay_node(node);

    workspace_lock_read(n->ws);
    int r = overlay_node_sync(n);
    if (r == 0)
        r = n->at.upper ? readlink_upper(n, ret)
                        : blob_target(n->ws->overlay.repo, &n->at.base, ret);
    workspace_unlock_read(n->ws);
    return r;
}

/* Durability */

struct fd_list {
    VEC(int);
};

static void fd_list_done(struct fd_list *l)
{
    vec_foreach (fd, l)
        close(*fd);
    free(l->v);
}

/* Descriptors of the node and of all directories above it that are in the upper. */
static int collect_chain(struct overlay_node *n, struct fd_list *out)
{
    for (; n; n = n->gone ? NULL : overlay_parent(n)) {
        if (!n->at.upper)
            continue;
        int fd = overlay_node_fd(n);
        if (fd < 0)
            return fd;
        int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        int err = -errno;
        overlay_node_put(n);
        if (own < 0)
            return err;
        *VEC_ADD(out) = own;
    }
    return 0;
}

/* What is durable is the content and every name on the way to it. Syncing happens without a lock,
 * so that it keeps nobody waiting. */
static int overlay_fsync(struct node *node, bool full)
{
    struct overlay_node *n = overlay_node(node);
    _cleanup_(fd_list_done) struct fd_list chain = {0};

    workspace_lock_read(n->ws);
    int r = overlay_node_sync(n);
    if (r == 0)
        r = collect_chain(n, &chain);
    workspace_unlock_read(n->ws);
    for (size_t i = 0; i < chain.n && r == 0; i++) {
        bool content_only = i == 0 && !full && S_ISREG(n->at.type);
        if ((content_only ? fdatasync(chain.v[i]) : fsync(chain.v[i])) < 0)
            r = -errno;
    }
    return r;
}

/* Free is what may still be written: what the disk has, and what the limit leaves. */
static int overlay_statfs(struct node *node, struct statvfs *ret)
{
    struct overlay_node *n = overlay_node(node);
    struct statvfs st;

    if (fstatvfs(n->ws->env->dir, &st) < 0)
        return -errno;
    workspace_lock_read(n->ws);
    int64_t left = room_left(n->ws);
    workspace_unlock_read(n->ws);
    if (left < 0)
        return left;
    if (left / st.f_frsize < st.f_bavail)
        st.f_bavail = left / st.f_frsize;
    if (left / ROOM_LEAST < st.f_ffree)
        st.f_ffree = st.f_favail = left / ROOM_LEAST; /* the kernel takes the first */
    *ret = st;
    return 0;
}

const struct node_ops overlay_dir_ops = {
    .kind = "staging-dir",
    .flags = NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER,
    .getattr = overlay_getattr,
    .lookup = overlay_lookup,
    .readdir = overlay_readdir,
    .setattr = overlay_setattr,
    .create = overlay_create,
    .mkdir = overlay_mkdir,
    .symlink = overlay_symlink,
    .unlink = overlay_unlink,
    .rmdir = overlay_rmdir,
    .rename = overlay_move,
    .renamed_before = overlay_moved_before,
    .fsync = overlay_fsync,
    .statfs = overlay_statfs,
    .free = overlay_free,
};

const struct node_ops overlay_file_ops = {
    .kind = "staging-file",
    .flags = NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER,
    .getattr = overlay_getattr,
    .read = overlay_read,
    .setattr = overlay_setattr,
    .write = overlay_write,
    .fsync = overlay_fsync,
    .fallocate = overlay_fallocate,
    .statfs = overlay_statfs,
    .free = overlay_free,
};

const struct node_ops overlay_link_ops = {
    .kind = "staging-link",
    .flags = NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER,
    .getattr = overlay_getattr,
    .readlink = overlay_readlink,
    .setattr = overlay_setattr,
    .statfs = overlay_statfs,
    .free = overlay_free,
};
