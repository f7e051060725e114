#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/helper.h"
#include "base/io.h"
#include "base/keeping.h"
#include "base/log.h"
#include "daemon/confine.h"
#include "daemon/daemon.h"
#include "daemon/state_dir.h"
#include "daemon/supervisor.h"
#include "daemon/upgrade.h"
#include "mount/unmount.h"
#include "onward/version.h"

/* onwardfs: reads the command line and the configuration, goes to the background when the mount
 * answers, and fails with one clear line (several for a configuration that is wrong) and status 1;
 * 2 for usage. */

#define DEFAULT_CONFIG "/etc/onwardfs/config.yaml"

/* Where the parent learns how it went: "+" (the mount answers), or "!" and the reason. -1 in the
 * foreground and once it has been told. */
static int parent_fd = -1;
static bool in_background;

static void tell_parent(char sign, const char *reason)
{
    _cleanup_free_ char *message = xasprintf("%c%s", sign, reason);

    if (io_write_full(parent_fd, message, strlen(message)) < 0)
        log_warn("parent-gone", "reason=\"%s\"", reason);
    closep(&parent_fd);
}

/* Nobody at the terminal is to be kept. */
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        close(null);
    }
}

static void on_ready(void *arg)
{
    if (parent_fd < 0)
        return;
    leave_terminal();
    tell_parent('+', "");
}

/* The parent: waits until the daemon says how it went, and then for the answer of the mount, which
 * comes a moment later; it must not leave one that answers ENOTCONN. */
static int wait_for_daemon(int fd, const char *mountpoint)
{
    _cleanup_(buf_done) struct buf said = {0};
    struct stat st;

    io_read_fd(fd, 1 << 20, &said);
    bool lost = stat(mountpoint, &st) < 0 && errno == ENOTCONN;
    if (lost)
        unmount_lazily(mountpoint);
    if (buf_str(&said)[0] == '+' && !lost)
        return 0;
    fprintf(stderr, "onwardfs: %s\n",
            buf_str(&said)[0] == '!' ? said.data + 1
                                     : "the daemon died while it was starting; try -f to see why");
    return 1;
}

/* Splits into a parent, which waits, and the daemon, which returns 0 here. */
static int go_background(const char *mountpoint)
{
    int fds[2];

    confine_descriptors();
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        close(fds[1]);
        exit(wait_for_daemon(fds[0], mountpoint));
    }
    close(fds[0]);
    parent_fd = fds[1];
    setsid();
    return 0;
}

/* Reads the file that the command line names, or the default one if it is there. */
static int load_config(const struct options *o, struct config *ret, struct diag *reterr)
{
    struct findings findings = {0};
    const char *path = o->config ? o->config : DEFAULT_CONFIG;
    int r = config_load(path, ret, &findings, reterr);

    if (r == -ENOENT && !o->config) {
        config_init(ret);
        r = 0;
    }
    if (findings.n) {
        _cleanup_(buf_done) struct buf text = {0};
        findings_render(&findings, &text);
        fprintf(stderr, "%s", buf_str(&text));
        r = diag_fail(reterr, -EINVAL, "the configuration %s is wrong: see above", path);
    }
    findings_done(&findings);
    return r;
}

static void replace(char **at, char *value)
{
    free(*at);
    *at = value;
}

static int make_absolute(char **path, const char *what, struct diag *reterr)
{
    char *real = realpath(*path, NULL);

    if (!real)
        return diag_fail(reterr, -errno, "%s %s: %s", what, *path, strerror(errno));
    replace(path, real);
    return 0;
}

/* "https://…", and "user@host:path" as ssh(1) has it, if there is no such path here. */
static bool is_url(const char *repository)
{
    size_t len = strcspn(repository, ":/");

    return strstr(repository, "://") ||
           (len && repository[len] == ':' && access(repository, F_OK) < 0);
}

static int find_mountpoint(struct config *c, struct diag *reterr)
{
    if (access(c->mountpoint, F_OK) < 0 && errno == ENOTCONN)
        return diag_fail(reterr, -ENOTCONN,
                         "cannot mount on %s: a daemon that died left its mount there; run "
                         "`fusermount3 -uz %s` and try again",
                         c->mountpoint, c->mountpoint);
    return make_absolute(&c->mountpoint, "cannot mount on", reterr);
}

/* The command line overrides the file; then everything that is needed must be there. `served`: the
 * mount point, if there is a mount already that waits for us: then it must not be looked at. */
