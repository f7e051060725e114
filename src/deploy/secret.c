#include "deploy/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"

void secret_done(struct buf *secret)
{
    if (secret->data)
        explicit_bzero(secret->data, secret->cap);
    buf_done(secret);
}

/* Whether it is a file that nobody but its owner can read. */
static int examine(int fd, const char *path, struct diag *reterr)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return diag_fail(reterr, -errno, "cannot read the secret %s: %m", path);
    if (!S_ISREG(st.st_mode))
        return diag_fail(reterr, -EINVAL, "the secret %s is not a file", path);
    if (st.st_mode & 077)
        return diag_fail(reterr, -EPERM, "others may read or write the secret %s: chmod 600 %s",
                         path, path);
    return 0;
}

int secret_read(const char *path, struct buf *ret, struct diag *reterr)
{
    _cleanup_(secret_done) struct buf text = {0};
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return diag_fail(reterr, -errno, "cannot read the secret %s: %m", path);
    int r = examine(fd, path, reterr);
    if (r < 0)
        return r;
    r = io_read_fd(fd, SECRET_MOST, &text);
    if (r < 0)
        return diag_fail(reterr, r, "cannot read the secret %s: %s", path, strerror(-r));
    while (text.len && strchr("\r\n", text.data[text.len - 1]))
        text.data[--text.len] = 0;
    if (!text.len)
        return diag_fail(reterr, -EINVAL, "the secret %s is empty", path);
    *ret = text;
    text = (struct buf){0};
    return 0;
}
