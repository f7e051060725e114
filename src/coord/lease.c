#include "coord/lease.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/log.h"

#define NOTE_MOST      4096
#define INHERITED_MOST 2

struct lease {
    int fd;
    bool ending; /* the note says so */
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

/* Open files with locks that are ours already; -1: none. */
static int inherited[INHERITED_MOST] = {-1, -1};

void lease_inherit(int fd)
{
    size_t i = 0;

    while (i < INHERITED_MOST && inherited[i] >= 0)
        i++;
    assert(i < INHERITED_MOST);
    inherited[i] = fd;
}

/* Puts the one of the same file in its place: the lock belongs to the open file. */
static bool find_inherited(int *fd)
{
    struct stat own, st;

    if (fstat(*fd, &own) < 0)
        return false;
    for (size_t i = 0; i < INHERITED_MOST; i++)
        if (inherited[i] >= 0 && fstat(inherited[i], &st) == 0 && st.st_dev == own.st_dev &&
            st.st_ino == own.st_ino) {
            close(*fd);
            *fd = TAKE_FD(inherited[i]);
            return true;
        }
    return false;
}

int lease_take(const char *path, const char *note, struct lease **ret, struct diag *reterr)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0)
        return diag_fail(reterr, -errno, "cannot open %s: %s", path, strerror(errno));
    if (!find_inherited(&fd) && flock(fd, LOCK_EX | LOCK_NB) < 0)
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

/* A note that ends in this says that its writer is about to let go. */
#define ENDING " is ending"

static bool is_ending(const struct diag *why)
{
    size_t len = strlen(why->text);

    return len > strlen(ENDING) && !strcmp(why->text + len - strlen(ENDING), ENDING);
}

int lease_wait(const char *path, const char *note, struct lease **ret, struct diag *reterr)
{
    int64_t start = clock_mono();

    for (;;) {
        _cleanup_(diag_done) struct diag why = {0};
        int r = lease_take(path, note, ret, &why);
        int64_t waited = clock_mono() - start;
        bool again = r == -EBUSY && waited < (is_ending(&why) ? LEASE_PATIENCE : NS_PER_SEC / 2);
        if (r == 0 || !again)
            return r == 0 ? 0 : diag_fail(reterr, r, "%s", diag_text(&why, r));
        nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
    }
}

void lease_ending(struct lease *l)
{
    struct stat st;
    char last = 0;

    /* Over the newline at the end of the note. */
    if (!l || l->ending)
        return;
    l->ending = true;
    if (fstat(l->fd, &st) == 0 && st.st_size > 0 && pread(l->fd, &last, 1, st.st_size - 1) == 1 &&
        last == '\n' && io_pwrite_full(l->fd, ENDING "\n", strlen(ENDING "\n"), st.st_size - 1) < 0)
        log_debug("note-not-written", "reason=\"%s\"", strerror(errno));
}

int lease_fd(const struct lease *l)
{
    return l->fd;
}

void lease_free(struct lease *l)
{
    if (!l)
        return;
    closep(&l->fd);
    free(l);
}