static int complete_config(const struct options *o, const char *served, struct config *c,
                           struct diag *reterr)
{
    const struct {
        const char *from;
        char **to;
    } overrides[] = {
        {o->repository, &c->repository},
        {o->mountpoint, &c->mountpoint},
        {o->branch, &c->branch},
        {o->state, &c->state},
    };
    for (size_t i = 0; i < ARRAY_SIZE(overrides); i++)
        if (overrides[i].from)
            replace(overrides[i].to, xstrdup(overrides[i].from));
    if (!c->repository || !c->mountpoint)
        return diag_fail(
            reterr, -EDESTADDRREQ,
            "usage: onwardfs [-f] [-o OPTION,…] [--config FILE] REPOSITORY MOUNTPOINT");
    if (is_url(c->repository))
        return diag_fail(reterr, -ENOTSUP,
                         "cannot mount %s: this version mounts repositories of this host only; "
                         "clone it (git clone --mirror) and mount the clone",
                         c->repository);
    int r = make_absolute(&c->repository, "cannot open the repository", reterr);
    if (r == 0 && served)
        replace(&c->mountpoint, xstrdup(served));
    else if (r == 0)
        r = find_mountpoint(c, reterr);
    if (r == 0 && !c->state)
        r = state_dir_default(&c->state, reterr);
    if (r < 0)
        return r;
    /* The daemon changes no directory, but what starts it may: keep the state path absolute. */
    r = io_make_dirs(AT_FDCWD, c->state, 0700);
    if (r < 0)
        return diag_fail(reterr, r, "cannot make the state directory %s: %s; give -o state=DIR",
                         c->state, strerror(-r));
    return make_absolute(&c->state, "cannot use the state directory", reterr);
}

static void prepare_process(void)
{
    sigset_t ends;
    struct rlimit files;

    confine_memory();
    /* Every thread but the main loop leaves these to it. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    /* pthread_cancel() aborts when it cannot load the unwinder, as without a free descriptor: it is
     * loaded now. */
    backtrace(&(void *){NULL}, 1);
}

/* What a process that serves the mount needs. */
struct job {
    const struct options *options;
    struct config config;
    bool upgraded;  /* as of struct daemon_start */
    char *commands; /* the same */
};

/* Ends with what is to be said of it, to the parent or here. */
static int finish(int r, const struct diag *why)
{
    if (r == 0 && parent_fd < 0)
        return 0;
    if (parent_fd >= 0)
        tell_parent('!', r < 0 ? diag_text(why, r) : "it was ended before the mount answered");
    else if (in_background)
        log_error("failed", "reason=\"%s\"", diag_text(why, r));
    else
        fprintf(stderr, "onwardfs: %s\n", diag_text(why, r));
    return r == -EDESTADDRREQ ? 2 : 1; /* nothing was said of what to mount where: usage */
}

/* `park` NULL: there is no supervisor. */
static int serve(const struct park *park, void *arg)
{
    const struct job *job = arg;
    const struct daemon_start start = {
        .park = park, .upgraded = job->upgraded, .commands = job->commands, .ready = on_ready};
    _cleanup_(diag_done) struct diag why = {0};

    prepare_process();
    return finish(daemon_run(job->options, &job->config, &start, &why), &why);
}

static void on_started(void *arg)
{
    if (parent_fd >= 0)
        leave_terminal();
    closep(&parent_fd); /* the first worker speaks with the parent */
}

/* The program that starts commands for this version: on disk there may be another one when the next
 * worker begins. As a name by which who inherits the descriptor can open it. */
static char *hold_commands(void)
{
    _cleanup_free_ char *path = helper_find(KEEPING_NAME);
    int fd = path ? open(path, O_PATH | O_CLOEXEC) : -1;

    return fd < 0 ? NULL : xasprintf("/proc/self/fd/%d", fd);
}

static int supervise(struct job *job, char **argv)
{
    const struct supervised what = {
        .work = serve,
        .started = on_started,
        .arg = job,
        .argv = argv,
        .mountpoint = job->config.mountpoint,
    };
    _cleanup_(diag_done) struct diag why = {0};

    confine_memory();
    job->commands = hold_commands();
    int r = supervisor_run(&what, &why);

    return r < 0 ? finish(r, &why) : r;
}

static void open_log(const struct options *o)
{
    in_background = !o->foreground;
    log_open(in_background, o->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
}

static int run(const struct options *o, char **argv)
{
    struct park park;
    const char *served = NULL;
    struct job job = {.options = o};
    _cleanup_(diag_done) struct diag why = {0};
    bool inherited = job.upgraded = supervisor_inherit(&park, &served);

    if (inherited)
        open_log(o);
    int r = load_config(o, &job.config, &why);
    if (r == 0)
        r = complete_config(o, served, &job.config, &why);
    if (r == 0 && !o->foreground && !inherited)
        r = go_background(job.config.mountpoint);
    if (r < 0) {
        r = finish(r, &why);
    } else {
        if (!inherited)
            open_log(o);
        r = inherited      ? serve(&park, &job)
            : o->supervise ? supervise(&job, argv)
                           : serve(NULL, &job);
    }
    config_done(&job.config);
    free(job.commands);
    return r;
}

static int upgrade(const char *mountpoint)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = upgrade_run(mountpoint, &why);

    return r < 0 ? finish(r, &why) : 0;
}

static int show_usage(void)
{
    _cleanup_(buf_done) struct buf text = {0};

    options_usage(&text);
    fputs(text.data, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    _cleanup_(options_done) struct options o = {0};
    _cleanup_(diag_done) struct diag why = {0};
    int r = options_parse(argc, argv, &o, &why);

    if (r < 0) {
        fprintf(stderr, "onwardfs: %s\n", diag_text(&why, r));
        return 2;
    }
    if (o.help)
        return show_usage();
    if (o.version) {
        puts("onwardfs " ONWARD_VERSION);
        return 0;
    }
    return o.upgrade ? upgrade(o.upgrade) : run(&o, argv);
}
