#include "ctl/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOK_EVERY_MS 200

static volatile sig_atomic_t interrupted, resized;

static void on_signal(int signal)
{
    if (signal == SIGWINCH)
        resized = 1;
    else
        interrupted = 1;
}

static void take_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        struct sigaction action = {.sa_handler = on_signal,
                                   .sa_flags = signals[i] == SIGWINCH ? SA_RESTART : 0};
        sigaction(signals[i], &action, NULL);
    }
}

/* When the fleet was last decided on. */
static int look(const struct watch *w, struct stat *ret, struct diag *reterr)
{
    _cleanup_free_ char *path = xasprintf("%s/.onward", w->mount->path);
    int r = stat(path, ret) < 0 ? -errno : 0;

    if (r == -ENOTCONN) /* it says what to do */
        return mountpoint_return(w->mount, reterr);
    if (r == -ENOENT || (r == 0 && w->device && ret->st_dev != w->device))
        return diag_fail(reterr, -ENODEV, "%s has been unmounted", w->mount->path);
    return r < 0 ? diag_fail(reterr, r, "%s: %s", path, strerrordesc_np(-r)) : 0;
}

int watch_begin(struct mountpoint *mount, struct watch *ret, struct diag *reterr)
{
    struct watch w = {.mount = mount};
    struct stat st;
    int r = chdir("/") < 0 ? diag_fail(reterr, -errno, "cannot change to /: %m")
                           : look(&w, &st, reterr);

    if (r < 0)
        return r;
    take_signals();
    w.device = st.st_dev;
    w.seen = st.st_mtim;
    *ret = w;
    return 0;
}

/* 1: something is new; 0: not yet. */
static int look_again(struct watch *w, struct diag *reterr)
{
    struct stat st;
    int r = look(w, &st, reterr);
    bool same = r == 0 && clock_ns(st.st_mtim) == clock_ns(w->seen) && !resized;

    if (r < 0 || same)
        return r;
    resized = 0;
    w->seen = st.st_mtim;
    r = mountpoint_return(w->mount, reterr);
    return r < 0 ? r : 1;
}

int watch_next(struct watch *w, struct diag *reterr)
{
    int r = 0;

    mountpoint_leave(w->mount);
    while (r == 0) {
        if (!interrupted) /* a signal that comes just now is seen in a moment */
            poll(NULL, 0, LOOK_EVERY_MS);
        if (interrupted)
            return 0;
        r = look_again(w, reterr);
    }
    return r;
}
