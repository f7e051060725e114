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

#define PREFIX "tmp_object_git2_"
#define STILL  (300 * NS_PER_MS) /* from its last byte, a writer needs less to give it its name */

static bool is_litter(const char *name)
{
    return !strncmp(name, PREFIX, strlen(PREFIX));
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
        log_info("litter-removed", "objects=%zu", removed);
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
    _cleanup_(closedirp) DIR *dir = opendir(repo->objects_dir);
    struct timespec pause = clock_timespec(STILL);

    if (!dir || !has_litter(dir))
        return;
    nanosleep(&pause, NULL);
    remove_abandoned(dir);
}
