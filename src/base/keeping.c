#include "base/keeping.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/helper.h"
#include "base/keeper.h"

/* Commands at once; more wait in the socket. */
#define MOST 2048
/* How often to look for what nobody tells: the lock, and the end of the rest of a group. */
#define LOOK (10 * NS_PER_MS)
/* For so long one looks for the rest of a group that was killed. Who is not gone by then will never
 * do anything any more: it hangs in the kernel, or nobody takes note of its death. */
#define GONE (2 * NS_PER_SEC)

#define SOCK HELPER_FD
#define LOCK (HELPER_FD + 1)

/* One command.
 *
 *     waits --start_command()--> runs --finish()--> (dropped)
 *                                  `--let_go_of(), finish()--> leaves --is_over()--> (dropped)
 *
 * It waits for the lock, if it must be alone. It leaves, when who ordered it is gone, until nothing
 * is left of its group. */
struct kept {
    /* ctl: -1 when who ordered it is gone; from spec on: until it was started */
    int fds[KEEPING_FDS];
    pid_t pid;                   /* 0: it waits */
    int pidfd;                   /* -1: it waits, or leaves: only the rest of its group is there */
    int64_t kill_after, kill_at; /* mono: when KILL is sent; INT64_MAX: never */
    int64_t leave_by;            /* mono: when the rest of its group is no longer waited for */
    bool alone;
};

/* What is polled of each. */
enum { POLL_CTL, POLL_PIDFD, POLL_SAID, POLLED };

static struct {
    struct kept v[MOST];
    size_t n;
    struct pollfd polled[1 + POLLED * MOST];
    bool locked, closed;
} keeping;

/* ---- the command itself ----------------------------------------------------------------------*/

static void tell(int ctl, enum keeper_what what, int value)
{
    struct keeper_news news = {what, value};

    if (ctl >= 0) /* who does not listen any more need not know */
        (void)!send(ctl, &news, sizeof(news), MSG_NOSIGNAL);
}

