#include "repo/loose_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "repo/hash.h"
#include "repo/loose.h"

#define LEVEL 6
/* `git gc` removes the directory that we have just made, as often as it finds it empty. */
#define TRIES 20

static char *path_of(const char *dir, const struct oid *oid)
{
    char hex[OID_HEX + 1];

    oid_hex(oid, hex);
    return xasprintf("%s/%.2s/%s", dir, hex, hex + 2);
}

static int deflate(git_object_t type, const void *data, size_t len, struct buf *ret)
{
    _cleanup_(buf_done) struct buf raw = {0};
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(LEVEL);

    if (!c)
        return -ENOMEM;
    buf_addf(&raw, "%s %zu", git_object_type2string(type), len);
    buf_addc(&raw, 0);
    buf_add(&raw, data, len);
    size_t most = libdeflate_zlib_compress_bound(c, raw.len);
    _cleanup_free_ char *out = xmalloc(most);
    buf_add(ret, out, libdeflate_zlib_compress(c, raw.data, raw.len, out, most));
    libdeflate_free_compressor(c);
    return 0;
}

/* A file of a name that nobody has and `git prune` removes when it is old. */
static int make_file(const char *dir, char **ret)
{
    static atomic_uint count;
    int fd;

    do {
        _cleanup_free_ char *path =
            xasprintf("%s/tmp_obj_%d_%u", dir, getpid(), atomic_fetch_add(&count, 1));
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
        if (fd >= 0)
            *ret = TAKE(path);
    } while (fd < 0 && errno == EEXIST);
    return fd < 0 ? -errno : fd;
}

int loose_writer_add(struct loose_writer *w, const struct oid *oid, git_object_t type,
                     const void *data, size_t len)
{
    _cleanup_(buf_done) struct buf out = {0};
    struct loose_draft *d = VEC_ADD(&w->drafts);
    int r = deflate(type, data, len, &out);

    d->oid = *oid;
    d->fd = r < 0 ? r : make_file(w->dir, &d->path);
    return d->fd < 0 ? d->fd : io_write_full(d->fd, out.data, out.len);
}

static int sync_files(struct loose_writer *w)
{
    vec_foreach (d, &w->drafts)
        sync_file_range(d->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* only begins; no error counts */
    vec_foreach (d, &w->drafts)
        if (fsync(d->fd) < 0)
            return -errno;
    return 0;
}

/* `*made`: a directory was made for it. */
static int give_name(struct loose_writer *w, struct loose_draft *d, bool *made)
{
    _cleanup_free_ char *path = path_of(w->dir, &d->oid);
    char *slash = strrchr(path, '/');

    for (int i = 0; i < TRIES && rename(d->path, path) < 0; i++) {
        if (errno != ENOENT || i == TRIES - 1)
            return -errno;
        *slash = 0;
        *made |= mkdir(path, 0777) == 0;
        *slash = '/';
    }
    free(TAKE(d->path));
    return 0;
}

static int sync_dirs(struct loose_writer *w)
{
    bool done[256] = {false};

    vec_foreach (d, &w->drafts) {
        _cleanup_free_ char *path = path_of(w->dir, &d->oid);
        int r = done[d->oid.id[0]] ? 0 : io_sync_parent(AT_FDCWD, path);
        if (r < 0 && r != -ENOENT) /* `git repack` has packed all that was in it */
            return r;
        done[d->oid.id[0]] = true;
    }
    return 0;
}

int loose_writer_finish(struct loose_writer *w)
{
    _cleanup_free_ char *inside = xasprintf("%s/.", w->dir);
    bool made = false;
    int r = sync_files(w);

    for (size_t i = 0; r == 0 && i < w->drafts.n; i++)
        r = give_name(w, &w->drafts.v[i], &made);
    if (r == 0)
        r = sync_dirs(w);
    if (r == 0 && made)
        r = io_sync_parent(AT_FDCWD, inside);
    return r;
}

void loose_writer_done(struct loose_writer *w)
{
    vec_foreach (d, &w->drafts) {
        if (d->path)
            unlink(d->path);
        free(d->path);
        closep(&d->fd);
    }
    free(w->drafts.v);
}

/* Another program may have written it without fsync. */
static bool settle(const char *dir, const struct oid *oid, const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ void *data = NULL;
    git_object_t type;
    size_t size;

    return fd >= 0 && loose_load(dir, oid, UINT64_MAX, &type, &data, &size) == 0 &&
           hash_verify(oid, type, data, size) == 0 && fsync(fd) == 0 &&
           io_sync_parent(AT_FDCWD, path) == 0;
}

int loose_freshen(const char *dir, const struct oid *oid, bool trusted)
{
    _cleanup_free_ char *path = path_of(dir, oid);

    if (utimensat(AT_FDCWD, path, NULL, 0) < 0)
        return 0;
    return trusted || settle(dir, oid, path) ? 1 : -EIO;
}

void loose_remove(const char *dir, const struct oid *oid)
{
    _cleanup_free_ char *path = path_of(dir, oid);

    unlink(path);
}
