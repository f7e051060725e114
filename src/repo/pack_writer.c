#include "repo/pack_writer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/io.h"
#include "repo/hash.h"

#define LEVEL       6
#define HEADER      12
#define VERSION     2
#define INDEX_MAGIC "\377tOc"
#define LARGE       0x80000000u /* offsets from here on have 64 bits, in a table of their own */
#define PIECE       (1u << 20)
#define KEEP_TEXT   "onwardfs: a commit is on its way\n"

struct entry {
    struct oid oid;
    uint32_t crc;
    uint64_t at;
};

struct pack_writer {
    char *dir;          /* objects/pack */
    char *pack, *index; /* temporary names; NULL when there is no such file (any more) */
    int fd, index_fd;
    struct libdeflate_compressor *deflate;
    struct buf out; /* written when it is large enough */
    uint64_t at;    /* where the next entry comes */
    VEC(struct entry) entries;
};

static int fail(const struct pack_writer *w, int r, struct diag *reterr)
{
    return diag_fail(reterr, r, "cannot write a pack to %s: %s", w->dir, strerrordesc_np(-r));
}

/* Git calls its own "tmp_…", and `git prune --expire=now` removes what is so called. */
static int make_file(const struct pack_writer *w, char **ret)
{
    _cleanup_free_ char *path = xasprintf("%s/" PACK_DRAFT "XXXXXX", w->dir);
    int fd = mkostemp(path, O_CLOEXEC);

    if (fd < 0)
        return -errno;
    *ret = TAKE(path);
    return fd;
}

int pack_writer_new(const char *objects_dir, struct pack_writer **ret, struct diag *reterr)
{
    static const char header[HEADER] = "PACK\0\0\0\2"; /* the count comes last */
    _cleanup_(pack_writer_freep) struct pack_writer *w = NEW(struct pack_writer);

    w->dir = xasprintf("%s/pack", objects_dir);
    w->at = HEADER;
    w->index_fd = -1;
    w->deflate = libdeflate_alloc_compressor(LEVEL);
    buf_add(&w->out, header, HEADER);
    w->fd = w->deflate ? make_file(w, &w->pack) : -ENOMEM;
    if (w->fd == -ENOENT && (mkdir(w->dir, 0777) == 0 || errno == EEXIST))
        w->fd = make_file(w, &w->pack);
    if (w->fd < 0)
        return fail(w, w->fd, reterr);
    *ret = TAKE(w);
    return 0;
}

void pack_writer_free(struct pack_writer *w)
{
    if (!w)
        return;
    if (w->pack)
        unlink(w->pack);
    if (w->index)
        unlink(w->index);
    closep(&w->fd);
    closep(&w->index_fd);
    if (w->deflate)
        libdeflate_free_compressor(w->deflate);
    buf_done(&w->out);
    free(w->entries.v);
    free(w->pack);
    free(w->index);
    free(w->dir);
    free(w);
}

static int flush(struct pack_writer *w)
{
    int r = io_write_full(w->fd, buf_str(&w->out), w->out.len);

    buf_clear(&w->out);
    return r;
}

/* Type and size: three bits and four, then seven at a time, the low ones first. */
static size_t entry_header(unsigned char *out, git_object_t type, uint64_t size)
{
    size_t n = 0;

    out[n] = type << 4 | (size & 15);
    for (size >>= 4; size; size >>= 7) {
        out[n++] |= 0x80;
        out[n] = size & 0x7f;
    }
    return n + 1;
}

int pack_writer_append(struct pack_writer *w, const void *data, size_t n, struct diag *reterr)
{
    struct entry *e = &w->entries.v[w->entries.n - 1];

    e->crc = libdeflate_crc32(e->crc, data, n);
    buf_add(&w->out, data, n);
    w->at += n;
    int r = w->out.len < PIECE ? 0 : flush(w);
    return r < 0 ? fail(w, r, reterr) : 0;
}

int pack_writer_begin(struct pack_writer *w, const struct oid *oid, git_object_t type,
                      uint64_t size, struct diag *reterr)
{
    unsigned char header[16];

    *VEC_ADD(&w->entries) = (struct entry){.oid = *oid, .at = w->at};
    return pack_writer_append(w, header, entry_header(header, type, size), reterr);
}

int pack_writer_add(struct pack_writer *w, const struct oid *oid, git_object_t type,
                    const void *data, size_t len, struct diag *reterr)
{
    size_t most = libdeflate_zlib_compress_bound(w->deflate, len);
    _cleanup_free_ void *packed = malloc(most);

    if (!packed)
        return fail(w, -ENOMEM, reterr);
    size_t size = libdeflate_zlib_compress(w->deflate, data, len, packed, most);
    int r = pack_writer_begin(w, oid, type, len, reterr);
    return r < 0 ? r : pack_writer_append(w, packed, size, reterr);
}

/* ---- finishing ---- */

static int by_oid(const void *a, const void *b)
{
    return memcmp(((const struct entry *)a)->oid.id, ((const struct entry *)b)->oid.id, OID_RAW);
}

static void add_u32(struct buf *out, uint32_t n)
{
    n = htonl(n);
    buf_add(out, &n, sizeof(n));
}

static void add_fanout(const struct pack_writer *w, struct buf *out)
{
    size_t n = 0;

    for (unsigned byte = 0; byte < 256; byte++) {
        while (n < w->entries.n && w->entries.v[n].oid.id[0] <= byte)
            n++;
        add_u32(out, n);
    }
}

