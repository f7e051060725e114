#include "stage/message.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "stage/commit_message.h"
#include "stage/workspace_file.h"

static int open_message(struct node *node, int flags)
{
    struct workspace *ws = workspace_file_of(node);

    if (ws->ended)
        return -ESTALE;
    int fd = openat(ws->dir, "message", flags | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

static int message_getattr(struct node *node, struct stat *st)
{
    struct workspace *ws = workspace_file_of(node);
    struct stat own;
    struct oid base;
    int64_t mtime;

    workspace_base(ws, &base, &mtime);
    st->st_mode = S_IFREG | 0600;
    st->st_uid = ws->state.uid;
    st->st_gid = ws->state.gid;
    st->st_mtim = clock_timespec(mtime);
    if (fstatat(ws->dir, "message", &own, AT_SYMLINK_NOFOLLOW) == 0) {
        st->st_size = own.st_size;
        st->st_mtim = own.st_mtim;
    }
    return 0;
}

static ssize_t message_read(struct node *node, void *buf, size_t size, off_t off)
{
    _cleanup_close_ int fd = open_message(node, O_RDONLY);

    if (fd == -ENOENT)
        return 0;
    ssize_t n = fd < 0 ? fd : pread(fd, buf, size, off);
    return fd >= 0 && n < 0 ? -errno : n;
}

static ssize_t message_write(struct node *node, const struct caller *who, const void *buf,
                             size_t size, off_t off)
{
    if (off < 0 || off + size > MESSAGE_MOST)
        return -EFBIG;
    _cleanup_close_ int fd = open_message(node, O_RDWR | O_CREAT);
    int r = fd < 0 ? fd : io_pwrite_full(fd, buf, size, off);
    return r < 0 ? r : (ssize_t)size;
}

static int message_setattr(struct node *node, const struct caller *who, const struct set_attrs *set)
{
    struct workspace *ws = workspace_file_of(node);
    int r = workspace_may_change(ws, who);

    if (r < 0)
        return r;
    if ((set->valid & SET_UID && set->uid != ws->state.uid) ||
        (set->valid & SET_GID && set->gid != ws->state.gid))
        return -EPERM;
    if (!(set->valid & SET_SIZE))
        return 0;
    if (set->size > MESSAGE_MOST)
        return -EFBIG;
    _cleanup_close_ int fd = open_message(node, O_RDWR | O_CREAT);
    if (fd < 0)
        return fd;
    return ftruncate(fd, set->size) < 0 ? -errno : 0;
}

static int message_fsync(struct node *node, bool full)
{
    struct workspace *ws = workspace_file_of(node);
    _cleanup_close_ int fd = open_message(node, O_RDWR);

    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return fd;
    return fsync(fd) < 0 || fsync(ws->dir) < 0 ? -errno : 0;
}

static const struct node_ops message_ops = {
    .kind = "message",
    .getattr = message_getattr,
    .read = message_read,
    .write = message_write,
    .setattr = message_setattr,
    .fsync = message_fsync,
};

struct node *message_node_get(struct workspace *ws, struct node *root, uint64_t ino)
{
    return workspace_file_get(&message_ops, ws, root, ino);
}
