#include "repo/pack_index.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/hash.h"

/* Version 1: fan-out, offset (32 bits) and id of each object, two checksums. Version 2: magic and
 * version, fan-out, ids, CRCs, offsets of 32 bits, offsets of 64 bits, two checksums. */
#define MAGIC       UINT32_C(0xff744f63)
#define FANOUT_SIZE (256 * 4)
#define IDS_AT      (8 + FANOUT_SIZE)
#define PER_OBJECT  (OID_RAW + 4 + 4)
#define V1_AT       FANOUT_SIZE
#define V1_OBJECT   (4 + OID_RAW)
#define TRAILER     (2 * OID_RAW)
#define FIRST_ENTRY 12 /* in the pack */
#define IS_LARGE    UINT32_C(0x80000000)
#define WINDOW      128 /* ids in a probe; the guess is off by some thirty in a million ids */
#define GUESSES     4   /* probes by guess; after them the middle, which always ends */

/* The ids [lo, hi) that are left to look among. */
struct range {
    uint32_t lo, hi;
};

/* `len` bytes at `at`: where they are held, or read into `buf`. */
static int bytes_at(const struct pack_index *ix, uint64_t at, size_t len, void *buf,
                    const void **ret)
{
    if (at > ix->file.size || len > ix->file.size - at)
        return -EBADMSG;
    *ret = ix->held ? ix->held + at : buf;
    return ix->held ? 0 : pack_file_read(&ix->file, buf, len, at);
}

static int read_fanout(struct pack_index *ix)
{
    uint32_t buf[2 + 256], before = 0;
    const void *p;
    int r = bytes_at(ix, 0, sizeof(buf), buf, &p);

    if (r < 0)
        return r;
    memmove(buf, p, sizeof(buf));
    ix->version = be32toh(buf[0]) == MAGIC ? be32toh(buf[1]) : 1;
    if (ix->version > 2 || (ix->version == 1 && be32toh(buf[0]) == MAGIC))
        return -EPROTO;
    for (int i = 0; i < 256; i++) {
        ix->fanout[i] = be32toh(buf[(ix->version == 2 ? 2 : 0) + i]);
        if (ix->fanout[i] < before)
            return -EBADMSG;
        before = ix->fanout[i];
    }
    ix->count = before;
    return 0;
}

static bool has_right_size(struct pack_index *ix)
{
    uint64_t least = ix->version == 2 ? IDS_AT + (uint64_t)ix->count * PER_OBJECT + TRAILER
                                      : V1_AT + (uint64_t)ix->count * V1_OBJECT + TRAILER;
    uint64_t more = ix->file.size - least;

    if (ix->file.size < least || (ix->version == 1 && more) || more % 8 || more / 8 > ix->count)
        return false;
    ix->large = more / 8;
    return true;
}

/* Keeps a small index in memory: a repository may have many of them, each asked for each id. */
static void hold(struct pack_index *ix, size_t small)
{
    if (ix->file.size > small)
        return;
    unsigned char *all = malloc(ix->file.size + 1);
    if (!all || pack_file_read(&ix->file, all, ix->file.size, 0) < 0) {
        free(all);
        return;
    }
    ix->held = all;
    pack_file_rest(&ix->file);
}

/* The first look, at an index whose file is open. */
static int look(struct pack_index *ix, struct diag *reterr)
{
    int r = ix->file.size < IDS_AT ? -EBADMSG : read_fanout(ix);

    if (ix->file.size < IDS_AT)
        return diag_fail(reterr, r, "it is cut short, or no index");
    if (r == -EPROTO)
        return diag_fail(reterr, -EBADMSG, "it is of version %u, not 1 or 2", ix->version);
    if (r == -EBADMSG)
        return diag_fail(reterr, r, "its fan-out table falls");
    if (r == 0 && !has_right_size(ix))
        return diag_fail(reterr, -EBADMSG,
                         "its size is not that of an index of %" PRIu32 " objects", ix->count);
    return r;
}

int pack_index_open(struct pack_index *ix, const char *path, size_t small, struct diag *reterr)
{
    *ix = (struct pack_index){.file.fd = -1};
    int r = pack_file_open(&ix->file, path);

    if (r == -EBADMSG)
        return diag_fail(reterr, r, "it is not a file");
    if (r < 0)
        return r;
    hold(ix, small);
    r = look(ix, reterr);
    if (r < 0)
        pack_index_done(ix);
    return r;
}

