#include "daemon/supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/respawn.h"

#define ENV_PARK       "ONWARDFS_PARK"
#define ENV_MOUNTPOINT "ONWARDFS_MOUNTPOINT"

#define LOOK_MS 50

struct supervisor {
    const struct supervised *what;
    struct park park;
    sigset_t signals;
    int signal_fd;
    char program[PATH_MAX]; /* where we were started from */
    bool from_disk;         /* workers are started from there */
    bool is_from_disk;      /* the worker that there is */
    bool asked;             /* …and it was killed for another one */
    bool served;            /* it came to that */
    bool late;              /* it was killed, as it did not */
    bool ending;
    pid_t self, worker;
    struct respawn respawn;
};

/* The worker */

/* Passes the park on to a program. */
static void start_program(struct supervisor *s)
{
    char ends[32];

    snprintf(ends, sizeof(ends), "%d,%d", s->park.ends[0], s->park.ends[1]);
    if (setenv(ENV_PARK, ends, 1) < 0 || setenv(ENV_MOUNTPOINT, s->what->mountpoint, 1) < 0)
        _exit(1);
    fcntl(s->park.ends[0], F_SETFD, 0);
    fcntl(s->park.ends[1], F_SETFD, 0);
    execv(s->program, s->what->argv);
    _exit(127);
}

_Noreturn static void be_worker(struct supervisor *s)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* S3 */
    if (getppid() != s->self)
        _exit(1);
    prctl(PR_SET_NAME, "onwardfs");
    closep(&s->signal_fd);
    /* SIGTERM and its like stay blocked: one that comes now is for whoever waits for it later. */
    sigset_t free = s->signals;
    sigdelset(&free, SIGTERM);
    sigdelset(&free, SIGINT);
    sigdelset(&free, SIGHUP);
    sigprocmask(SIG_UNBLOCK, &free, NULL);
    if (s->from_disk)
        start_program(s);
    exit(s->what->work(&s->park, s->what->arg));
}

static int start(struct supervisor *s)
{
    s->is_from_disk = s->from_disk;
    s->asked = s->served = s->late = false;
    s->worker = fork();
    if (s->worker == 0)
        be_worker(s);
    return s->worker < 0 ? -errno : 0;
}

/* Waiting */

/* Threads that may be waiting, in the kernel, for the answer to a request (mount/notifier.h,
 * mount/prefetch.h, mount/evictor.h): of a worker that has died, only the next one can give it.
 * They do nothing else. */
static const char *const tellers[] = {"notifier\n", "prefetch\n", "evictor\n"};

static bool is_teller(const char *pid, const char *thread)
{
    _cleanup_free_ char *path = xasprintf("/proc/%s/task/%s/comm", pid, thread);
    _cleanup_(buf_done) struct buf name = {0};

    if (io_read_file(AT_FDCWD, path, 64, &name) < 0)
        return true; /* it has ended meanwhile */
    for (size_t i = 0; i < ARRAY_SIZE(tellers); i++)
        if (!strcmp(buf_str(&name), tellers[i]))
            return true;
    return false;
}

/* Has the worker been killed, and does nothing any more? */
static bool is_past(pid_t worker)
{
    _cleanup_free_ char *pid = xasprintf("%d", (int)worker);
    _cleanup_free_ char *path = xasprintf("/proc/%s/task", pid);
    _cleanup_free_ char *stat = xasprintf("/proc/%s/stat", pid);
    _cleanup_(buf_done) struct buf text = {0};

    if (io_read_file(AT_FDCWD, stat, 4096, &text) < 0)
        return false;
    const char *state = strrchr(buf_str(&text), ')');
    if (!state || strncmp(state, ") Z", 3) != 0) /* of its first thread */
        return false;
    _cleanup_(closedirp) DIR *dir = opendir(path);
    int left = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (*e->d_name == '.' || !strcmp(e->d_name, pid))
            continue;
        if (!is_teller(pid, e->d_name))
            return false;
        left++;
    }
    return left > 0; /* else it is ended in a moment, and we are told */
}

static void upgrade(struct supervisor *s)
{
    s->from_disk = s->asked = true;
    if (s->worker)
        kill(s->worker, SIGKILL);
}

static void take_signal(struct supervisor *s)
{
    struct signalfd_siginfo info;

    if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGCHLD)
        return;
    if (info.ssi_signo == SIGUSR2) {
        upgrade(s);
    } else {
        s->ending = true;
        if (s->worker)
            kill(s->worker, info.ssi_signo);
    }
}

/* Waits for all that have ended, those before it among them. */
static bool has_ended(struct supervisor *s, int *ret_status)
{
    bool ended = false;
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == s->worker) {
            *ret_status = status;
            ended = true;
        }
    return ended;
}

/* One that an upgrade has started may be anything. */
static void end_patience(struct supervisor *s, int64_t since)
{
    s->served |= park_was_told(&s->park);
    if (!s->is_from_disk || s->served || s->late || clock_mono() - since < SUPERVISOR_PATIENCE)
        return;
    s->late = true;
    log_warn("program-not-serving", "program=\"%s\"", s->program);
    kill(s->worker, SIGKILL);
}

