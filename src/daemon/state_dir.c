#include "daemon/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/map.h"

#define BOOT_ID 64 /* bytes, and more */

int state_dir_default(char **ret, struct diag *reterr)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (getuid() == 0)
        *ret = xstrdup("/var/lib/onwardfs");
    else if (xdg && *xdg == '/')
        *ret = xasprintf("%s/onwardfs", xdg);
    else if (home && *home == '/')
        *ret = xasprintf("%s/.local/state/onwardfs", home);
    else
        return diag_fail(reterr, -ENOENT,
                         "no place for workspaces: HOME is not set; give -o state=DIR");
    return 0;
}

/* The last component of the repository's path that says something: "infra" for /srv/infra.git and
 * for /srv/infra/.git. The caller frees. */
static char *short_name(const char *repository)
{
    _cleanup_free_ char *path = xstrdup(repository);
    size_t len = strlen(path);

    if (len > 5 && !strcmp(path + len - 5, "/.git"))
        path[len - 5] = 0;
    char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    len = strlen(name);
    if (len > 4 && !strcmp(name + len - 4, ".git"))
        name[len - 4] = 0;
    return xstrdup(*name ? name : "root");
}

int state_dir_open(const char *base, const char *repository, const char *note, char **ret_dir,
                   struct lease **ret_lock, struct diag *reterr)
{
    _cleanup_free_ char *name = short_name(repository);
    _cleanup_free_ char *dir = xasprintf("%s/%s-%08" PRIx32, base, name,
                                         (uint32_t)hash_bytes(repository, strlen(repository), 0));
    _cleanup_free_ char *lock = xasprintf("%s/lock", dir);
    int r = io_make_dirs(AT_FDCWD, dir, 0700);

    if (r < 0)
        return diag_fail(reterr, r, "cannot make the state directory %s: %s; give -o state=DIR",
                         dir, strerror(-r));
    r = lease_wait(lock, note, ret_lock, reterr);
    if (r == -EBUSY)
        return diag_prefix(reterr, r,
                           "this repository is mounted already with this state directory (mount it "
                           "with -o ro, or give -o state=DIR for workspaces of its own)");
    if (r < 0)
        return r;
    *ret_dir = TAKE(dir);
    return 0;
}

bool state_dir_after_boot(const char *dir, int64_t *ret_since)
{
    _cleanup_free_ char *path = xasprintf("%s/boot", dir);
    _cleanup_(buf_done) struct buf before = {0}, now = {0};
    struct stat st;

    if (io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", BOOT_ID, &now) < 0)
        return false;
    bool known = io_read_file(AT_FDCWD, path, BOOT_ID, &before) == 0 && stat(path, &st) == 0;
    bool anew = known && strcmp(buf_str(&before), buf_str(&now)) != 0;
    if (anew)
        *ret_since = clock_ns(st.st_mtim);
    if (anew || !known) {
        int r = io_replace_file(AT_FDCWD, path, now.data, now.len, 0600);
        if (r < 0)
            log_warn("boot-not-noted", "path=\"%s\" reason=\"%s\"", path, strerrordesc_np(-r));
    }
    return anew;
}
