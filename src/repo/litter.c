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
#include "base/io.h"
#include "base/log.h"
#include "repo/handle.h"
#include "repo/loose.h"
#include "repo/pack_writer.h"

/* Of an object that is looked at; of a larger one it is the header. */
#define TORN_LOOK (UINT64_C(64) << 20)
/* A writer needs less from its last byte to the name. */
#define STILL (300 * NS_PER_MS)

/* Objects, packs and their indexes under construction: ours, libgit2's, Git's. */
static bool is_litter(const char *name)
{
    static const char *const prefixes[] = {PACK_DRAFT, "tmp_obj", "tmp_pack_", "tmp_idx_"};

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

/* It is not whole, and not because the disk cannot give it. */
static bool is_torn(struct repo *repo, const struct oid *oid, int dirfd, const char *name)
{
    _cleanup_(buf_done) struct buf file = {0};
    _cleanup_free_ void *data = NULL;
    git_object_t type;
    uint64_t size;
    size_t len;
    int r = loose_header(repo->objects_dir, oid, &type, &size);

    if (r == 0)
        r = loose_load(repo->objects_dir, oid, TORN_LOOK, &type, &data, &len);
    return r == -EIO && io_read_file(dirfd, name, TORN_LOOK, &file) == 0;
}

/* Objects whose ids begin with `prefix`, two digits. */
static void clear_torn_in(struct repo *repo, const char *prefix, int64_t since)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", repo->objects_dir, prefix);
    _cleanup_(closedirp) DIR *dir = opendir(path);
    struct stat st;
    struct oid oid;

    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_free_ char *hex = xasprintf("%s%s", prefix, e->d_name);
        if (oid_parse(hex, &oid) < 0 ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
            clock_ns(st.st_mtim) < since || !is_torn(repo, &oid, dirfd(dir), e->d_name))
            continue;
        if (unlinkat(dirfd(dir), e->d_name, 0) == 0)
            log_info("torn-object-removed", "id=%s bytes=%lld", hex, (long long)st.st_size);
    }
}

void litter_clear_torn(struct repo *repo, int64_t since)
{
    for (int i = 0; i < 256; i++) {
        char prefix[3];
        snprintf(prefix, sizeof(prefix), "%02x", i);
        clear_torn_in(repo, prefix, since);
    }
}