static void add_offsets(const struct pack_writer *w, struct buf *out)
{
    uint32_t large = 0;

    vec_foreach (e, &w->entries)
        add_u32(out, e->at < LARGE ? e->at : LARGE | large++);
    vec_foreach (e, &w->entries) {
        uint64_t at = htobe64(e->at);
        if (e->at >= LARGE)
            buf_add(out, &at, sizeof(at));
    }
}

/* The index, sorted by id, as version 2 has it. */
static int make_index(struct pack_writer *w, const struct oid *checksum, struct buf *out)
{
    struct oid own;

    qsort(w->entries.v, w->entries.n, sizeof(*w->entries.v), by_oid);
    buf_add(out, INDEX_MAGIC, 4);
    add_u32(out, VERSION);
    add_fanout(w, out);
    vec_foreach (e, &w->entries)
        buf_add(out, e->oid.id, OID_RAW);
    vec_foreach (e, &w->entries)
        add_u32(out, e->crc);
    add_offsets(w, out);
    buf_add(out, checksum->id, OID_RAW);
    int r = hash_bare(out->data, out->len, &own);
    buf_add(out, own.id, OID_RAW);
    return r;
}

static int write_end(struct pack_writer *w, struct oid *ret_checksum)
{
    uint32_t count = htonl(w->entries.n);
    int r = flush(w);

    if (r == 0)
        r = io_pwrite_full(w->fd, &count, sizeof(count), 8);
    if (r == 0)
        r = hash_bare_file(w->fd, w->at, ret_checksum);
    if (r == 0)
        r = io_pwrite_full(w->fd, ret_checksum->id, OID_RAW, w->at);
    return r;
}

static int write_index(struct pack_writer *w, const struct oid *checksum)
{
    _cleanup_(buf_done) struct buf index = {0};
    int r = make_index(w, checksum, &index);

    if (r == 0)
        r = w->index_fd = make_file(w, &w->index);
    return r < 0 ? r : io_write_full(w->index_fd, index.data, index.len);
}

/* Both are on their way before either is waited for: the filesystem writes its journal once. */
static int sync_files(struct pack_writer *w)
{
    if (fchmod(w->fd, 0444) < 0 || fchmod(w->index_fd, 0444) < 0)
        return -errno;
    sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* only begins; no error counts */
    sync_file_range(w->index_fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    return fsync(w->fd) < 0 || fsync(w->index_fd) < 0 ? -errno : 0;
}

static int make_keep(const char *name, struct pack_keep *ret)
{
    struct pack_keep k = {.path = xasprintf("%s.keep", name)};

    k.fd = open(k.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = k.fd < 0 || flock(k.fd, LOCK_EX | LOCK_NB) < 0
                ? -errno
                : io_write_full(k.fd, KEEP_TEXT, strlen(KEEP_TEXT));
    if (r == 0) {
        *ret = k;
        return 0;
    }
    closep(&k.fd);
    free(k.path);
    return r;
}

/* Gives a temporary file its name for good. */
static int give_name(char **from, const char *name, const char *suffix)
{
    _cleanup_free_ char *to = xasprintf("%s.%s", name, suffix);

    if (rename(*from, to) < 0)
        return -errno;
    free(TAKE(*from));
    return 0;
}

/* First the pack, then the index by which readers find it. */
static int publish(struct pack_writer *w, const char *name, struct pack_keep *ret)
{
    struct pack_keep keep;
    int r = make_keep(name, &keep);

    if (r < 0)
        return r;
    r = give_name(&w->pack, name, "pack");
    if (r == 0)
        r = give_name(&w->index, name, "idx");
    if (r == 0)
        r = io_sync_parent(AT_FDCWD, name);
    if (r == 0)
        *ret = keep;
    else
        pack_keep_drop(&keep);
    return r;
}

/* A name that no pack has had: one that a `git repack` beside us has listed, to remove it in the
 * end, never becomes the name of another. */
static int make_name(const struct pack_writer *w, char **ret)
{
    char hex[OID_HEX + 1];
    struct oid random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    *ret = xasprintf("%s/pack-%s", w->dir, oid_hex(&random, hex));
    return 0;
}

int pack_writer_finish(struct pack_writer *w, struct pack_keep *ret, struct diag *reterr)
{
    _cleanup_free_ char *name = NULL;
    struct oid checksum;
    int r = write_end(w, &checksum);

    if (r == 0)
        r = write_index(w, &checksum);
    if (r == 0)
        r = sync_files(w);
    if (r == 0)
        r = make_name(w, &name);
    if (r == 0)
        r = publish(w, name, ret);
    return r < 0 ? fail(w, r, reterr) : 0;
}

/* ---- .keep ---- */

void pack_keep_drop(struct pack_keep *keep)
{
    unlink(keep->path);
    closep(&keep->fd);
    free(keep->path);
}

/* Ours says so; or it says nothing yet and has no pack, which comes after it. */
static bool is_left(const char *path, int fd)
{
    _cleanup_free_ char *pack = xasprintf("%.*s.pack", (int)(strlen(path) - strlen(".keep")), path);
    char text[sizeof(KEEP_TEXT)];
    ssize_t n = read(fd, text, sizeof(text));

    return n == 0 ? access(pack, F_OK) < 0 : n == strlen(KEEP_TEXT) && !memcmp(text, KEEP_TEXT, n);
}

static void tidy(const char *dir, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_left(path, fd))
        unlink(path);
}

void pack_keep_tidy(const char *objects_dir)
{
    _cleanup_free_ char *path = xasprintf("%s/pack", objects_dir);
    _cleanup_(closedirp) DIR *dir = opendir(path);

    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t len = strlen(e->d_name);
        if (len > 5 && !strcmp(e->d_name + len - 5, ".keep"))
            tidy(path, e->d_name);
    }
}
