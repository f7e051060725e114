#include "repo/pack_index.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Magic and version, fan-out, ids, CRCs, offsets of 32 bits, offsets of 64 bits, two checksums. */
#define FANOUT_AT  8
#define IDS_AT     (FANOUT_AT + 256 * 4)
#define PER_OBJECT (OID_RAW + 4 + 4)
#define TRAILER    (2 * OID_RAW)
#define IS_LARGE   UINT32_C(0x80000000)
#define HELD_MOST  (128 << 10) /* smaller indexes are kept in memory */
#define WINDOW     128 /* ids in a probe; the guess is off by some thirty in a million ids */
#define GUESSES    4   /* probes by guess; after them the middle, which always ends */

/* The ids [lo, hi) that are left to look among. */
struct range {
    uint32_t lo, hi;
};

/* `len` bytes at `at`: where they are held, or read into `buf`; NULL when they cannot be read. */
static const void *bytes_at(const struct pack_index *ix, uint64_t at, size_t len, void *buf)
{
    if (at > ix->size || len > ix->size - at)
        return NULL;
    if (ix->held)
        return ix->held + at;
    return pread(ix->fd, buf, len, at) == (ssize_t)len ? buf : NULL;
}

static int read_fanout(struct pack_index *ix)
{
    uint32_t buf[2 + 256], before = 0;
    const uint32_t *head = bytes_at(ix, 0, sizeof(buf), buf);

    if (!head || be32toh(head[0]) != UINT32_C(0xff744f63) || be32toh(head[1]) != 2)
        return -EBADMSG;
    for (int i = 0; i < 256; i++) {
        ix->fanout[i] = be32toh(head[2 + i]);
        if (ix->fanout[i] < before)
            return -EBADMSG;
        before = ix->fanout[i];
    }
    ix->count = before;
    return 0;
}

static int check_size(struct pack_index *ix)
{
    uint64_t least = IDS_AT + (uint64_t)ix->count * PER_OBJECT + TRAILER;

    if (ix->size < least || (ix->size - least) % 8 || (ix->size - least) / 8 > ix->count)
        return -EBADMSG;
    ix->large = (ix->size - least) / 8;
    return 0;
}

/* Keeps a small index in memory: a repository may have many of them, each asked for each id. */
static void hold(struct pack_index *ix)
{
    if (ix->size > HELD_MOST)
        return;
    unsigned char *all = malloc(ix->size);
    if (!all || pread(ix->fd, all, ix->size, 0) != (ssize_t)ix->size) {
        free(all);
        return;
    }
    ix->held = all;
    closep(&ix->fd);
}

int pack_index_open(struct pack_index *ix, const char *path)
{
    struct stat st;

    *ix = (struct pack_index){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (ix->fd < 0 || fstat(ix->fd, &st) < 0) {
        int r = -errno;
        pack_index_done(ix);
        return r;
    }
    ix->size = st.st_size;
    ix->dev = st.st_dev;
    ix->ino = st.st_ino;
    ix->mtime = st.st_mtim;
    hold(ix);
    if (!S_ISREG(st.st_mode) || read_fanout(ix) < 0 || check_size(ix) < 0) {
        pack_index_done(ix);
        return -EBADMSG;
    }
    return 0;
}

void pack_index_done(struct pack_index *ix)
{
    closep(&ix->fd);
    free(TAKE(ix->held));
}

bool pack_index_is(const struct pack_index *ix, const struct stat *st)
{
    return ix->dev == st->st_dev && ix->ino == st->st_ino && ix->size == (uint64_t)st->st_size &&
           ix->mtime.tv_sec == st->st_mtim.tv_sec && ix->mtime.tv_nsec == st->st_mtim.tv_nsec;
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

/* Looks for `oid` among `n` sorted ids: its place, or of the first that is greater. */
static uint32_t lower_bound(const struct oid *ids, uint32_t n, const struct oid *oid)
{
    uint32_t lo = 0, hi = n;

    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (memcmp(ids[middle].id, oid->id, OID_RAW) < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

/* The number of `oid` in the order of the index. Each probe leaves less to look among. */
static int find_number(const struct pack_index *ix, const struct oid *oid, uint32_t *ret)
{
    unsigned first = oid->id[0];
    struct range fan = {first ? ix->fanout[first - 1] : 0, ix->fanout[first]}, left = fan;
    struct oid buf[WINDOW];

    for (int probe = 0; left.lo < left.hi; probe++) {
        struct range w = next_window(fan, left, oid, probe);
        uint32_t n = w.hi - w.lo;
        const struct oid *ids =
            bytes_at(ix, IDS_AT + (uint64_t)w.lo * OID_RAW, (size_t)n * OID_RAW, buf);
        if (!ids)
            return -EBADMSG;
        uint32_t at = lower_bound(ids, n, oid);
        if (at < n && oid_equal(&ids[at], oid)) {
            *ret = w.lo + at;
            return 0;
        }
        if (at > 0 && at < n)
            break;
        left = at ? (struct range){w.hi, left.hi} : (struct range){left.lo, w.lo};
    }
    return -ENOENT;
}

static int large_offset(const struct pack_index *ix, uint32_t number, uint64_t *ret)
{
    uint64_t at = IDS_AT + (uint64_t)ix->count * PER_OBJECT + (uint64_t)number * 8, buf;
    const void *p = number < ix->large ? bytes_at(ix, at, sizeof(buf), &buf) : NULL;

    if (!p)
        return -EBADMSG;
    memcpy(&buf, p, sizeof(buf));
    *ret = be64toh(buf);
    return 0;
}

int pack_index_find(const struct pack_index *ix, const struct oid *oid, uint64_t *ret)
{
    uint32_t number, offset;
    int r = find_number(ix, oid, &number);

    if (r < 0)
        return r;
    uint64_t at = IDS_AT + (uint64_t)ix->count * (OID_RAW + 4) + (uint64_t)number * 4;
    const void *p = bytes_at(ix, at, sizeof(offset), &offset);
    if (!p)
        return -EBADMSG;
    memcpy(&offset, p, sizeof(offset));
    offset = be32toh(offset);
    if (offset & IS_LARGE)
        return large_offset(ix, offset & ~IS_LARGE, ret);
    *ret = offset;
    return 0;
}

int pack_index_pack_checksum(const struct pack_index *ix, struct oid *ret)
{
    const void *p = bytes_at(ix, ix->size - TRAILER, OID_RAW, ret);

    if (!p)
        return -EBADMSG;
    memmove(ret, p, OID_RAW);
    return 0;
}
