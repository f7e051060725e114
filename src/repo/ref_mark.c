#include "repo/ref_mark.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/map.h"

#define MARK_PREFIX "onwardfs.ref-"
#define LOCK_MOST   4096              /* bytes of a lock that are looked at */
#define STILL       (300 * NS_PER_MS) /* a living program does not leave its lock alone so long */

/* Changes of one ref take turns; refs that share a turn do so too, which harms nothing. */
struct turn {
    pthread_mutex_t lock;
    uint64_t unclean; /* hash of a ref whose last change may have left its lock and its mark */
};
static struct turn turns[16] = {[0 ... 15] = {PTHREAD_MUTEX_INITIALIZER, 0}};

static uint64_t ref_hash(const char *ref)
{
    return hash_bytes(ref, strlen(ref), 0);
}

static struct turn *turn_of(const char *ref)
{
    return &turns[ref_hash(ref) % ARRAY_SIZE(turns)];
}

static char *mark_path(const struct repo *repo, const char *ref)
{
    return xasprintf("%s/" MARK_PREFIX "%016" PRIx64, repo_common_dir(repo), ref_hash(ref));
}

/* Does the lock hold `hex` and a newline (what was being written), or a beginning of it? */
static bool is_ours(const struct buf *lock, const char *hex)
{
    return lock->len <= OID_HEX + 1 &&
           !strncmp(buf_str(lock), hex, lock->len < OID_HEX ? lock->len : OID_HEX);
}

/* Has the file stayed the same for a while? */
static bool is_still(const char *path)
{
    struct stat before, after;
    struct timespec pause = clock_timespec(STILL);

    if (stat(path, &before) < 0)
        return false;
    nanosleep(&pause, NULL);
    return stat(path, &after) == 0 && before.st_ino == after.st_ino &&
           before.st_size == after.st_size && clock_ns(before.st_mtim) == clock_ns(after.st_mtim);
}

static void remove_lock(const char *path)
{
    if (unlink(path) == 0)
        log_info("stale-lock-removed", "path=\"%s\"", path);
    else if (errno != ENOENT)
        log_warn("stale-lock-stays", "path=\"%s\" reason=\"%s\"", path, strerror(errno));
}

static void recover_ref(const struct repo *repo, const char *ref, const char *hex)
{
    _cleanup_free_ char *path = xasprintf("%s/%s.lock", repo_common_dir(repo), ref);
    _cleanup_(buf_done) struct buf lock = {0};

    if (io_read_file(AT_FDCWD, path, LOCK_MOST, &lock) < 0 || !is_ours(&lock, hex))
        return;
    if (is_still(path))
        remove_lock(path);
}

/* Locks of reflogs: only libgit2 makes them, for the moment of one appended line. */
static void recover_reflog(const char *dir, const char *ref)
{
    _cleanup_free_ char *path = xasprintf("%s/logs/%s.lock", dir, ref);

    if (is_still(path))
        remove_lock(path);
}

static void recover_mark(const struct repo *repo, const char *path)
{
    char target[PATH_MAX];
    struct oid to;
    ssize_t n = readlink(path, target, sizeof(target) - 1);

    if (n <= OID_HEX + 1)
        return;
    target[n] = 0;
    target[OID_HEX] = 0;
    const char *ref = target + OID_HEX + 1;
    if (oid_parse(target, &to) == 0 && !strncmp(ref, "refs/", 5) && !strstr(ref, "..")) {
        recover_ref(repo, ref, target);
        recover_reflog(repo_common_dir(repo), ref);
        recover_reflog(repo_git_dir(repo), "HEAD");
    }
    unlink(path);
}

static void make_mark(const char *path, const char *target)
{
    if (symlink(target, path) == 0)
        return;
    if (errno == EEXIST && unlink(path) == 0 && symlink(target, path) == 0)
        return;
    log_debug("mark-not-set", "path=\"%s\" reason=\"%s\"", path, strerror(errno));
}

void ref_mark_set(struct repo *repo, const char *ref, const struct oid *to)
{
    char hex[OID_HEX + 1];
    struct turn *turn = turn_of(ref);
    _cleanup_free_ char *path = mark_path(repo, ref);
    _cleanup_free_ char *target = NULL;

    assert(ref);
    target = xasprintf("%s:%s", oid_hex(to, hex), ref);
    pthread_mutex_lock(&turn->lock);
    if (turn->unclean == ref_hash(ref)) {
        turn->unclean = 0;
        recover_mark(repo, path);
    }
    make_mark(path, target);
}

void ref_mark_clear(struct repo *repo, const char *ref, bool unclean)
{
    struct turn *turn = turn_of(ref);
    _cleanup_free_ char *path = mark_path(repo, ref);

    if (unclean || (unlink(path) < 0 && errno != ENOENT))
        turn->unclean = ref_hash(ref);
    pthread_mutex_unlock(&turn->lock);
}

void ref_marks_recover(struct repo *repo)
{
    _cleanup_(closedirp) DIR *dir = opendir(repo_common_dir(repo));

    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strncmp(e->d_name, MARK_PREFIX, strlen(MARK_PREFIX)))
            continue;
        _cleanup_free_ char *path = xasprintf("%s/%s", repo_common_dir(repo), e->d_name);
        recover_mark(repo, path);
    }
}
