#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/io.h"
#include "stage/autocommit.h"
#include "stage/overlay_node.h"

struct extent {
    off_t off, len;
};

/* Attributes */

static int check_size(const struct workspace *ws, uint64_t size)
{
    uint64_t most = ws->env->config->most_file_size;

    return size > INT64_MAX || (most && size > most) ? -EFBIG : 0;
}

/* Changes the room that a file of the upper takes from what it takes now, `before`, to `after`. */
static int take_room(struct overlay_node *n, int64_t before, int64_t after)
{
    int r = room_take(n->ws, n->gone, after - before);

    if (r == 0 && n->gone)
        n->held += after - before;
    return r;
}

static int64_t size_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) < 0 ? -errno : st.st_size;
}

/* What an open file takes; if it were at least `size` long, what it would. */
static int room_of(struct overlay_node *n, int fd, int64_t size, int64_t *ret_now,
                   int64_t *ret_then)
{
    int64_t now = size_of(fd);

    if (now < 0)
        return now;
    *ret_now = overlay_room(&n->at, now);
    *ret_then = overlay_room(&n->at, now > size ? now : size);
    return 0;
}

/* Notes how far a file is reserved, behind `size` or not at all. Locked for names. */
static int set_reserved(struct overlay_node *n, int fd, uint64_t reserved)
{
    if (reserved == n->at.reserved)
        return 0;
    int r = overlay_set_reserved(fd, reserved);
    if (r == 0)
        n->at.reserved = reserved;
    return r;
}

/* Of a file of the upper that is `now` long. Cutting it gives back what was reserved. */
static int resize(struct overlay_node *n, int fd, int64_t now, int64_t size)
{
    struct overlay_entry then = {.reserved = size > now ? n->at.reserved : 0};
    int64_t before = overlay_room(&n->at, now), after = overlay_room(&then, size);
    int r = after > before ? take_room(n, before, after) : 0;

    if (r < 0)
        return r;
    if (ftruncate(fd, size) < 0) {
        r = -errno;
        if (after > before)
            take_room(n, after, before);
        return r;
    }
    r = set_reserved(n, fd, then.reserved);
    if (after < before)
        take_room(n, before, after);
    return r;
}

static int set_size(struct overlay_node *n, uint64_t size)
{
    int r = S_ISREG(n->at.type) ? check_size(n->ws, size) : -EINVAL;

    if (r == 0)
        r = overlay_node_bring_up(n, size == 0);
    if (r < 0)
        return r;
    int fd = overlay_node_fd(n);
    if (fd < 0)
        return fd;
    int64_t now = size_of(fd);
    r = now < 0 ? now : resize(n, fd, now, size);
    overlay_node_put(n);
    return r;
}

static int set_mode(struct overlay_node *n, mode_t mode)
{
    mode &= 01777;
    if (S_ISLNK(n->at.type) || (mode == n->at.mode && !n->at.upper))
        return 0;
    if (!n->name)
        return 0; /* stays 0700, it is its owner's alone; tar and cp -a of `.` are to succeed */
    int r = overlay_node_bring_up(n, false);
    if (r < 0)
        return r;
    int fd = overlay_node_fd(n);
    if (fd < 0)
        return fd;
    r = overlay_set_mode(fd, n->at.type, mode);
    overlay_node_put(n);
    if (r == 0)
        n->at.mode = mode;
    return r;
}

