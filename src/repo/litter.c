#include "repo/litter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "repo/handle.h"

#define STILL (300 * NS_PER_MS) /* from its last byte, a writer needs less to give it its name */

/* Objects, packs and their indexes under construction: ours, libgit2's, Git's. */
static bool is_litter(const char *name)
{
    static const char *const prefixes[] = {"tmp_obj", "tmp_pack_", "tmp_idx_"};

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
            return true;
    return false;
}

/* The kernel gives a lease for writing only on a file that nobody else has open. */
static bool is_abandoned(int dirfd, const char *name)
{
    struct stat st;
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        clock_real() - clock_ns(st.st_mtim) < STILL)
        return false;
    return fcntl(fd, F_SETLEASE, F_WRLCK) == 0 && fcntl(fd, F_SETLEASE, F_UNLCK) == 0;
}

static void remove_abandoned(DIR *dir)
{
    size_t removed = 0;

    for (struct dirent *e; (e = readdir(dir));)
        if (is_litter(e->d_name) && is_abandoned(dirfd(dir), e->d_name))
            removed += unlinkat(dirfd(dir), e->d_name, 0) == 0;
    if (removed)
        log_info("litter-removed", "files=%zu", removed);
}

static bool has_litter(DIR *dir)
{
    bool found = false;

    for (struct dirent *e; !found && (e = readdir(dir));)
        found = is_litter(e->d_name);
    rewinddir(dir);
    return found;
}

void litter_clear(struct repo *repo)
{
    _cleanup_free_ char *pack = xasprintf("%s/pack", repo->objects_dir);
    _cleanup_(closedirp) DIR *objects = opendir(repo->objects_dir);
    _cleanup_(closedirp) DIR *packs = opendir(pack);
    struct timespec pause = clock_timespec(STILL);

    if (!objects || !packs || (!has_litter(objects) && !has_litter(packs)))
        return;
    nanosleep(&pause, NULL);
    remove_abandoned(objects);
    remove_abandoned(packs);
}
