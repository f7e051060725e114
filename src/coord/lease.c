#include "coord/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"

#define NOTE_MOST 4096

struct lease {
    int fd;
};

static int busy(int fd, const char *path, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf note = {0};

    io_read_fd(fd, NOTE_MOST, &note);
    char *end = strchrnul(buf_str(&note), '\n');
    return diag_fail(reterr, -EBUSY, "%s is held by %.*s", path,
                     note.len ? (int)(end - note.data) : 15,
                     note.len ? note.data : "another process");
}

int lease_take(const char *path, const char *note, struct lease **ret, struct diag *reterr)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0)
        return diag_fail(reterr, -errno, "cannot open %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? busy(fd, path, reterr)
                   : diag_fail(reterr, -errno, "cannot lock %s: %s", path, strerror(errno));
    _cleanup_free_ char *line = xasprintf("%s\n", note);
    int r = ftruncate(fd, 0) < 0 ? -errno : io_pwrite_full(fd, line, strlen(line), 0);
    if (r < 0)
        return diag_fail(reterr, r, "cannot write %s: %s", path, strerror(-r));
    struct lease *l = NEW(struct lease);
    l->fd = TAKE_FD(fd);
    *ret = l;
    return 0;
}

void lease_free(struct lease *l)
{
    if (!l)
        return;
    closep(&l->fd);
    free(l);
}
