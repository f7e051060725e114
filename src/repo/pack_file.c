#include "repo/pack_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"

static int open_at_path(const char *path, struct stat *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

    if (fd < 0)
        return -errno;
    r = fstat(fd, ret) < 0 ? -errno : S_ISREG(ret->st_mode) ? 0 : -EBADMSG;
    if (r < 0)
        closep(&fd);
    return r < 0 ? r : fd;
}

int pack_file_open(struct pack_file *f, const char *path)
{
    struct stat st;
    int fd = open_at_path(path, &st);

    if (fd < 0)
        return fd;
    *f = (struct pack_file){.path = xstrdup(path),
                            .fd = fd,
                            .size = st.st_size,
                            .dev = st.st_dev,
                            .ino = st.st_ino,
                            .mtime = st.st_mtim};
    return 0;
}

void pack_file_done(struct pack_file *f)
{
    closep(&f->fd);
    free(TAKE(f->path));
}

void pack_file_rest(struct pack_file *f)
{
    closep(&f->fd);
}

bool pack_file_is(const struct pack_file *f, const struct stat *st)
{
    return f->dev == st->st_dev && f->ino == st->st_ino && f->size == (uint64_t)st->st_size &&
           f->mtime.tv_sec == st->st_mtim.tv_sec && f->mtime.tv_nsec == st->st_mtim.tv_nsec;
}

int pack_file_wake(const struct pack_file *f)
{
    struct stat st;
    int fd = open_at_path(f->path, &st);

    if (fd >= 0 && !pack_file_is(f, &st)) {
        closep(&fd);
        return -EBADMSG;
    }
    return fd == -ENOENT ? -EBADMSG : fd;
}

static int read_all(int fd, char *buf, size_t len, uint64_t at)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, buf + done, len - done, at + done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EBADMSG;
        done += n;
    }
    return 0;
}

int pack_file_read(const struct pack_file *f, void *buf, size_t len, uint64_t at)
{
    if (f->fd >= 0)
        return read_all(f->fd, buf, len, at);
    _cleanup_close_ int fd = pack_file_wake(f);
    return fd < 0 ? fd : read_all(fd, buf, len, at);
}
