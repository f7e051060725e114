#include "repo/loose.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "repo/giterr.h"

#define CHUNK       65536
#define HEADER_MOST 64 /* "commit 18446744073709551615\0" fits */
/* Deflate cannot shrink by more than this factor: a header that says more lies. */
#define RATIO_MOST 1040

struct loose_backend {
    git_odb_backend parent;
    git_odb_backend *inner; /* libgit2's: all that needs no inflating */
    char *dir;
};

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

static char *loose_path(const char *dir, const git_oid *oid)
{
    char hex[OID_HEX + 1];
    struct oid ours = oid_from_git(oid);

    oid_hex(&ours, hex);
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

static int loose_open(const char *dir, const git_oid *oid, struct loose_file **ret)
{
    _cleanup_free_ char *path = loose_path(dir, oid);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return -errno;
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

/* Our -errno as libgit2's code, with its words. */
static int to_git(int r, const git_oid *oid)
{
    _cleanup_(buf_done) struct buf text = {0};
    struct oid ours = oid_from_git(oid);
    char hex[OID_HEX + 1];

    if (r == -ENOENT || r == -ENOTDIR)
        return GIT_ENOTFOUND;
    if (r == -ENOMEM) {
        git_error_set_oom();
        return GIT_ERROR;
    }
    if (r == -EIO)
        buf_adds(&text, "loose object is truncated or corrupt, or its file gives: ");
    else
        buf_addf(&text, "loose object %s cannot be opened: ", oid_hex(&ours, hex));
    buf_adds(&text, strerrordesc_np(-r)); /* giterr_errno() finds it */
    git_error_set_str(GIT_ERROR_ODB, buf_str(&text));
    return GIT_ERROR;
}

static int read_all(git_odb_backend *parent, const git_oid *oid, void **ret,
                    struct loose_file **ret_f)
{
    struct loose_backend *b = container_of(parent, struct loose_backend, parent);
    _cleanup_(loose_file_freep) struct loose_file *f = NULL;
    int r = loose_open(b->dir, oid, &f);

    if (r < 0)
        return r;
    if (f->size >= SIZE_MAX / 2)
        return -ENOMEM;
    char *data = git_odb_backend_data_alloc(parent, f->size + 1);
    if (!data)
        return -ENOMEM;
    r = loose_read(f, data, f->size);
    if (r == 0)
        r = loose_at_end(f);
    if (r < 0) {
        git_odb_backend_data_free(parent, data);
        return r;
    }
    data[f->size] = 0;
    *ret = data;
    *ret_f = TAKE(f);
    return 0;
}

static int backend_read(void **data, size_t *len, git_object_t *type, git_odb_backend *parent,
                        const git_oid *oid)
{
    _cleanup_(loose_file_freep) struct loose_file *f = NULL;
    int r = read_all(parent, oid, data, &f);

    if (r < 0)
        return to_git(r, oid);
    *len = f->size;
    *type = f->type;
    return 0;
}

static int backend_read_prefix(git_oid *found, void **data, size_t *len, git_object_t *type,
                               git_odb_backend *parent, const git_oid *prefix, size_t prefix_len)
{
    struct loose_backend *b = container_of(parent, struct loose_backend, parent);
    git_oid full;
    int code = b->inner->exists_prefix(&full, b->inner, prefix, prefix_len);

    if (code < 0)
        return code;
    code = backend_read(data, len, type, parent, &full);
    if (code == 0)
        git_oid_cpy(found, &full);
    return code;
}

static int backend_read_header(size_t *len, git_object_t *type, git_odb_backend *parent,
                               const git_oid *oid)
{
    struct loose_backend *b = container_of(parent, struct loose_backend, parent);
    _cleanup_(loose_file_freep) struct loose_file *f = NULL;
    int r = loose_open(b->dir, oid, &f);

    if (r < 0)
        return to_git(r, oid);
    *len = f->size;
    *type = f->type;
    return 0;
}

static int backend_write(git_odb_backend *parent, const git_oid *oid, const void *data, size_t len,
                         git_object_t type)
{
    struct loose_backend *b = container_of(parent, struct loose_backend, parent);

    return b->inner->write(b->inner, oid, data, len, type);
}

static int backend_writestream(git_odb_stream **stream, git_odb_backend *parent,
                               git_object_size_t size, git_object_t type)
{
    struct loose_backend *b = container_of(parent, struct loose_backend, parent);

    return b->inner->writestream(stream, b->inner, size, type);
}

static int backend_exists(git_odb_backend *parent, const git_oid *oid)
{
    struct loose_backend *b = container_of(parent, struct loose_backend, parent);

    return b->inner->exists(b->inner, oid);
}

static int backend_exists_prefix(git_oid *found, git_odb_backend *parent, const git_oid *prefix,
                                 size_t len)
{
    struct loose_backend *b = container_of(parent, struct loose_backend, parent);

    return b->inner->exists_prefix(found, b->inner, prefix, len);
}

static int backend_foreach(git_odb_backend *parent, git_odb_foreach_cb each, void *arg)
{
    struct loose_backend *b = container_of(parent, struct loose_backend, parent);

    return b->inner->foreach(b->inner, each, arg);
}

/* Reads the object to the end and compares it with its name. */
static int verify(git_odb_backend *parent, const git_oid *oid)
{
    _cleanup_(loose_file_freep) struct loose_file *f = NULL;
    void *data = NULL;
    git_oid real;
    int r = read_all(parent, oid, &data, &f);

    if (r < 0)
        return r;
    r = git_odb_hash(&real, data, f->size, f->type) < 0 || !git_oid_equal(&real, oid) ? -EIO : 0;
    git_odb_backend_data_free(parent, data);
    return r;
}

/* "Is it there already?", asked before a write. Another program may have written it without fsync,
 * so a yes makes it durable first. */
static int backend_freshen(git_odb_backend *parent, const git_oid *oid)
{
    struct loose_backend *b = container_of(parent, struct loose_backend, parent);

    if (!b->inner->exists(b->inner, oid) || verify(parent, oid) < 0)
        return GIT_ENOTFOUND;
    _cleanup_free_ char *path = loose_path(b->dir, oid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0 || io_sync_parent(AT_FDCWD, path) < 0)
        return GIT_ENOTFOUND;
    return b->inner->freshen(b->inner, oid);
}

static void backend_free(git_odb_backend *parent)
{
    struct loose_backend *b = container_of(parent, struct loose_backend, parent);

    b->inner->free(b->inner);
    free(b->dir);
    free(b);
}

int loose_backend_new(const char *objects_dir, git_odb *odb, git_odb_backend **ret)
{
    git_odb_backend *inner;
    int code = git_odb_backend_loose(&inner, objects_dir, -1, 1, 0, 0);

    if (code < 0)
        return code;
    struct loose_backend *b = NEW(struct loose_backend);
    inner->odb = odb; /* its streams find the database by it */
    b->inner = inner;
    b->dir = xstrdup(objects_dir);
    b->parent = (git_odb_backend){
        .version = GIT_ODB_BACKEND_VERSION,
        .read = backend_read,
        .read_prefix = backend_read_prefix,
        .read_header = backend_read_header,
        .write = backend_write,
        .writestream = backend_writestream,
        .exists = backend_exists,
        .exists_prefix = backend_exists_prefix,
        .foreach = backend_foreach,
        .freshen = backend_freshen,
        .free = backend_free,
    };
    *ret = &b->parent;
    return 0;
}

int loose_compare_blob(const char *objects_dir, const struct oid *oid, int fd, uint64_t size)
{
    _cleanup_(loose_file_freep) struct loose_file *f = NULL;
    _cleanup_free_ char *ours = xmalloc(CHUNK), *theirs = xmalloc(CHUNK);
    int r = loose_open(objects_dir, oid_git(oid), &f);

    if (r < 0)
        return r;
    if (f->type != GIT_OBJECT_BLOB || f->size != size)
        return -EIO;
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < CHUNK ? size - at : CHUNK;
        r = loose_read(f, ours, n);
        if (r < 0)
            return r;
        if (pread(fd, theirs, n, at) != (ssize_t)n || memcmp(ours, theirs, n))
            return -EIO;
        at += n;
    }
    return loose_at_end(f);
}

/* -ENOENT also when there is no such directory: what is wanted may be elsewhere. */
static int open_loose(const char *dir, const struct oid *oid, struct loose_file **ret)
{
    int r = loose_open(dir, oid_git(oid), ret);

    return r == -ENOTDIR ? -ENOENT : r;
}

int loose_header(const char *objects_dir, const struct oid *oid, git_object_t *ret_type,
                 uint64_t *ret_size)
{
    _cleanup_(loose_file_freep) struct loose_file *f = NULL;
    int r = open_loose(objects_dir, oid, &f);

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
    int r = open_loose(objects_dir, oid, &f);

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
    int r = open_loose(objects_dir, oid, &f);

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
