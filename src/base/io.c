#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"

int io_read_fd(int fd, size_t limit, struct buf *out)
{
    char chunk[65536];

    for (size_t got = 0;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        got += n;
        if (got > limit)
            return -EFBIG;
        buf_add(out, chunk, n);
    }
}

int io_read_file(int dirfd, const char *path, size_t limit, struct buf *out)
{
    _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : io_read_fd(fd, limit, out);
}

int io_write_full(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= n;
    }
    return 0;
}

int io_pwrite_full(int fd, const void *data, size_t len, off_t at)
{
    const char *p = data;

    while (len) {
        ssize_t n = pwrite(fd, p, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        at += n;
        len -= n;
    }
    return 0;
}

/* The directory part of `path`, "." if there is none. The caller frees. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : xstrndup(path, slash - path);
}

int io_sync_parent(int dirfd, const char *path)
{
    _cleanup_free_ char *parent = parent_of(path);
    _cleanup_close_ int fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

int io_replace_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
    _cleanup_free_ char *tmp = xasprintf("%s.new", path);
    _cleanup_close_ int fd =
        openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0)
        return -errno;
    int r = io_write_full(fd, data, len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
        r = -errno;
    if (r == 0)
        return io_sync_parent(dirfd, path);
    unlinkat(dirfd, tmp, 0);
    return r;
}

int io_make_dirs(int dirfd, const char *path, mode_t mode)
{
    _cleanup_free_ char *part = xstrdup(path);

    for (char *p = part + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char keep = *p;
        *p = 0;
        if (mkdirat(dirfd, part, mode) < 0 && errno != EEXIST)
            return -errno;
        *p = keep;
        if (!keep)
            return 0;
    }
}

int io_open_dir(int dirfd, const char *path, DIR **ret)
{
    _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return -errno;
    TAKE_FD(fd);
    *ret = dir;
    return 0;
}

int io_next_entry(DIR *dir, struct dirent **ret)
{
    struct dirent *e;

    do {
        errno = 0;
        e = readdir(dir);
    } while (e && (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")));
    if (!e)
        return -errno;
    *ret = e;
    return 1;
}

int io_remove_tree(int dirfd, const char *path)
{
    if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int list = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (list < 0)
        return -errno;
    _cleanup_(closedirp) DIR *dir = fdopendir(list);
    if (!dir)
        return -errno;
    struct dirent *e;
    int r;
    while ((r = io_next_entry(dir, &e)) > 0)
        if ((r = io_remove_tree(fd, e->d_name)) < 0)
            break;
    if (r < 0)
        return r;
    return unlinkat(dirfd, path, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int io_open_nameless(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd < 0 ? -errno : fd;
    _cleanup_free_ char *path = xasprintf("%s/onward-XXXXXX", dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(path);
    return fd;
}
