#include "tree/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/log.h"

struct stream {
    struct node node;
    int fd;
};

static int stream_getattr(struct node *node, struct stat *st)
{
    struct stat file;

    if (fstat(((struct stream *)node)->fd, &file) < 0)
        return -errno;
    st->st_mode = S_IFREG | 0444;
    st->st_size = file.st_size;
    st->st_mtim = file.st_mtim;
    return 0;
}

static ssize_t stream_read(struct node *node, void *buf, size_t size, off_t off)
{
    ssize_t n = pread(((struct stream *)node)->fd, buf, size, off);

    return n < 0 ? -errno : n;
}

static void stream_free(struct node *node)
{
    closep(&((struct stream *)node)->fd);
}

static const struct node_ops stream_ops = {
    .kind = "stream",
    .getattr = stream_getattr,
    .read = stream_read,
    .free = stream_free,
};

int stream_node_new(struct node_table *table, uint64_t ino, const char *path, struct node **ret,
                    struct diag *reterr)
{
    struct stat st;

    if (stat(path, &st) == 0 && st.st_size > STREAM_MOST) {
        _cleanup_free_ char *old = xasprintf("%s.1", path);
        if (rename(path, old) < 0)
            return diag_fail(reterr, -errno, "cannot rename %s: %s", path, strerror(errno));
    }
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return diag_fail(reterr, -errno, "cannot open %s: %s", path, strerror(errno));
    struct stream *s = node_new(table, &stream_ops, sizeof(*s), ino);
    s->fd = fd;
    *ret = &s->node;
    return 0;
}

void stream_append(struct node *node, const char *lines, size_t len)
{
    int r = io_write_full(((struct stream *)node)->fd, lines, len);

    if (r < 0)
        log_warn("event-lost", "reason=\"%s\"", strerror(-r));
}
