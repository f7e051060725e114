#include "repo/loose.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "repo/hash.h"

#define CHUNK       65536
#define HEADER_MOST 64 /* "commit 18446744073709551615\0" fits */
/* Deflate cannot shrink by more than this factor: a header that says more lies. */
#define RATIO_MOST 1040
/* Larger ones are not looked at as a whole: it takes too much memory. */
#define CHECKED_MOST (64u << 20)

/* An object being read: after loose_open(), loose_read() gives its content from the start. */
struct loose_file {
    int fd;
    z_stream z;
    bool zlib_open, ended;
    git_object_t type;
    uint64_t size;
    unsigned char in[CHUNK];
    unsigned char head[HEADER_MOST]; /* header and, behind it, the first bytes of the content */
    size_t head_at, head_len;        /* the part of `head` that is content not yet given */
};

static void loose_file_free(struct loose_file *f)
{
    if (f->zlib_open)
        inflateEnd(&f->z);
    closep(&f->fd);
    free(f);
}
DEFINE_CLEANUP(struct loose_file *, loose_file_free)

static char *loose_path(const char *dir, const struct oid *oid)
{
    char hex[OID_HEX + 1];

    oid_hex(oid, hex);
    return xasprintf("%s/%.2s/%s", dir, hex, hex + 2);
}

/* Inflates up to `len` bytes; fewer only at the end of the stream. -EIO when the file ends before
 * the stream does, or is not one. */
static ssize_t inflate_some(struct loose_file *f, void *out, size_t len)
{
    f->z.next_out = out;
    f->z.avail_out = len;
    while (f->z.avail_out && !f->ended) {
        if (!f->z.avail_in) {
            ssize_t n = read(f->fd, f->in, sizeof(f->in));
            if (n <= 0)
                return n < 0 ? -errno : -EIO;
            f->z.next_in = f->in;
            f->z.avail_in = n;
        }
        int r = inflate(&f->z, Z_NO_FLUSH);
        if (r == Z_STREAM_END)
            f->ended = true;
        else if (r == Z_MEM_ERROR)
            return -ENOMEM;
        else if (r != Z_OK)
            return -EIO;
    }
    return len - f->z.avail_out;
}

/* "blob 12\0": type and size without leading zeros or signs. */
static int parse_header(struct loose_file *f, size_t got)
{
    const unsigned char *end = memchr(f->head, 0, got), *space = memchr(f->head, ' ', got);

    if (!end || !space || space > end || space + 1 == end)
        return -EIO;
    _cleanup_free_ char *type = xstrndup((char *)f->head, space - f->head);
    f->type = git_object_string2type(type);
    if (f->type < GIT_OBJECT_COMMIT || f->type > GIT_OBJECT_TAG)
        return -EIO;
    for (const unsigned char *p = space + 1; p < end; p++)
        if (*p < '0' || *p > '9' || f->size > (UINT64_MAX - 9) / 10)
            return -EIO;
        else
            f->size = f->size * 10 + (*p - '0');
    f->head_at = end + 1 - f->head;
    f->head_len = got;
    return 0;
}

