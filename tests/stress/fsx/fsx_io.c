#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fsx.h"

/* Open files */

struct handle *any_file(struct fsx *f)
{
    for (int try = 0; try < HANDLES; try++) {
        struct handle *h = &f->files[below(f, HANDLES)];
        if (h->fd[TWIN] >= 0)
            return h;
    }
    return NULL;
}

struct handle *free_file(struct fsx *f)
{
    struct handle *h = &f->files[below(f, HANDLES)];

    if (h->fd[TWIN] >= 0)
        close_file(f, h);
    return h;
}

/* What is stored through a map reaches the mount's file, and its times, when it is written back. */
void write_back(struct handle *h)
{
    for (int s = 0; s < SIDES && h->map[s]; s++)
        msync(h->map[s], h->mapped, MS_SYNC);
}

static void unmap(struct handle *h)
{
    write_back(h);
    for (int s = 0; s < SIDES && h->map[s]; s++) {
        munmap(h->map[s], h->mapped);
        h->map[s] = NULL;
    }
}

void close_file(struct fsx *f, struct handle *h)
{
    struct answer a;

    unmap(h);
    ON_BOTH(a, close(h->fd[s]));
    agreed(f, &a);
    h->fd[MOUNTED] = h->fd[TWIN] = -1;
}

static int number(struct fsx *f, const struct handle *h)
{
    return h - f->files;
}

static size_t size_of(const struct handle *h)
{
    struct stat st;

    return fstat(h->fd[TWIN], &st) < 0 ? 0 : st.st_size;
}

/* Mostly within the file or just behind it, often at a page's border. */
static off_t any_offset(struct fsx *f, const struct handle *h)
{
    size_t size = size_of(h), most = chance(f, 10) ? SIZE_MOST : size + 5000;
    off_t off = below(f, most > SIZE_MOST ? SIZE_MOST : most);

    return chance(f, 30) ? off & ~(off_t)4095 : off;
}

static size_t any_length(struct fsx *f)
{
    return chance(f, 10) ? below(f, IO_MOST) : chance(f, 30) ? below(f, 9000) : below(f, 200);
}

static void fill(struct fsx *f, char *data, size_t n)
{
    uint64_t r = below(f, UINT32_MAX);

    for (size_t i = 0; i < n; i++)
        data[i] = chance(f, 100) ? "0123456789abcdef"[(r + i * 7 + (i >> 8)) & 15] : 0;
}

static void do_close(struct fsx *f)
{
    struct handle *h = any_file(f);

    if (!h)
        return;
    say(f, "close %d", number(f, h));
    close_file(f, h);
}

static void do_write(struct fsx *f)
{
    struct handle *h = any_file(f);
    struct answer a;

    if (!h)
        return;
    off_t off = any_offset(f, h);
    size_t n = any_length(f);
    bool at = chance(f, 70);
    if ((h->flags & O_APPEND || !at) && size_of(h) > SIZE_MOST)
        return;
    fill(f, f->data[TWIN], n);
    say(f, "%s %d: %zu bytes at %jd", at ? "pwrite" : "write", number(f, h), n, (intmax_t)off);
    if (at) {
        ON_BOTH(a, pwrite(h->fd[s], f->data[TWIN], n, off));
    } else {
        ON_BOTH(a, write(h->fd[s], f->data[TWIN], n));
    }
    agreed(f, &a);
}

static void do_read(struct fsx *f)
{
    struct handle *h = any_file(f);
    struct answer a;

    if (!h)
        return;
    off_t off = any_offset(f, h);
    size_t n = any_length(f);
    bool at = chance(f, 70);
    say(f, "%s %d: %zu bytes at %jd", at ? "pread" : "read", number(f, h), n, (intmax_t)off);
    if (at) {
        ON_BOTH(a, pread(h->fd[s], f->data[s], n, off));
    } else {
        ON_BOTH(a, read(h->fd[s], f->data[s], n));
    }
    if (agreed(f, &a) && memcmp(f->data[MOUNTED], f->data[TWIN], a.v[TWIN]) != 0)
        differ(f, "other bytes were read");
}

static void do_seek(struct fsx *f)
{
    struct handle *h = any_file(f);
    int whence = (int[]){SEEK_SET, SEEK_CUR, SEEK_END}[below(f, 3)];
    struct answer a;

    if (!h)
        return;
    off_t off = whence == SEEK_SET ? (off_t)below(f, SIZE_MOST) : -(off_t)below(f, 5000);
    say(f, "lseek %d: %jd from %d", number(f, h), (intmax_t)off, whence);
    ON_BOTH(a, lseek(h->fd[s], off, whence));
    agreed(f, &a);
}

static void do_ftruncate(struct fsx *f)
{
    struct handle *h = any_file(f);
    struct answer a;

    if (!h)
        return;
    off_t size = any_offset(f, h);
    say(f, "ftruncate %d: %jd", number(f, h), (intmax_t)size);
    ON_BOTH(a, ftruncate(h->fd[s], size));
    agreed(f, &a);
}

static void do_fallocate(struct fsx *f)
{
    struct handle *h = any_file(f);
    int mode =
        (int[]){0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE}[below(f, 3)];
    struct answer a;

    if (!h)
        return;
    off_t off = any_offset(f, h);
    size_t n = any_length(f);
    say(f, "fallocate %d: mode %d, %zu bytes at %jd", number(f, h), mode, n, (intmax_t)off);
    ON_BOTH(a, fallocate(h->fd[s], mode, off, n));
    agreed(f, &a);
}

