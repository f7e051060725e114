#include "base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/tail.h"

/* Bytes taken from the pipe before looking at anything else. */
#define PIPE_MOST (1 << 18)

/* A command under way. */
struct run {
    const struct command *command;
    struct command_end *end;
    pid_t pid;    /* also its process group */
    int pidfd;    /* readable once the command itself has ended; keeps `pid` from being reused */
    int out;      /* what it says; -1: it has closed that */
    int stop_fd;  /* -1: none, or already taken in */
    int64_t next; /* mono: when TERM is sent, then when KILL is; INT64_MAX: was sent */
    struct tail tail;
};

/* The request as a file: a command that reads none of it, or closes it, is no special case. */
static int make_input(const struct command *c)
{
    _cleanup_close_ int fd = memfd_create("onward-request", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    int r = io_pwrite_full(fd, c->input, c->input_len, 0);
    return r < 0 ? r : TAKE_FD(fd);
}

static int set_attributes(posix_spawnattr_t *attr)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attr, &none);
    posix_spawnattr_setsigdefault(attr, &all);
    posix_spawnattr_setpgroup(attr, 0);
    return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
}

static int set_actions(posix_spawn_file_actions_t *actions, const struct command *c, int in,
                       int out)
{
    int e;

    if ((e = posix_spawn_file_actions_adddup2(actions, in, STDIN_FILENO)) ||
        (e = posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO)) ||
        (e = posix_spawn_file_actions_adddup2(actions, out, STDERR_FILENO)))
        return e;
    /* Close before the change of directory: that one goes through the mount, and if the daemon were
     * killed meanwhile, a copy of its FUSE descriptor would keep the dead mount waiting for ever.
     */
    if ((e = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1)))
        return e;
    return posix_spawn_file_actions_addchdir_np(actions, c->cwd);
}

/* A positive errno, 0 on success. */
static int spawn(const struct command *c, int in, int out, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    int e = set_actions(&actions, c, in, out);
    if (!e)
        e = set_attributes(&attr);
    if (!e)
        e = posix_spawn(ret, c->path, &actions, &attr, (char *const *)c->argv,
                        (char *const *)c->envp);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

static int start(struct run *run, struct diag *reterr)
{
    const struct command *c = run->command;
    _cleanup_close_ int in = make_input(c);
    int pipe_fds[2];

    if (in < 0)
        return diag_fail(reterr, in, "cannot keep the request: %s", strerror(-in));
    if (!c->privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return diag_fail(reterr, -errno, "cannot give up privileges: %m");
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return diag_fail(reterr, -errno, "cannot make a pipe: %m");
    _cleanup_close_ int theirs = pipe_fds[1];
    run->out = pipe_fds[0];
    fcntl(run->out, F_SETFL, O_NONBLOCK);
    int e = spawn(c, in, theirs, &run->pid);
    if (e)
        return diag_fail(reterr, -e, "cannot start %s in %s: %s", c->path, c->cwd, strerror(e));
    run->pidfd = pidfd_open(run->pid, 0);
    if (run->pidfd >= 0)
        return 0;
    e = errno; /* without it there is no waiting with a limit */
    kill(-run->pid, SIGKILL);
    waitpid(run->pid, NULL, 0);
    return diag_fail(reterr, -e, "cannot watch %s: %s", c->path, strerror(e));
}

/* Takes what the pipe holds now, at most about `most` bytes. */
static void take_output(struct run *run, size_t most)
{
    char chunk[65536];
    size_t took = 0;

    while (run->out >= 0 && took < most) {
        ssize_t n = read(run->out, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            closep(&run->out);
            return;
        }
        tail_add(&run->tail, chunk, n);
        took += n;
    }
}

/* TERM first; KILL when that has not helped. */
static void enforce(struct run *run)
{
    if (clock_mono() < run->next)
        return;
    bool first = !run->end->timed_out && !run->end->stopped;
    if (first)
        run->end->timed_out = true;
    kill(-run->pid, first ? SIGTERM : SIGKILL);
    run->next = first ? clock_mono() + run->command->kill_after : INT64_MAX;
}

static void stop(struct run *run)
{
    run->stop_fd = -1;
    if (run->end->timed_out)
        return;
    run->end->stopped = true;
    kill(-run->pid, SIGTERM);
    run->next = clock_mono() + run->command->kill_after;
}

/* Milliseconds for poll(), rounded up so that it does not spin just before the time. */
static int poll_time(const struct run *run)
{
    if (run->next == INT64_MAX)
        return -1;
    int64_t ms = (run->next - clock_mono() + NS_PER_MS - 1) / NS_PER_MS;
    return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : ms;
}

/* Reads and waits until the command itself has ended. */
static void attend(struct run *run)
{
    for (;;) {
        struct pollfd fds[] = {
            {run->pidfd, POLLIN, 0}, {run->out, POLLIN, 0}, {run->stop_fd, POLLIN, 0}};
        if (poll(fds, ARRAY_SIZE(fds), poll_time(run)) < 0 && errno != EINTR)
            return;
        if (fds[1].revents)
            take_output(run, PIPE_MOST);
        if (fds[0].revents)
            return;
        if (fds[2].revents)
            stop(run);
        enforce(run);
    }
}

/* What is left of its group goes while the zombie still holds the number. Who left the group and
 * keeps the pipe open is not waited for: a full pipe's worth is taken, then it is closed. */
static void finish(struct run *run)
{
    siginfo_t info = {0};

    kill(-run->pid, SIGKILL);
    if (waitid(P_PIDFD, run->pidfd, &info, WEXITED) < 0)
        run->end->status = 255;
    else
        run->end->status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    take_output(run, PIPE_MOST);
    tail_take(&run->tail, &run->end->output);
}

int command_run(const struct command *c, struct command_end *ret, struct diag *reterr)
{
    struct command_end end = {0};
    struct run run = {.command = c,
                      .end = &end,
                      .pidfd = -1,
                      .out = -1,
                      .stop_fd = c->stop_fd,
                      .tail = {.most = c->keep}};

    run.next = clock_mono() + c->timeout;
    int r = start(&run, reterr);
    if (r == 0) {
        attend(&run);
        finish(&run);
        *ret = end;
    }
    closep(&run.pidfd);
    closep(&run.out);
    return r;
}

char *command_find(const char *name)
{
    if (*name == '/')
        return xstrdup(name);
    for (const char *dir = COMMAND_PATH; *dir;) {
        int len = strcspn(dir, ":");
        char *path = xasprintf("%.*s/%s", len, dir, name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
        dir += len + (dir[len] == ':');
    }
    return NULL;
}

void command_strings_done(struct command_strings *s)
{
    vec_foreach (p, s)
        free(*p);
    free(s->v);
}

void command_strings_clean(struct command_strings *env, const char *home)
{
    *VEC_ADD(env) = xstrdup("PATH=" COMMAND_PATH);
    *VEC_ADD(env) = xasprintf("HOME=%s", home);
    *VEC_ADD(env) = xstrdup("LANG=C.UTF-8");
}

char *command_home(void)
{
    struct passwd entry, *found = NULL;
    char text[4096];

    if (getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) || !found || !*entry.pw_dir)
        return xstrdup("/");
    return xstrdup(entry.pw_dir);
}

char *command_status(int status)
{
    const char *signal = status > 128 ? sigabbrev_np(status - 128) : NULL;

    return signal ? xasprintf("killed by SIG%s", signal) : xasprintf("exit status %d", status);
}