static int loose_open(const char *dir, const struct oid *oid, struct loose_file **ret)
{
    _cleanup_free_ char *path = loose_path(dir, oid);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0) /* what is wanted may be elsewhere when there is no such directory */
        return errno == ENOTDIR ? -ENOENT : errno == ELOOP ? -EIO : -errno;
    _cleanup_(loose_file_freep) struct loose_file *f = NEW(struct loose_file);
    f->fd = fd;
    if (fstat(f->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EIO;
    if (inflateInit(&f->z) != Z_OK)
        return -ENOMEM;
    f->zlib_open = true;
    ssize_t got = inflate_some(f, f->head, sizeof(f->head));
    if (got < 0)
        return got;
    int r = parse_header(f, got);
    if (r < 0)
        return r;
    if (f->size / RATIO_MOST > (uint64_t)st.st_size)
        return -EIO;
    *ret = TAKE(f);
    return 0;
}

/* The next `len` bytes of the content, all of them. */
static int loose_read(struct loose_file *f, void *out, size_t len)
{
    size_t ready = f->head_len - f->head_at;

    if (ready > len)
        ready = len;
    memcpy(out, f->head + f->head_at, ready);
    f->head_at += ready;
    for (size_t at = ready; at < len;) {
        size_t want = len - at < (1u << 30) ? len - at : 1u << 30;
        ssize_t n = inflate_some(f, (char *)out + at, want);
        if (n < 0)
            return n;
        if (n < (ssize_t)want)
            return -EIO;
        at += n;
    }
    return 0;
}

/* Behind the last byte of the content, the stream must end: this also has zlib check its sum. */
static int loose_at_end(struct loose_file *f)
{
    char extra;

    if (f->head_at < f->head_len)
        return -EIO;
    ssize_t n = inflate_some(f, &extra, 1);
    return n < 0 ? n : n > 0 ? -EIO : 0;
}

int loose_header(const char *objects_dir, const struct oid *oid, git_object_t *ret_type,
                 uint64_t *ret_size)
{
    _cleanup_(loose_file_freep) struct loose_file *f = NULL;
    int r = loose_open(objects_dir, oid, &f);

    if (r < 0)
        return r;
    *ret_type = f->type;
    *ret_size = f->size;
    return 0;
}

int loose_load(const char *objects_dir, const struct oid *oid, uint64_t most,
               git_object_t *ret_type, void **ret, size_t *ret_size)
{
    _cleanup_(loose_file_freep) struct loose_file *f = NULL;
    int r = loose_open(objects_dir, oid, &f);

    if (r < 0)
        return r;
    if (f->size > most)
        return -EFBIG;
    _cleanup_free_ char *data = f->size < SIZE_MAX / 2 ? malloc(f->size + 1) : NULL;
    if (!data)
        return -ENOMEM;
    r = loose_read(f, data, f->size);
    if (r == 0)
        r = loose_at_end(f);
    if (r < 0)
        return r;
    data[f->size] = 0;
    *ret_type = f->type;
    *ret_size = f->size;
    *ret = TAKE(data);
    return 0;
}

int loose_spill(const char *objects_dir, const struct oid *oid, int fd, git_object_t *ret_type,
                uint64_t *ret_size)
{
    _cleanup_(loose_file_freep) struct loose_file *f = NULL;
    _cleanup_free_ char *piece = xmalloc(CHUNK);
    int r = loose_open(objects_dir, oid, &f);

    for (uint64_t at = 0; r == 0 && at < f->size;) {
        size_t n = f->size - at < CHUNK ? f->size - at : CHUNK;
        r = loose_read(f, piece, n);
        if (r == 0)
            r = io_pwrite_full(fd, piece, n, at);
        at += n;
    }
    if (r == 0)
        r = loose_at_end(f);
    if (r < 0)
        return r;
    *ret_type = f->type;
    *ret_size = f->size;
    return 0;
}

void loose_remove_broken(const char *objects_dir, const struct oid *oid)
{
    _cleanup_free_ char *path = loose_where(objects_dir, oid);
    _cleanup_free_ void *data = NULL;
    git_object_t type;
    size_t size;
    int r = path ? loose_load(objects_dir, oid, CHECKED_MOST, &type, &data, &size) : -ENOENT;

    if (r == 0)
        r = hash_verify(oid, type, data, size);
    if (r == -EIO || r == -EBADMSG)
        unlink(path);
}

char *loose_where(const char *objects_dir, const struct oid *oid)
{
    _cleanup_free_ char *path = loose_path(objects_dir, oid);
    struct stat st;

    return lstat(path, &st) == 0 ? TAKE(path) : NULL;
}

int loose_find(const char *objects_dir, const char *hex, size_t n, struct oid ret[2])
{
    _cleanup_free_ char *path = xasprintf("%s/%.2s", objects_dir, hex);
    _cleanup_(closedirp) DIR *dir = opendir(path);
    int found = 0;

    for (struct dirent *e; dir && found < 2 && (e = readdir(dir));) {
        _cleanup_free_ char *full = xasprintf("%.2s%s", hex, e->d_name);
        if (!strncmp(full, hex, n) && strlen(full) == OID_HEX && oid_parse(full, &ret[found]) == 0)
            found++;
    }
    return found;
}