static void do_fsync(struct fsx *f)
{
    struct handle *h = any_file(f);
    bool data = chance(f, 50);
    struct answer a;

    if (!h)
        return;
    say(f, "%s %d", data ? "fdatasync" : "fsync", number(f, h));
    ON_BOTH(a, data ? fdatasync(h->fd[s]) : fsync(h->fd[s]));
    agreed(f, &a);
}

static void do_fstat(struct fsx *f)
{
    struct handle *h = any_file(f);
    struct stat st[SIDES];
    struct answer a;

    if (!h)
        return;
    say(f, "fstat %d", number(f, h));
    ON_BOTH(a, fstat(h->fd[s], &st[s]));
    if (agreed(f, &a))
        same_attributes(f, st, "fstat");
}

static void do_fchmod(struct fsx *f)
{
    struct handle *h = any_file(f);
    mode_t mode = (mode_t[]){0644, 0755, 0600, 0700, 0640, 0711}[below(f, 6)];
    struct answer a;

    if (!h)
        return;
    say(f, "fchmod %d: %o", number(f, h), mode);
    ON_BOTH(a, fchmod(h->fd[s], mode));
    agreed(f, &a);
}

static void do_compare(struct fsx *f)
{
    struct handle *h = any_file(f);

    if (h)
        same_open_file(f, h);
}

/* Within one file or between two; the kernel may do it in pieces. */
static void do_copy(struct fsx *f)
{
    struct handle *in = any_file(f), *out = any_file(f);
    struct answer a;

    if (!in || !out || out->flags & O_APPEND)
        return;
    off_t from = any_offset(f, in), to = any_offset(f, out);
    size_t n = any_length(f);
    say(f, "copy_file_range %d at %jd to %d at %jd: %zu bytes", number(f, in), (intmax_t)from,
        number(f, out), (intmax_t)to, n);
    for (int s = 0; s < SIDES; s++) {
        loff_t i = from, o = to;
        ssize_t got = 1;
        for (size_t left = n; left && got > 0; left -= got > 0 ? got : 0)
            got = copy_file_range(in->fd[s], &i, out->fd[s], &o, left, 0);
        a.v[s] = got < 0 ? -errno : i - from;
    }
    agreed(f, &a);
}

/* Maps */

static void do_map(struct fsx *f)
{
    struct handle *h = any_file(f);
    size_t size = h ? size_of(h) : 0;

    if (!h || (h->flags & O_ACCMODE) != O_RDWR || !size)
        return;
    say(f, "mmap %d: %zu bytes", number(f, h), size);
    unmap(h);
    h->mapped = size;
    for (int s = 0; s < SIDES; s++) {
        h->map[s] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd[s], 0);
        if (h->map[s] == MAP_FAILED)
            differ(f, "mmap: %s", strerror(errno));
    }
}

static struct handle *any_mapped(struct fsx *f)
{
    for (int try = 0; try < HANDLES; try++) {
        struct handle *h = &f->files[below(f, HANDLES)];
        if (h->fd[TWIN] >= 0 && h->map[TWIN] && size_of(h))
            return h;
    }
    return NULL;
}

/* A range of the map that is within the file as it is now. */
static size_t any_range(struct fsx *f, const struct handle *h, size_t *ret_off)
{
    size_t size = size_of(h);

    if (size > h->mapped)
        size = h->mapped;
    *ret_off = below(f, size);
    size_t n = any_length(f) + 1;
    return n < size - *ret_off ? n : size - *ret_off;
}

/* A store counts as a change of the file when it is made here, when it is written back there; so
 * both get the time of now. */
static void do_store(struct fsx *f)
{
    struct handle *h = any_mapped(f);
    size_t off;

    if (!h)
        return;
    size_t n = any_range(f, h, &off);
    bool sync = chance(f, 30);
    say(f, "store %d: %zu bytes at %zu%s", number(f, h), n, off, sync ? ", msync" : "");
    fill(f, f->data[TWIN], n);
    for (int s = 0; s < SIDES; s++)
        memcpy(h->map[s] + off, f->data[TWIN], n);
    if (sync)
        write_back(h);
    for (int s = 0; s < SIDES; s++)
        futimens(h->fd[s], NULL);
}

static void do_load(struct fsx *f)
{
    struct handle *h = any_mapped(f);
    size_t off;

    if (!h)
        return;
    size_t n = any_range(f, h, &off);
    say(f, "load %d: %zu bytes at %zu", number(f, h), n, off);
    if (memcmp(h->map[MOUNTED] + off, h->map[TWIN] + off, n) != 0)
        differ(f, "the maps hold other bytes");
}

static void do_unmap(struct fsx *f)
{
    struct handle *h = any_mapped(f);

    if (!h)
        return;
    say(f, "munmap %d", number(f, h));
    unmap(h);
}

const struct operation file_operations[] = {
    {"write", 90, do_write},         {"read", 60, do_read},
    {"seek", 10, do_seek},           {"close", 20, do_close},
    {"ftruncate", 25, do_ftruncate}, {"fallocate", 20, do_fallocate},
    {"fsync", 3, do_fsync},          {"fstat", 20, do_fstat},
    {"fchmod", 6, do_fchmod},        {"compare", 5, do_compare},
    {"copy", 15, do_copy},           {"map", 12, do_map},
    {"store", 40, do_store},         {"load", 30, do_load},
    {"unmap", 6, do_unmap},          {0},
};
