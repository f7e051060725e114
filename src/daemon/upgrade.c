#include "daemon/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "daemon/supervisor.h"

#define STATUS_MOST (1 << 20)
#define PATIENCE    (2 * SUPERVISOR_PATIENCE)

struct served {
    pid_t pid, supervisor; /* 0: none */
    bool upgraded;         /* the process runs a program that an upgrade has started */
};

static int look(const char *mountpoint, struct served *ret, struct diag *reterr)
{
    _cleanup_free_ char *path = xasprintf("%s/.onward/status.json", mountpoint);
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_(json_decrefp) json_t *j = NULL;
    int r = io_read_file(AT_FDCWD, path, STATUS_MOST, &text);

    if (r < 0)
        return diag_fail(reterr, r, "no mount of onwardfs answers on %s: %s", mountpoint,
                         strerror(-r));
    r = json_read(buf_str(&text), text.len, &j, reterr);
    if (r < 0)
        return r;
    *ret = (struct served){
        .pid = json_int(j, "pid", 0),
        .supervisor = json_int(j, "supervisor", 0),
        .upgraded = json_is_true(json_object_get(j, "upgraded")),
    };
    return 0;
}

/* A number in a file may be any process's. */
static bool is_supervisor(pid_t pid)
{
    _cleanup_free_ char *path = xasprintf("/proc/%d/comm", (int)pid);
    _cleanup_(buf_done) struct buf name = {0};

    return pid > 1 && io_read_file(AT_FDCWD, path, 64, &name) == 0 &&
           !strcmp(buf_str(&name), SUPERVISOR_NAME "\n");
}

int upgrade_run(const char *mountpoint, struct diag *reterr)
{
    struct served before, now;
    int64_t end = clock_mono() + PATIENCE;
    int r = look(mountpoint, &before, reterr);

    if (r < 0)
        return r;
    if (!is_supervisor(before.supervisor))
        return diag_fail(reterr, -EOPNOTSUPP,
                         "the mount on %s has no supervisor (-o supervise): unmount it, and mount "
                         "it with the new program",
                         mountpoint);
    if (kill(before.supervisor, SIGUSR2) < 0)
        return diag_fail(reterr, -errno, "cannot signal process %d: %s", (int)before.supervisor,
                         strerror(errno));
    for (now = before; r == 0 && now.pid == before.pid; r = look(mountpoint, &now, reterr)) {
        if (clock_mono() > end)
            return diag_fail(reterr, -ETIMEDOUT, "process %d still serves %s", (int)before.pid,
                             mountpoint);
        nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
    }
    if (r == 0 && !now.upgraded)
        r = diag_fail(
            reterr, -ENOEXEC,
            "the program on disk does not serve %s; the one that it was mounted with goes "
            "on, and its log says why",
            mountpoint);
    return r;
}
