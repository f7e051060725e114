#include "repo/inflater.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/io.h"

#define KEPT_MOST  (1 << 20)
#define HEAD_INPUT 512  /* holds the code tables that come before the first byte */
#define AHEAD      4096 /* at least: the deltas of a chain often lie one after the other */
#define PIECE_IN   (64 << 10)
#define PIECE_OUT  (256 << 10)

void inflater_done(struct inflater *f)
{
    pack_window_done(&f->window);
    libdeflate_free_decompressor(f->whole);
    if (f->has_z)
        inflateEnd(&f->z);
    *f = (struct inflater){0};
}

void inflater_trim(struct inflater *f)
{
    if (f->window.cap > KEPT_MOST)
        pack_window_done(&f->window);
}

/* More bytes than `size` bytes are ever deflated to, by any encoder that has some sense: the pack
 * does not say how many there are. */
static size_t deflated_most(size_t size)
{
    return size + size / 8 + size / 64 + 64;
}

int inflater_whole(struct inflater *f, const struct pack *p, const struct pack_entry *e, void *out)
{
    const unsigned char *in;
    size_t most, used;

    if (e->size >= SIZE_MAX / 2)
        return -ENOMEM;
    if (!f->whole && !(f->whole = libdeflate_alloc_decompressor()))
        return -ENOMEM;
    most = deflated_most(e->size);
    ssize_t n = pack_window_get(&f->window, p, e->data, most, AHEAD, &in);
    if (n < 0)
        return n;
    /* Without a place for the size that came out, any but this one is an error. */
    if (libdeflate_zlib_decompress_ex(f->whole, in, n, out, e->size, &used, NULL) !=
        LIBDEFLATE_SUCCESS)
        return -EBADMSG;
    return 0;
}

static int start_z(struct inflater *f)
{
    int r = f->has_z ? inflateReset(&f->z) : inflateInit(&f->z);

    if (r != Z_OK)
        return -ENOMEM;
    f->has_z = true;
    f->z.avail_in = 0;
    return 0;
}

ssize_t inflater_head(struct inflater *f, const struct pack *p, const struct pack_entry *e,
                      void *out, size_t len)
{
    const unsigned char *in;
    int r = start_z(f);

    if (r < 0)
        return r;
    ssize_t n = pack_window_get(&f->window, p, e->data, HEAD_INPUT, HEAD_INPUT, &in);
    if (n < 0)
        return n;
    f->z.next_in = (unsigned char *)in;
    f->z.avail_in = n;
    f->z.next_out = out;
    f->z.avail_out = len;
    r = inflate(&f->z, Z_SYNC_FLUSH);
    if (r == Z_MEM_ERROR)
        return -ENOMEM;
    return r == Z_OK || r == Z_STREAM_END ? (ssize_t)(len - f->z.avail_out) : -EBADMSG;
}

/* Fills `out` from the stream whose next bytes are at `*at`; less only where the stream ends, and
 * then *ret_ended. */
static ssize_t inflate_piece(struct inflater *f, const struct pack *p, uint64_t *at, void *out,
                             bool *ret_ended)
{
    f->z.next_out = out;
    f->z.avail_out = PIECE_OUT;
    while (f->z.avail_out) {
        const unsigned char *in;
        ssize_t n = pack_window_get(&f->window, p, *at, 1, PIECE_IN, &in);
        if (n < 0)
            return n;
        /* What the window holds beyond the first byte is ours to use too. */
        n = f->window.len - (*at - f->window.at);
        f->z.next_in = (unsigned char *)in;
        f->z.avail_in = n;
        int r = inflate(&f->z, Z_NO_FLUSH);
        *at += n - f->z.avail_in;
        *ret_ended = r == Z_STREAM_END;
        if (*ret_ended)
            break;
        if (r != Z_OK)
            return r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
    }
    return PIECE_OUT - f->z.avail_out;
}

int inflater_to_file(struct inflater *f, const struct pack *p, const struct pack_entry *e, int fd)
{
    _cleanup_free_ unsigned char *out = xmalloc(PIECE_OUT);
    uint64_t at = e->data, done = 0;
    bool ended = false;
    int r = start_z(f);

    while (r == 0 && !ended) {
        ssize_t n = inflate_piece(f, p, &at, out, &ended);
        if (n < 0 || (uint64_t)n > e->size - done)
            return n < 0 ? n : -EBADMSG;
        r = io_pwrite_full(fd, out, n, done);
        done += n;
    }
    return r < 0 ? r : done == e->size ? 0 : -EBADMSG;
}
