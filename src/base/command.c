#include "base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/keeper.h"
#include "base/tail.h"

/* Bytes taken from the pipe before looking at anything else. */
#define PIPE_MOST (1 << 18)

/* A command under way. */
struct run {
    const struct command *command;
    struct command_end *end;
    int ctl;      /* of the keeper; -1: no more comes from there */
    pid_t pid;    /* its process group; 0: it was not started yet */
    int err;      /* -errno: it could not be started, or the keeper died */
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

static int start(struct run *run, struct diag *reterr)
{
    const struct command *c = run->command;
    _cleanup_close_ int in = make_input(c);
    int pipe_fds[2];

    if (in < 0)
        return diag_fail(reterr, in, "cannot keep the request: %s", strerror(-in));
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return diag_fail(reterr, -errno, "cannot make a pipe: %m");
    _cleanup_close_ int theirs = pipe_fds[1];
    run->out = pipe_fds[0];
    fcntl(run->out, F_SETFL, O_NONBLOCK);
    struct keeper_order order = {.path = c->path,
                                 .cwd = c->cwd,
                                 .argv = c->argv,
                                 .envp = c->envp,
                                 .in = in,
                                 .out = theirs,
                                 .said = run->out,
                                 .kill_after = c->kill_after,
                                 .privileges = c->privileges,
                                 .alone = c->alone};
    return keeper_start(&order, &run->ctl, reterr);
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

static void send_signal(struct run *run, uint8_t signal)
{
    if (send(run->ctl, &signal, 1, MSG_NOSIGNAL) < 0)
        run->next = INT64_MAX; /* the keeper died: that is told, too */
}

/* TERM first; KILL when that has not helped. */
static void enforce(struct run *run)
{
    if (clock_mono() < run->next)
        return;
    bool first = !run->end->timed_out && !run->end->stopped;
    if (first)
        run->end->timed_out = true;
    run->next = first ? clock_mono() + run->command->kill_after : INT64_MAX;
    send_signal(run, first ? SIGTERM : SIGKILL);
}

static void stop(struct run *run)
{
    run->stop_fd = -1;
    if (run->end->timed_out)
        return;
    run->end->stopped = true;
    run->next = clock_mono() + run->command->kill_after;
    send_signal(run, SIGTERM);
}

/* Takes one message of the keeper's, if there is one. */
static void take_news(struct run *run)
{
    struct keeper_news news;
    ssize_t n = recv(run->ctl, &news, sizeof(news), 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))
        return; /* reset: a signal was sent too late; what it told before is still to be read */
    bool told = n == sizeof(news);
    if (told && news.what == KEEPER_STARTED) {
        run->pid = news.value;
        if (!run->end->stopped)
            run->next = clock_mono() + run->command->timeout;
    } else if (told && news.what == KEEPER_FAILED) {
        run->err = -news.value;
    } else {
        run->end->status = told ? news.value : 128 + SIGTERM;
        if (!told && !run->err)
            run->err = -EPIPE;
        closep(&run->ctl);
    }
}

/* Milliseconds for poll(), rounded up so that it does not spin just before the time. */
static int poll_time(const struct run *run)
{
    if (run->next == INT64_MAX)
        return -1;
    int64_t ms = (run->next - clock_mono() + NS_PER_MS - 1) / NS_PER_MS;
    return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : ms;
}

/* Reads and waits until the command itself has ended. Who left its group and keeps the pipe open is
 * not waited for: a full pipe's worth is taken then. */
static void attend(struct run *run)
{
    while (run->ctl >= 0) {
        struct pollfd fds[] = {
            {run->ctl, POLLIN, 0}, {run->out, POLLIN, 0}, {run->stop_fd, POLLIN, 0}};
        if (poll(fds, ARRAY_SIZE(fds), poll_time(run)) < 0)
            continue; /* EINTR */
        if (fds[1].revents)
            take_output(run, PIPE_MOST);
        if (fds[0].revents)
            take_news(run);
        if (run->ctl >= 0 && fds[2].revents)
            stop(run);
        if (run->ctl >= 0)
            enforce(run);
    }
    take_output(run, PIPE_MOST);
    tail_take(&run->tail, &run->end->output);
}

/* Why nothing can be said of its end. */
static int fail(const struct run *run, struct diag *reterr)
{
    const struct command *c = run->command;

    if (!run->pid || run->err != -EPIPE)
        return diag_fail(reterr, run->err, "cannot start %s in %s: %s", c->path, c->cwd,
                         strerror(-run->err));
    kill(-run->pid, SIGKILL);
    return diag_fail(reterr, -EPIPE, "the process that %s was started by has died", c->path);
}

int command_run(const struct command *c, struct command_end *ret, struct diag *reterr)
{
    struct command_end end = {0};
    struct run run = {.command = c,
                      .end = &end,
                      .ctl = -1,
                      .out = -1,
                      .stop_fd = c->stop_fd,
                      .next = INT64_MAX,
                      .tail = {.most = c->keep}};
    int r = start(&run, reterr);

    if (r == 0) {
        attend(&run);
        bool never = end.stopped && run.err == -ECANCELED; /* it was still waiting */
        r = run.err < 0 && !never ? fail(&run, reterr) : 0;
    }
    if (r < 0)
        buf_done(&end.output);
    else
        *ret = end;
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
