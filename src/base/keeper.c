#include "base/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/keeping.h"

static struct {
    pthread_mutex_t lock;
    int sock; /* -1: there is none */
    pid_t pid;
    char *file;  /* of the lock */
    int program; /* the very one that we were started with, however long ago; -1: none */
} keeper = {.lock = PTHREAD_MUTEX_INITIALIZER, .sock = -1, .program = -1};

static int open_lock(int *ret, struct diag *reterr)
{
    *ret = keeper.file ? open(keeper.file, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644) : -1;
    if (keeper.file && *ret < 0)
        return diag_fail(reterr, -errno, "cannot open %s: %m", keeper.file);
    return 0;
}

/* Is the keeper: the program, told its descriptors by number, or else a fork. */
_Noreturn static void be_keeper(int sock, int lock, char *const argv[])
{
    fcntl(sock, F_SETFD, 0);
    if (lock >= 0)
        fcntl(lock, F_SETFD, 0);
    if (keeper.program >= 0)
        execveat(keeper.program, "", argv, environ, AT_EMPTY_PATH);
    keeping_run(sock, lock);
}

static int begin(struct diag *reterr)
{
    _cleanup_close_ int lock = -1;
    char numbers[2][16];
    int pair[2], r = open_lock(&lock, reterr);

    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return diag_fail(reterr, -errno, "cannot make a socket: %m");
    snprintf(numbers[0], sizeof(numbers[0]), "%d", pair[1]);
    snprintf(numbers[1], sizeof(numbers[1]), "%d", lock);
    pid_t pid = fork();
    r = -errno;
    if (pid == 0)
        be_keeper(pair[1], lock, (char *[]){KEEPING_NAME, numbers[0], numbers[1], NULL});
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return diag_fail(reterr, r, "cannot start the process that starts commands: %s",
                         strerror(-r));
    }
    keeper.sock = pair[0];
    keeper.pid = pid;
    return 0;
}

static void end(void)
{
    if (keeper.sock < 0)
        return;
    closep(&keeper.sock);
    while (waitpid(keeper.pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* What keeper_begin() was told. */
static void forget(void)
{
    free(TAKE(keeper.file));
    closep(&keeper.program);
}

int keeper_begin(const char *lock, const char *program, struct diag *reterr)
{
    pthread_mutex_lock(&keeper.lock);
    end();
    forget();
    keeper.file = lock ? xstrdup(lock) : NULL;
    keeper.program = program ? open(program, O_PATH | O_CLOEXEC) : -1;
    int r = begin(reterr);
    pthread_mutex_unlock(&keeper.lock);
    return r;
}

void keeper_end(void)
{
    pthread_mutex_lock(&keeper.lock);
    end();
    forget();
    pthread_mutex_unlock(&keeper.lock);
}

/* ---- orders -----------------------------------------------------------------------------------*/

static uint32_t add_strings(struct buf *out, const char *const *strings)
{
    uint32_t n = 0;

    for (; strings[n]; n++)
        buf_add(out, strings[n], strlen(strings[n]) + 1);
    return n;
}

/* The descriptor. */
static int write_spec(const struct keeper_order *o)
{
    _cleanup_close_ int fd = memfd_create("onward-command", MFD_CLOEXEC);
    _cleanup_(buf_done) struct buf out = {0};
    struct keeping_spec spec = {
        .kill_after = o->kill_after, .privileges = o->privileges, .alone = o->alone};
    const char *const first[] = {o->path, o->cwd, NULL};

    if (fd < 0)
        return -errno;
    buf_add(&out, &spec, sizeof(spec));
    add_strings(&out, first);
    spec.nargv = add_strings(&out, o->argv);
    spec.nenvp = add_strings(&out, o->envp);
    memcpy(out.data, &spec, sizeof(spec));
    int r = io_write_full(fd, out.data, out.len);
    return r < 0 ? r : TAKE_FD(fd);
}

static int send_order(const int fds[KEEPING_FDS])
{
    union {
        struct cmsghdr header; /* for its alignment */
        char room[CMSG_SPACE(KEEPING_FDS * sizeof(int))];
    } control = {0};
    struct iovec one = {"c", 1};
    struct msghdr message = {.msg_iov = &one,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control.room)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS,
                          .cmsg_len = CMSG_LEN(KEEPING_FDS * sizeof(int))};
    memcpy(CMSG_DATA(c), fds, KEEPING_FDS * sizeof(int));
    return sendmsg(keeper.sock, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Sends it to a keeper that is there, or to a new one. */
static int send_anyhow(const int fds[KEEPING_FDS], struct diag *reterr)
{
    pthread_mutex_lock(&keeper.lock);
    int r = keeper.sock < 0 ? begin(reterr) : 0;
    int sent = r < 0 ? r : send_order(fds);
    if (r == 0 && (sent == -EPIPE || sent == -ECONNRESET)) {
        end();
        r = begin(reterr);
        sent = r < 0 ? r : send_order(fds);
    }
    pthread_mutex_unlock(&keeper.lock);
    if (r == 0 && sent < 0)
        return diag_fail(reterr, sent, "cannot reach the process that starts commands: %s",
                         strerror(-sent));
    return r;
}

int keeper_start(const struct keeper_order *order, int *ret, struct diag *reterr)
{
    _cleanup_close_ int spec = write_spec(order);
    int pair[2];

    if (spec < 0)
        return diag_fail(reterr, spec, "cannot keep the command: %s", strerror(-spec));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return diag_fail(reterr, -errno, "cannot make a socket: %m");
    _cleanup_close_ int ours = pair[0], theirs = pair[1];
    const int fds[KEEPING_FDS] = {[KEEPING_CTL] = theirs,
                                  [KEEPING_SAID] = order->said,
                                  [KEEPING_SPEC] = spec,
                                  [KEEPING_IN] = order->in,
                                  [KEEPING_OUT] = order->out};
    int r = send_anyhow(fds, reterr);
    if (r == 0)
        *ret = TAKE_FD(ours);
    return r;
}
