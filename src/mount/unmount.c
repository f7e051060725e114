#include "mount/unmount.h"

#include <string.h>
#include <sys/mount.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/log.h"

/* As who may not do so himself. */
static void unmount_by_helper(const char *mountpoint)
{
    const char *const argv[] = {"fusermount3", "-u", "-q", "-z", "--", mountpoint, NULL};
    _cleanup_(command_strings_done) struct command_strings env = {0};
    _cleanup_free_ char *path = command_find(argv[0]);
    struct command_end end = {0};

    command_strings_clean(&env, "/");
    VEC_ADD(&env);
    const struct command c = {
        .path = path ? path : argv[0],
        .argv = argv,
        .envp = (const char *const *)env.v,
        .cwd = "/",
        .keep = 256,
        .timeout = 10 * NS_PER_SEC,
        .stop_fd = -1,
        .privileges = true,
    };
    int r = command_run(&c, &end, NULL);
    if (r < 0 || end.status)
        log_warn("not-unmounted", "mountpoint=\"%s\" reason=\"%s\"", mountpoint,
                 r < 0 ? strerror(-r) : buf_str(&end.output));
    buf_done(&end.output);
}

void unmount_lazily(const char *mountpoint)
{
    if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
        unmount_by_helper(mountpoint);
}
