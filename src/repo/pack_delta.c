#include "repo/pack_delta.h"

#include <errno.h>
#include <string.h>

#define COPY       0x80
#define COPY_WHOLE 0x10000 /* the length that a copy of length 0 has */

/* Seven bits at a time, the low ones first. */
static int parse_number(struct pack_delta *d, uint64_t *ret)
{
    uint64_t value = 0;
    unsigned shift = 0;

    do {
        if (d->at == d->end || shift > 63 - 7)
            return -EBADMSG;
        value |= (uint64_t)(*d->at & 0x7f) << shift;
        shift += 7;
    } while (*d->at++ & 0x80);
    *ret = value;
    return 0;
}

int pack_delta_open(struct pack_delta *d, const void *data, size_t len)
{
    *d = (struct pack_delta){.at = data, .end = (const unsigned char *)data + len};
    int r = parse_number(d, &d->base_size);
    return r < 0 ? r : parse_number(d, &d->result_size);
}

/* A copy: the low seven bits of `op` say which bytes of offset (four) and length (three) follow. */
static int next_copy(struct pack_delta *d, unsigned op, uint64_t *ret_from, size_t *ret_len)
{
    uint64_t value = 0;

    for (int i = 0; i < 7; i++) {
        if (!(op & 1u << i))
            continue;
        if (d->at == d->end)
            return -EBADMSG;
        value |= (uint64_t)*d->at++ << (8 * i);
    }
    uint64_t from = value & UINT32_MAX, len = value >> 32;
    if (!len)
        len = COPY_WHOLE;
    if (from > d->base_size || len > d->base_size - from)
        return -EBADMSG;
    *ret_from = from;
    *ret_len = len;
    return 1;
}

int pack_delta_next(struct pack_delta *d, const unsigned char *base, const unsigned char **ret,
                    size_t *ret_len)
{
    uint64_t from;

    if (d->at == d->end)
        return 0;
    unsigned op = *d->at++;
    if (op & COPY) {
        int r = next_copy(d, op, &from, ret_len);
        if (r > 0)
            *ret = base + from;
        return r;
    }
    /* 0 is reserved. */
    if (!op || op > d->end - d->at)
        return -EBADMSG;
    *ret = d->at;
    *ret_len = op;
    d->at += op;
    return 1;
}

int pack_delta_apply(struct pack_delta *d, const unsigned char *base, unsigned char *out)
{
    const unsigned char *piece;
    uint64_t left = d->result_size;
    size_t len;
    int r;

    while ((r = pack_delta_next(d, base, &piece, &len)) > 0) {
        if (len > left)
            return -EBADMSG;
        memcpy(out, piece, len);
        out += len;
        left -= len;
    }
    return r < 0 ? r : left ? -EBADMSG : 0;
}
