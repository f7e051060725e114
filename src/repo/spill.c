#include "repo/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "base/log.h"
#include "repo/cache.h"
#include "repo/handle.h"
#include "repo/source.h"

struct spilled {
    struct cached cached; /* its bytes are those of the file */
    int fd;
};

struct spill {
    struct repo *repo;
    char *dir, *elsewhere;
    struct cache *files;
    atomic_bool told; /* that `dir` fails, until it does not */
};

struct spill *spill_new(struct repo *repo)
{
    static const struct cache_bounds bounds = {SPILL_BYTES, SPILL_NUMBER, .newest_stays = true};
    const char *tmpdir = getenv("TMPDIR");
    struct spill *s = NEW(struct spill);

    s->repo = repo;
    s->elsewhere = xstrdup(tmpdir && *tmpdir ? tmpdir : "/var/tmp");
    s->dir = xstrdup(s->elsewhere);
    s->files = cache_new(&bounds);
    return s;
}

void spill_free(struct spill *s)
{
    if (!s)
        return;
    cache_free(s->files);
    free(s->elsewhere);
    free(s->dir);
    free(s);
}

const char *spill_dir(const struct spill *s)
{
    return s->dir;
}

void spill_in(struct spill *s, const char *dir)
{
    free(s->dir);
    s->dir = xstrdup(dir);
}

static void spilled_destroy(struct cached *c)
{
    struct spilled *file = container_of(c, struct spilled, cached);

    closep(&file->fd);
    free(file);
}

static bool is_full(int r)
{
    return r == -ENOSPC || r == -EDQUOT || r == -EFBIG;
}

/* A positive answer is a failure of the directory and not of the blob. */
static int unpack_to(struct spill *s, const struct oid *oid, const char *dir, int fd,
                     uint64_t *ret_size)
{
    git_object_t type;
    int r = source_spill(s->repo->source, oid, dir, fd, &type, ret_size);

    if (is_full(r) && ftruncate(fd, 0) == 0) {
        cache_clear(s->files);
        r = source_spill(s->repo->source, oid, dir, fd, &type, ret_size);
    }
    if (r == -ENOENT || r == -EIO || r == -ENOMEM)
        return r;
    if (r < 0)
        return -r;
    return type == GIT_OBJECT_BLOB ? 0 : repo_object_bad(s->repo, oid, "not a blob");
}

/* Likewise. */
static int unpack_in(struct spill *s, const struct oid *oid, const char *dir, struct spilled **ret)
{
    _cleanup_close_ int fd = io_open_nameless(dir);
    uint64_t size;
    int r = fd < 0 ? -fd : unpack_to(s, oid, dir, fd, &size);

    if (r)
        return r;
    *ret = NEW(struct spilled);
    **ret = (struct spilled){{*oid, size, spilled_destroy, 1}, TAKE_FD(fd)};
    return 0;
}

static int unpack(struct spill *s, const struct oid *oid, struct spilled **ret)
{
    int bad = unpack_in(s, oid, s->dir, ret), r = bad;

    if (bad <= 0) {
        atomic_store(&s->told, false);
        return bad;
    }
    if (strcmp(s->dir, s->elsewhere))
        r = unpack_in(s, oid, s->elsewhere, ret);
    if (!atomic_exchange(&s->told, true))
        log_error("cannot-unpack", "directory=\"%s\" reason=\"%s\" instead=\"%s\"", s->dir,
                  strerrordesc_np(bad), r > 0 ? "memory" : s->elsewhere);
    return r > 0 ? -ENOSPC : r;
}

/* Gives back the reader's reference. */
static ssize_t read_file(struct cached *c, void *buf, size_t size, uint64_t off)
{
    int fd = container_of(c, struct spilled, cached)->fd;
    ssize_t n = off < c->bytes ? pread(fd, buf, size, off) : 0;
    int err = errno;

    cached_unref(c);
    return n < 0 ? -err : n;
}

ssize_t spill_peek(struct spill *s, const struct oid *oid, void *buf, size_t size, uint64_t off)
{
    struct cached *c = cache_get(s->files, oid);

    return c ? read_file(c, buf, size, off) : -ENOENT;
}

ssize_t spill_read(struct spill *s, const struct oid *oid, void *buf, size_t size, uint64_t off)
{
    struct cached *c = cache_begin(s->files, oid);
    struct spilled *file = NULL;

    if (!c) {
        int r = unpack(s, oid, &file);
        cache_finish(s->files, oid, file ? &file->cached : NULL);
        if (r < 0)
            return r;
        c = &file->cached;
    }
    return read_file(c, buf, size, off);
}