void pack_index_done(struct pack_index *ix)
{
    pack_file_done(&ix->file);
    free(TAKE(ix->held));
}

static uint32_t number_in(const struct oid *oid)
{
    uint32_t v;

    memcpy(&v, oid->id + 1, sizeof(v));
    return be32toh(v);
}

/* The piece of what is left to read next: around where `oid` is if the ids are spread evenly, or,
 * if that has been looked at, what is next to it. */
static struct range next_window(struct range fan, struct range left, const struct oid *oid,
                                int probe)
{
    uint64_t n = fan.hi - fan.lo, at = fan.lo + ((n * number_in(oid)) >> 32);

    if (left.hi - left.lo <= WINDOW)
        return left;
    if (probe >= GUESSES)
        at = left.lo + (left.hi - left.lo) / 2;
    if (at < left.lo + WINDOW / 2)
        return (struct range){left.lo, left.lo + WINDOW};
    if (at > left.hi - WINDOW / 2)
        return (struct range){left.hi - WINDOW, left.hi};
    return (struct range){at - WINDOW / 2, at + WINDOW / 2};
}

/* The ids of a range, which is not empty: `stride` bytes apart. */
struct ids {
    const unsigned char *first;
    size_t stride;
    unsigned char buf[WINDOW * V1_OBJECT];
};

static int read_ids(const struct pack_index *ix, struct range w, struct ids *ret)
{
    size_t stride = ix->version == 2 ? OID_RAW : V1_OBJECT;
    uint64_t at = (ix->version == 2 ? IDS_AT : V1_AT + 4) + (uint64_t)w.lo * stride;
    const void *p;
    int r = bytes_at(ix, at, (size_t)(w.hi - w.lo - 1) * stride + OID_RAW, ret->buf, &p);

    ret->first = r < 0 ? NULL : p;
    ret->stride = stride;
    return r;
}