/* How the worker ended, as of waitpid(2): as soon as none of it does anything any more (S2). Of a
 * process that is dead but for a thread the kernel tells nothing, so it is looked at. */
static int wait_for_end(struct supervisor *s, int64_t since)
{
    struct pollfd p = {.fd = s->signal_fd, .events = POLLIN};
    int status = 0;

    for (;;) {
        if (poll(&p, 1, LOOK_MS) > 0)
            take_signal(s);
        if (has_ended(s, &status))
            return status;
        if (is_past(s->worker))
            return SIGKILL;
        end_patience(s, since);
    }
}

/* Unless it is to end: then the next one has to unmount. */
static void pause_for(struct supervisor *s, int64_t ns)
{
    struct pollfd p = {.fd = s->signal_fd, .events = POLLIN};
    int64_t end = clock_mono() + ns;

    s->worker = 0;
    for (int64_t left = ns; left > 0 && !s->ending; left = end - clock_mono())
        if (poll(&p, 1, left / NS_PER_MS + 1) > 0)
            take_signal(s);
}

static int in_words(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A worker has died; what it served cannot be taken over. */
static void say_lost(const struct supervisor *s, int status)
{
    _cleanup_free_ char *how = command_status(in_words(status));

    log_error("mount-lost",
              "mountpoint=\"%s\" reason=\"%s, and left nothing to take over\" "
              "remedy=\"fusermount3 -uz %s\"",
              s->what->mountpoint, how, s->what->mountpoint);
}

/* A worker has died and left a mount: true if there shall be another one. */
static bool go_on(struct supervisor *s, int status, int64_t lived)
{
    _cleanup_free_ char *how = command_status(in_words(status));
    const struct respawn_end end = {
        .killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
        .asked = s->asked,
        .served = s->served,
        .lived = lived,
    };
    int64_t delay = respawn_after(&s->respawn, &end);

    if (delay < 0) {
        log_error("mount-lost",
                  "mountpoint=\"%s\" reason=\"%s, %d times in a row too soon\" "
                  "remedy=\"fusermount3 -uz %s\"",
                  s->what->mountpoint, how, s->respawn.failures, s->what->mountpoint);
        return false;
    }
    log_warn("worker-died", "how=\"%s\" mountpoint=\"%s\" next=\"another one takes over\"", how,
             s->what->mountpoint);
    if (s->respawn.failures && s->is_from_disk) {
        log_warn("program-given-up", "program=\"%s\" next=\"the one that it was mounted with\"",
                 s->program);
        s->from_disk = false;
    }
    pause_for(s, delay);
    return true;
}

static int prepare(struct supervisor *s, struct diag *reterr)
{
    ssize_t n = readlink("/proc/self/exe", s->program, sizeof(s->program) - 1);
    int r = n < 0 ? -errno : park_open(&s->park);

    if (r < 0)
        return diag_fail(reterr, r, "cannot supervise: %s", strerror(-r));
    s->self = getpid();
    prctl(PR_SET_NAME, SUPERVISOR_NAME);
    sigemptyset(&s->signals);
    static const int ours[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR2};
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        sigaddset(&s->signals, ours[i]);
    sigprocmask(SIG_BLOCK, &s->signals, NULL);
    s->signal_fd = signalfd(-1, &s->signals, SFD_CLOEXEC);
    return s->signal_fd < 0 ? diag_fail(reterr, -errno, "cannot supervise: %s", strerror(errno))
                            : 0;
}

int supervisor_run(const struct supervised *what, struct diag *reterr)
{
    struct supervisor s = {.what = what, .park = PARK_NONE};
    int r = prepare(&s, reterr), status = 0;

    if (r < 0)
        return r;
    for (bool again = true; again;) {
        int64_t since = clock_mono();
        r = start(&s);
        if (r < 0) {
            diag_fail(reterr, r, "cannot start a process: %s", strerror(-r));
            break;
        }
        what->started(what->arg);
        if (s.ending)
            kill(s.worker, SIGTERM);
        status = wait_for_end(&s, since);
        s.served |= park_was_told(&s.park);
        again = park_is_full(&s.park) && go_on(&s, status, clock_mono() - since);
    }
    if (r == 0 && WIFSIGNALED(status) && !park_is_full(&s.park))
        say_lost(&s, status);
    park_close(&s.park);
    closep(&s.signal_fd);
    return r < 0 ? r : in_words(status);
}

bool supervisor_inherit(struct park *ret, const char **ret_mountpoint)
{
    const char *ends = getenv(ENV_PARK), *mountpoint = getenv(ENV_MOUNTPOINT);
    struct park p;

    if (!ends || !mountpoint || sscanf(ends, "%d,%d", &p.ends[0], &p.ends[1]) != 2)
        return false;
    for (int i = 0; i < 2; i++)
        if (fcntl(p.ends[i], F_SETFD, FD_CLOEXEC) < 0)
            return false;
    unsetenv(ENV_PARK);
    *ret = p;
    *ret_mountpoint = mountpoint;
    return true;
}