static void reset_signals(void)
{
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The strings at *at as an array that ends in NULL; *at moves behind them. */
static char **string_array(char **at, uint32_t n)
{
    char **array = mmap(NULL, (n + 1) * sizeof(*array), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (uint32_t i = 0; array != MAP_FAILED && i < n; i++) {
        array[i] = *at;
        *at += strlen(*at) + 1;
    }
    return array;
}

static struct keeping_spec *map_spec(int fd)
{
    struct stat st;
    void *p = fstat(fd, &st) < 0
                  ? MAP_FAILED
                  : mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

    return p == MAP_FAILED ? NULL : p;
}

/* Leaves the three standard descriptors, and `ctl` as the fourth. */
static int take_fds(const int fds[KEEPING_FDS])
{
    if (dup2(fds[KEEPING_IN], STDIN_FILENO) < 0 || dup2(fds[KEEPING_OUT], STDOUT_FILENO) < 0 ||
        dup2(fds[KEEPING_OUT], STDERR_FILENO) < 0 || dup2(fds[KEEPING_CTL], SOCK) < 0)
        return -1;
    fcntl(SOCK, F_SETFD, FD_CLOEXEC);
    return close_range(SOCK + 1, ~0u, 0);
}

/* In the new process. Returns only if it cannot be. It does not outlive the keeper. */
static void become(const int fds[KEEPING_FDS], pid_t keeper)
{
    struct keeping_spec *spec = map_spec(fds[KEEPING_SPEC]);

    if (!spec || take_fds(fds) < 0)
        return;
    char *at = (char *)(spec + 1), *path = at, *cwd = path + strlen(path) + 1;
    at = cwd + strlen(cwd) + 1;
    char **argv = string_array(&at, spec->nargv);
    char **envp = argv == MAP_FAILED ? argv : string_array(&at, spec->nenvp);
    if (envp == MAP_FAILED || setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        (!spec->privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
        return;
    if (getppid() != keeper)
        _exit(127);
    reset_signals();
    tell(SOCK, KEEPER_STARTED, getpid()); /* by itself: it never runs unknown, whoever dies */
    if (chdir(cwd) == 0)
        execve(path, argv, envp);
}

_Noreturn static void be_command(const int fds[KEEPING_FDS], pid_t keeper)
{
    become(fds, keeper);
    tell(SOCK, KEEPER_FAILED, errno);
    _exit(127);
}

/* ---- one command ----------------------------------------------------------------------------- */

static void close_from(struct kept *k, int first)
{
    for (int i = first; i < KEEPING_FDS; i++)
        closep(&k->fds[i]);
}

static void drop(struct kept *k)
{
    close_from(k, 0);
    closep(&k->pidfd);
    *k = keeping.v[--keeping.n];
}

/* Who ordered it wants it no more. */
static bool is_cancelled(const struct kept *k)
{
    struct pollfd p = {k->fds[KEEPING_CTL], POLLIN, 0};

    return poll(&p, 1, 0) > 0;
}

/* A new group, known to us before there is anybody else in it. */
static int fork_command(struct kept *k)
{
    pid_t keeper = getpid(), pid = fork();

    if (pid == 0)
        be_command(k->fds, keeper);
    if (pid < 0)
        return -errno;
    setpgid(pid, pid);
    k->pidfd = pidfd_open(pid, 0);
    if (k->pidfd < 0) {
        int err = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return err;
    }
    k->pid = pid;
    return 0;
}

static void start_command(struct kept *k)
{
    int r = is_cancelled(k) ? -ECANCELED : fork_command(k);

    if (r < 0) {
        tell(k->fds[KEEPING_CTL], KEEPER_FAILED, -r);
        drop(k);
    } else {
        close_from(k, KEEPING_SPEC);
    }
}

static bool may_start(const struct kept *k)
{
    if (k->alone && !keeping.locked)
        keeping.locked = fcntl(LOCK, F_GETFD) < 0 || flock(LOCK, LOCK_EX | LOCK_NB) == 0;
    return !k->alone || keeping.locked;
}

/* Who ordered it is gone. What its death leaves without a parent is ours, so that we see its end.
 */
static void let_go_of(struct kept *k)
{
    closep(&k->fds[KEEPING_CTL]);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (k->pidfd < 0)
        return;
    kill(-k->pid, SIGTERM);
    k->kill_at = clock_mono() + k->kill_after;
}

/* Signals for its group. False: it waited, and is dropped. */
static bool obey(struct kept *k)
{
    uint8_t signal;
    ssize_t n = recv(k->fds[KEEPING_CTL], &signal, 1, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (!k->pid) {
        tell(k->fds[KEEPING_CTL], KEEPER_FAILED, ECANCELED);
        drop(k);
        return false;
    }
    if (n == 1)
        kill(-k->pid, signal);
    else
        let_go_of(k);
    return true;
}

/* The command itself has ended. What is left of its group goes while the zombie still holds the
 * number. False: it is dropped. */
static bool finish(struct kept *k)
{
    siginfo_t info = {0};

    kill(-k->pid, SIGKILL);
    int status = waitid(P_PIDFD, k->pidfd, &info, WEXITED) < 0 ? 255
                 : info.si_code == CLD_EXITED                  ? info.si_status
                                                               : 128 + info.si_status;
    closep(&k->pidfd);
    tell(k->fds[KEEPING_CTL], KEEPER_ENDED, status);
    k->leave_by = clock_mono() + GONE;
    if (k->fds[KEEPING_CTL] < 0)
        return true;
    drop(k);
    return false;
}

/* Whether nothing is left of the group of one that leaves. */
static bool is_over(const struct kept *k)
{
    siginfo_t info;

    do
        info.si_pid = 0;
    while (waitid(P_PGID, k->pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid);
    return kill(-k->pid, 0) < 0 || clock_mono() >= k->leave_by;
}

/* Of one that nobody listens to any more. */
static void take_output(struct kept *k)
{
    static char chunk[1 << 16];
    ssize_t n = read(k->fds[KEEPING_SAID], chunk, sizeof(chunk));

    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        closep(&k->fds[KEEPING_SAID]);
}

/* What there is to be done for it now. It may be dropped: the last one is in its place then. */
static void attend(struct kept *k, const struct pollfd news[POLLED])
{
    if (news[POLL_SAID].revents)
        take_output(k);
    if ((news[POLL_CTL].revents && !obey(k)) || (news[POLL_PIDFD].revents && !finish(k)))
        return;
    if (!k->pid) {
        if (may_start(k))
            start_command(k);
    } else if (k->pidfd < 0) {
        if (is_over(k))
            drop(k);
    } else if (clock_mono() >= k->kill_at) {
        kill(-k->pid, SIGKILL);
        k->kill_at = INT64_MAX;
    }
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Takes the descriptors of an order. False: not all of them came. */
static bool take_order(struct msghdr *message, int fds[KEEPING_FDS])
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    size_t n = c ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

    for (int i = 0; i < KEEPING_FDS; i++)
        fds[i] = -1;
    if (n)
        memcpy(fds, CMSG_DATA(c), n * sizeof(int));
    for (int i = 0; n < KEEPING_FDS && i < KEEPING_FDS; i++)
        closep(&fds[i]);
    return n == KEEPING_FDS;
}

static void add(const int fds[KEEPING_FDS])
{
    static const struct pollfd none[POLLED];
    struct kept *k = &keeping.v[keeping.n++];
    struct keeping_spec spec;

    *k = (struct kept){.pidfd = -1, .kill_at = INT64_MAX};
    memcpy(k->fds, fds, sizeof(k->fds));
    if (pread(k->fds[KEEPING_SPEC], &spec, sizeof(spec), 0) != sizeof(spec)) {
        tell(k->fds[KEEPING_CTL], KEEPER_FAILED, EIO);
        drop(k);
        return;
    }
    k->kill_after = spec.kill_after;
    k->alone = spec.alone;
    attend(k, none);
}

static void receive(void)
{
    union {
        struct cmsghdr header; /* for its alignment */
        char room[CMSG_SPACE(KEEPING_FDS * sizeof(int))];
    } control;
    char c;
    struct iovec one = {&c, 1};
    struct msghdr message = {.msg_iov = &one,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    int fds[KEEPING_FDS];
    ssize_t n = recvmsg(SOCK, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        keeping.closed = true;
    else if (n > 0 && take_order(&message, fds))
        add(fds);
}

/* Milliseconds until a time comes. */
static int poll_time(void)
{
    int64_t next = INT64_MAX, now = clock_mono();

    for (size_t i = 0; i < keeping.n; i++) {
        const struct kept *k = &keeping.v[i];
        int64_t at = k->pidfd < 0 ? now + LOOK : k->kill_at;
        next = at < next ? at : next;
    }
    if (next == INT64_MAX)
        return -1;
    int64_t ms = (next - now + NS_PER_MS - 1) / NS_PER_MS;
    return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : ms;
}

static void wait_for_news(void)
{
    struct pollfd *p = keeping.polled;
    bool full = keeping.n == MOST;

    *p++ = (struct pollfd){keeping.closed || full ? -1 : SOCK, POLLIN, 0};
    for (size_t i = 0; i < keeping.n; i++) {
        const struct kept *k = &keeping.v[i];
        int said = k->fds[KEEPING_CTL] < 0 ? k->fds[KEEPING_SAID] : -1;
        *p++ = (struct pollfd){k->fds[KEEPING_CTL], POLLIN, 0};
        *p++ = (struct pollfd){k->pidfd, POLLIN, 0};
        *p++ = (struct pollfd){said, POLLIN, 0};
    }
    if (poll(keeping.polled, p - keeping.polled, poll_time()) < 0)
        while (p-- > keeping.polled)
            p->revents = 0;
}

/* A command that was just forked would lose a signal that we ignore: it finds it when it takes them
 * all. */
static void block_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
}

_Noreturn void keeping_run(int sock, int lock)
{
    const int fds[] = {sock, lock};

    block_signals();
    helper_begin(KEEPING_NAME, fds, lock < 0 ? 1 : 2);
    while (!keeping.closed || keeping.n) {
        wait_for_news();
        /* From behind: the last takes the place of one that is dropped. */
        for (size_t i = keeping.n; i-- > 0;)
            attend(&keeping.v[i], &keeping.polled[1 + POLLED * i]);
        if (keeping.polled[0].revents)
            receive();
    }
    _exit(0);
}