/* A link's times can only be set by its name. */
static int set_link_times(struct overlay_node *n, const struct timespec times[2])
{
    struct overlay_node *parent = overlay_parent(n);

    if (n->gone)
        return 0;
    int fd = overlay_node_fd(parent);
    if (fd < 0)
        return fd;
    int r = utimensat(fd, n->name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    overlay_node_put(parent);
    return r;
}

static int set_times(struct overlay_node *n, const struct set_attrs *set)
{
    const struct timespec omit = {.tv_nsec = UTIME_OMIT};
    struct timespec times[2] = {
        set->valid & SET_ATIME ? set->atime : omit,
        set->valid & SET_MTIME ? set->mtime : omit,
    };
    int r = overlay_node_bring_up(n, false);

    if (r < 0)
        return r;
    if (S_ISLNK(n->at.type))
        return set_link_times(n, times);
    int fd = overlay_node_fd(n);
    if (fd < 0)
        return fd;
    r = futimens(fd, times) < 0 ? -errno : 0;
    overlay_node_put(n);
    return r;
}

int overlay_setattr(struct node *node, const struct caller *who, const struct set_attrs *set)
{
    struct overlay_node *n = overlay_node(node);

    if ((set->valid & SET_UID && set->uid != n->ws->state.uid) ||
        (set->valid & SET_GID && set->gid != n->ws->state.gid))
        return -EPERM;
    int r = overlay_node_enter(n, who);
    if (r < 0)
        return r;
    if (set->valid & SET_SIZE)
        r = set_size(n, set->size);
    if (r == 0 && set->valid & SET_MODE)
        r = set_mode(n, set->mode);
    if (r == 0 && set->valid & (SET_ATIME | SET_MTIME))
        r = set_times(n, set);
    overlay_node_leave(n->ws);
    return r;
}

/* Content */

/* Locks for changing the content of a file, which is brought up for that. Who may write was asked
 * when the file was opened. */
static int lock_for_content(struct overlay_node *n)
{
    for (;;) {
        workspace_lock_data(n->ws);
        int r = overlay_node_sync(n);
        if (r == 0 && n->at.upper)
            return 0;
        workspace_unlock_data(n->ws);
        if (r < 0)
            return r;
        workspace_lock_names(n->ws);
        r = overlay_node_sync(n);
        if (r == 0)
            r = overlay_node_bring_up(n, false);
        workspace_unlock_names(n->ws);
        if (r < 0)
            return r;
    }
}

/* Unlocks after it. */
static void leave_content(struct overlay_node *n)
{
    workspace_unlock_data(n->ws);
    autocommit_arm(n->ws->env->autocommit, n->ws);
}

/* As write(2): what was written before an error counts. */
static ssize_t write_some(int fd, const char *buf, size_t size, off_t off)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pwrite(fd, buf + done, size - done, off + done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return done ? (ssize_t)done : n < 0 ? -errno : -EIO;
        done += n;
    }
    return done;
}

static ssize_t write_upper(struct overlay_node *n, int fd, const void *buf, struct extent at)
{
    int64_t now = 0, then = 0, end = at.off + at.len;
    ssize_t r = room_of(n, fd, end, &now, &then);

    if (r == 0)
        r = take_room(n, now, then);
    if (r < 0)
        return r;
    r = write_some(fd, buf, at.len, at.off);
    if (r < (ssize_t)at.len && then > now) {
        int64_t size = size_of(fd);
        if (size >= 0)
            take_room(n, then, overlay_room(&n->at, size));
    }
    return r;
}

ssize_t overlay_write(struct node *node, const struct caller *who, const void *buf, size_t size,
                      off_t off)
{
    struct overlay_node *n = overlay_node(node);

    ssize_t r = check_size(n->ws, (uint64_t)off + size);
    if (r == 0)
        r = lock_for_content(n);
    if (r < 0)
        return r;
    int fd = overlay_node_fd(n);
    if (fd < 0) {
        r = fd;
    } else {
        r = write_upper(n, fd, buf, (struct extent){off, size});
        overlay_node_put(n);
    }
    leave_content(n);
    return r;
}

/* Room that is reserved behind the end of the file counts, and is noted first: so it is known
 * whatever happens. */
static int allocate(struct overlay_node *n, int fd, int mode, struct extent at)
{
    bool grows = !(mode & FALLOC_FL_PUNCH_HOLE);
    bool reserves = grows && mode & FALLOC_FL_KEEP_SIZE;
    int64_t now = 0, then = 0;
    int r = room_of(n, fd, grows ? at.off + at.len : 0, &now, &then);

    if (r == 0)
        r = take_room(n, now, then);
    if (r < 0)
        return r;
    uint64_t before = n->at.reserved;
    if (reserves && then > now)
        r = set_reserved(n, fd, then);
    if (r == 0 && fallocate(fd, mode, at.off, at.len) < 0)
        r = -errno;
    if (r < 0) {
        set_reserved(n, fd, before);
        int64_t size = size_of(fd);
        if (size >= 0)
            take_room(n, then, overlay_room(&n->at, size));
    }
    return r;
}

int overlay_fallocate(struct node *node, int mode, off_t off, off_t len)
{
    struct overlay_node *n = overlay_node(node);

    int r = check_size(n->ws, (uint64_t)off + len);
    if (r < 0)
        return r;
    workspace_lock_names(n->ws);
    r = overlay_node_sync(n);
    if (r == 0)
        r = overlay_node_bring_up(n, false);
    int fd = r == 0 ? overlay_node_fd(n) : r;
    if (fd >= 0) {
        r = allocate(n, fd, mode, (struct extent){off, len});
        overlay_node_put(n);
    }
    overlay_node_leave(n->ws);
    return fd < 0 ? fd : r;
}