/* Looks for `oid` among `n` sorted ids: its place, or of the first that is greater. */
static uint32_t lower_bound(const struct ids *ids, uint32_t n, const struct oid *oid)
{
    uint32_t lo = 0, hi = n;

    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (memcmp(ids->first + middle * ids->stride, oid->id, OID_RAW) < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

/* The number, in the order of the index, of the first id that is not less than `oid`, and whether
 * it is that one. Each probe leaves less to look among. 1: it is; 0: it is not. */
static int search(const struct pack_index *ix, const struct oid *oid, uint32_t *ret)
{
    unsigned first = oid->id[0];
    struct range fan = {first ? ix->fanout[first - 1] : 0, ix->fanout[first]}, left = fan;
    struct ids ids;

    for (int probe = 0; left.lo < left.hi; probe++) {
        struct range w = next_window(fan, left, oid, probe);
        uint32_t n = w.hi - w.lo;
        int r = read_ids(ix, w, &ids);
        if (r < 0)
            return r;
        uint32_t at = lower_bound(&ids, n, oid);
        *ret = w.lo + at;
        if (at < n && !memcmp(ids.first + at * ids.stride, oid->id, OID_RAW))
            return 1;
        if (at > 0 && at < n)
            return 0;
        left = at ? (struct range){w.hi, left.hi} : (struct range){left.lo, w.lo};
    }
    *ret = left.lo;
    return 0;
}

static int large_offset(const struct pack_index *ix, uint32_t number, uint64_t *ret)
{
    uint64_t at = IDS_AT + (uint64_t)ix->count * PER_OBJECT + (uint64_t)number * 8, buf;
    const void *p;
    int r = number < ix->large ? bytes_at(ix, at, sizeof(buf), &buf, &p) : -EBADMSG;

    if (r < 0)
        return r;
    memmove(&buf, p, sizeof(buf));
    *ret = be64toh(buf);
    return 0;
}

/* What the field of an object's offset says. */
static int follow_offset(const struct pack_index *ix, uint32_t field, uint64_t *ret)
{
    if (ix->version == 2 && field & IS_LARGE)
        return large_offset(ix, field & ~IS_LARGE, ret);
    *ret = field;
    return 0;
}

static uint64_t offset_field_at(const struct pack_index *ix, uint32_t number)
{
    return ix->version == 2 ? IDS_AT + (uint64_t)ix->count * (OID_RAW + 4) + (uint64_t)number * 4
                            : V1_AT + (uint64_t)number * V1_OBJECT;
}

static int offset_of(const struct pack_index *ix, uint32_t number, uint64_t *ret)
{
    uint32_t field;
    const void *p;
    int r = bytes_at(ix, offset_field_at(ix, number), sizeof(field), &field, &p);

    if (r < 0)
        return r;
    memmove(&field, p, sizeof(field));
    return follow_offset(ix, be32toh(field), ret);
}

int pack_index_find(const struct pack_index *ix, const struct oid *oid, uint64_t *ret)
{
    uint32_t number;
    int r = search(ix, oid, &number);

    return r < 0 ? r : r ? offset_of(ix, number, ret) : -ENOENT;
}

int pack_index_from(const struct pack_index *ix, const struct oid *least, struct oid ret[2])
{
    uint32_t number;
    struct ids ids;
    int r = search(ix, least, &number);

    if (r < 0 || number >= ix->count)
        return r < 0 ? r : 0;
    uint32_t n = ix->count - number < 2 ? 1 : 2;
    r = read_ids(ix, (struct range){number, number + n}, &ids);
    for (uint32_t i = 0; r == 0 && i < n; i++)
        memcpy(ret[i].id, ids.first + i * ids.stride, OID_RAW);
    return r < 0 ? r : (int)n;
}

int pack_index_pack_checksum(const struct pack_index *ix, struct oid *ret)
{
    const void *p;
    int r = bytes_at(ix, ix->file.size - TRAILER, OID_RAW, ret, &p);

    if (r == 0)
        memmove(ret, p, OID_RAW);
    return r;
}

/* ---- all of it ---- */

static int check_sum(const struct pack_index *ix)
{
    uint64_t size = ix->file.size - OID_RAW;
    _cleanup_close_ int fd = pack_file_wake(&ix->file);
    struct oid is, should;

    if (fd < 0)
        return fd;
    int r = pack_file_read(&ix->file, &should, OID_RAW, size);
    if (r == 0)
        r = hash_bare_file(fd, size, &is);
    return r == -EIO ? -EBADMSG : r < 0 ? r : oid_equal(&is, &should) ? 0 : -EBADMSG;
}

/* The ids of a range: each more than *last, which becomes it, and where the fan-out says. */
static int check_ids(const struct pack_index *ix, struct range w, struct oid *last)
{
    struct ids ids;
    int r = read_ids(ix, w, &ids);

    for (uint32_t i = w.lo; r == 0 && i < w.hi; i++) {
        const unsigned char *id = ids.first + (i - w.lo) * ids.stride;
        if ((i && memcmp(last->id, id, OID_RAW) >= 0) || i >= ix->fanout[*id] ||
            (*id && i < ix->fanout[*id - 1]))
            r = -EBADMSG;
        memcpy(last->id, id, OID_RAW);
    }
    return r;
}

static int check_offsets(const struct pack_index *ix, struct range w, uint64_t end)
{
    size_t stride = ix->version == 2 ? 4 : V1_OBJECT;
    unsigned char buf[WINDOW * V1_OBJECT];
    const void *p;
    int r = bytes_at(ix, offset_field_at(ix, w.lo), (w.hi - w.lo - 1) * stride + 4, buf, &p);

    for (uint32_t i = 0; r == 0 && i < w.hi - w.lo; i++) {
        uint64_t at;
        uint32_t field;
        memcpy(&field, (const unsigned char *)p + i * stride, sizeof(field));
        r = follow_offset(ix, be32toh(field), &at);
        if (r == 0 && (at < FIRST_ENTRY || at >= end))
            r = -EBADMSG;
    }
    return r;
}

int pack_index_check(const struct pack_index *ix, uint64_t end, struct diag *reterr)
{
    struct oid last = {0};
    int r = check_sum(ix);

    if (r == -EBADMSG)
        return diag_fail(reterr, r, "its content does not match its checksum");
    for (uint32_t at = 0; r == 0 && at < ix->count; at += WINDOW) {
        struct range w = {at, ix->count - at < WINDOW ? ix->count : at + WINDOW};
        r = check_ids(ix, w, &last);
        if (r == -EBADMSG)
            return diag_fail(reterr, r, "its ids are not in order");
        if (r == 0)
            r = check_offsets(ix, w, end);
        if (r == -EBADMSG)
            return diag_fail(reterr, r, "an offset lies outside of the pack");
    }
    return r;
}
