#include "repo/pack_spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "repo/pack_delta.h"

#define PIECE (256 << 10)
/* Chains of objects up to this size are worth no files. */
#define MEMORY_MOST (16 << 20)
/* So much of the mappings is looked at before their pages are given back. */
#define LOOKED_MOST (32 << 20)

/* A file without a name, mapped once it is complete. Its blocks are there by then, so that a full
 * disk is an error of write(2) and never a signal. */
struct mapped {
    int fd;
    uint64_t size;
    unsigned char *data;
};

static void mapped_done(struct mapped *m)
{
    if (m->data)
        munmap(m->data, m->size);
    m->data = NULL;
    closep(&m->fd);
}

static int mapped_create(struct mapped *m, const char *dir)
{
    m->fd = io_open_nameless(dir);
    return m->fd < 0 ? m->fd : 0;
}

static int mapped_map(struct mapped *m, uint64_t size)
{
    m->size = size;
    if (!size)
        return 0;
    void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, m->fd, 0);
    if (data == MAP_FAILED)
        return -errno;
    m->data = data;
    return 0;
}

/* Lets the pages go from this process' memory, not from the file. */
static void mapped_forget(struct mapped *m)
{
    if (m->data)
        madvise(m->data, m->size, MADV_DONTNEED);
}

/* Inflates an entry into a new file. */
static int mapped_inflate(struct mapped *m, struct unpacker *u, const struct chain_link *link,
                          const char *dir)
{
    int r = mapped_create(m, dir);

    if (r == 0)
        r = inflater_to_file(&u->inflater, link->pack, &link->entry, m->fd);
    return r < 0 ? r : mapped_map(m, link->entry.size);
}

/* Collects pieces on the way into a file. */
struct writer {
    int fd;
    uint64_t at; /* of what `piece` holds */
    size_t len;
    unsigned char piece[PIECE];
};

static int writer_flush(struct writer *w)
{
    int r = io_pwrite_full(w->fd, w->piece, w->len, w->at);

    w->at += w->len;
    w->len = 0;
    return r;
}

static int writer_add(struct writer *w, const unsigned char *data, size_t len)
{
    while (len) {
        size_t n = len < PIECE - w->len ? len : PIECE - w->len;
        memcpy(w->piece + w->len, data, n);
        w->len += n;
        data += n;
        len -= n;
        int r = w->len == PIECE ? writer_flush(w) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* Writes what the delta makes of `base`. */
static int write_result(struct pack_delta *d, struct mapped *base, struct mapped *program, int fd)
{
    _cleanup_free_ struct writer *w = xmalloc(sizeof(*w));
    uint64_t left = d->result_size, looked = 0;
    const unsigned char *piece;
    size_t len;
    int r;

    w->fd = fd;
    w->at = w->len = 0;
    while ((r = pack_delta_next(d, base->data, &piece, &len)) > 0) {
        if (len > left)
            return -EBADMSG;
        left -= len;
        looked += len;
        r = writer_add(w, piece, len);
        if (r < 0)
            return r;
        if (looked > LOOKED_MOST) {
            looked = 0;
            mapped_forget(base);
            mapped_forget(program);
        }
    }
    if (r == 0)
        r = writer_flush(w);
    return r < 0 ? r : left ? -EBADMSG : 0;
}

/* Applies the delta of `link` to `base`, into the file `fd`. */
static int apply(struct unpacker *u, const struct chain_link *link, const char *dir,
                 struct mapped *base, int fd, uint64_t *ret_size)
{
    _cleanup_(mapped_done) struct mapped program = {.fd = -1};
    struct pack_delta delta;
    int r = mapped_inflate(&program, u, link, dir);

    if (r == 0)
        r = pack_delta_open(&delta, program.data, program.size);
    if (r == 0 && delta.base_size != base->size)
        r = -EBADMSG;
    if (r < 0)
        return r;
    *ret_size = delta.result_size;
    return write_result(&delta, base, &program, fd);
}

/* Replaces `base` by what the delta makes of it. */
static int step(struct unpacker *u, const struct chain_link *link, const char *dir,
                struct mapped *base)
{
    _cleanup_(mapped_done) struct mapped result = {.fd = -1};
    uint64_t size;
    int r = mapped_create(&result, dir);

    if (r == 0)
        r = apply(u, link, dir, base, result.fd, &size);
    if (r == 0)
        r = mapped_map(&result, size);
    if (r < 0)
        return r;
    struct mapped before = *base;
    *base = result;
    result = before;
    return 0;
}

/* The object at the end of the chain, in a file. */
static int root_to_file(struct unpacker *u, int fd, uint64_t *ret_size)
{
    if (!u->cached) {
        *ret_size = u->root.entry.size;
        return inflater_to_file(&u->inflater, u->root.pack, &u->root.entry, fd);
    }
    *ret_size = u->cached->size;
    return io_pwrite_full(fd, u->cached->data, u->cached->size, 0);
}

static int spill_chain(struct unpacker *u, const char *dir, int fd, uint64_t *ret_size)
{
    _cleanup_(mapped_done) struct mapped base = {.fd = -1};
    uint64_t size;
    int r = mapped_create(&base, dir);

    if (r == 0)
        r = root_to_file(u, base.fd, &size);
    if (r == 0)
        r = mapped_map(&base, size);
    for (size_t i = u->chain.n - 1; r == 0 && i > 0; i--)
        r = step(u, &u->chain.v[i], dir, &base);
    return r < 0 ? r : apply(u, &u->chain.v[0], dir, &base, fd, ret_size);
}

/* By way of memory. */
static int spill_small(struct unpacker *u, struct place place, int fd, struct unpacked *ret)
{
    struct unpacked o;
    int r = unpacker_read(u, place, MEMORY_MOST, &o);

    if (r < 0)
        return r;
    r = io_pwrite_full(fd, o.data, o.size, 0);
    free(o.data);
    *ret = (struct unpacked){.type = o.type, .size = o.size};
    return r;
}

int pack_spill(struct unpacker *u, struct place place, const char *dir, int fd,
               struct unpacked *ret)
{
    uint64_t size = 0;
    int r = spill_small(u, place, fd, ret);

    if (r != -EFBIG)
        return r;
    r = unpacker_walk(u, place, 64);
    if (r < 0)
        return r;
    git_object_t type = u->cached ? u->cached->type : u->root.entry.type;
    r = u->chain.n ? spill_chain(u, dir, fd, &size) : root_to_file(u, fd, &size);
    if (r == 0)
        *ret = (struct unpacked){.type = type, .size = size};
    return r;
}
