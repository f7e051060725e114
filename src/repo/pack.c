#include "repo/pack.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"

#define HEADER      12 /* "PACK", version, count */
#define ENTRY_MOST  32 /* ten bytes of size and an id, or an offset */
#define WINDOW_STEP (64 << 10)
/* Deflate cannot shrink by more than this factor: a header that says more lies. */
#define RATIO_MOST 1040

static atomic_uint_fast64_t last_serial;

/* That the pack is one, and the one that the index was made for. */
static int check_pack(struct pack *p, struct diag *reterr)
{
    struct oid ours, theirs;
    uint32_t head[3];

    if (p->file.size < HEADER + OID_RAW)
        return diag_fail(reterr, -EBADMSG, "%s: it is cut short", p->file.path);
    p->end = p->file.size - OID_RAW;
    int r = pack_file_read(&p->file, head, sizeof(head), 0);
    if (r == 0)
        r = pack_file_read(&p->file, &ours, sizeof(ours), p->end);
    if (r == 0)
        r = pack_index_pack_checksum(&p->index, &theirs);
    if (r < 0)
        return diag_fail(reterr, r, "%s: it cannot be read", p->file.path);
    uint32_t version = be32toh(head[1]);
    if (memcmp(head, "PACK", 4) || (version != 2 && version != 3))
        return diag_fail(reterr, -EBADMSG, "%s: it is no pack of version 2 or 3", p->file.path);
    if (be32toh(head[2]) != p->index.count || !oid_equal(&ours, &theirs))
        return diag_fail(reterr, -EBADMSG,
                         "%s: it is cut short, or another than its index was made for",
                         p->file.path);
    return 0;
}

/* The pack beside an index. */
static char *pack_path(const char *index_path)
{
    return xasprintf("%.*s.pack", (int)(strlen(index_path) - strlen(".idx")), index_path);
}

int pack_open(const char *index_path, size_t small, struct pack **ret, struct diag *reterr)
{
    _cleanup_(pack_unrefp) struct pack *p = NEW(struct pack);
    _cleanup_free_ char *path = pack_path(index_path);

    p->refs = 1;
    p->serial = atomic_fetch_add(&last_serial, 1) + 1;
    p->file.fd = p->index.file.fd = -1;
    int r = pack_index_open(&p->index, index_path, small, reterr);
    if (r < 0)
        return diag_prefix(reterr, r, "%s", index_path);
    r = pack_file_open(&p->file, path);
    if (r < 0)
        return diag_fail(reterr, r, "%s: %s", path, strerrordesc_np(-r));
    r = check_pack(p, reterr);
    if (r < 0)
        return r;
    *ret = TAKE(p);
    return 0;
}

void pack_rest(struct pack *p)
{
    pack_file_rest(&p->file);
    pack_file_rest(&p->index.file);
}

unsigned pack_descriptors(const struct pack *p)
{
    return (p->file.fd >= 0) + (p->index.file.fd >= 0);
}

int pack_check(struct pack *p, struct diag *reterr)
{
    if (atomic_load(&p->checked))
        return 0;
    int r = pack_index_check(&p->index, p->end, reterr);
    if (r == 0 || r == -EBADMSG)
        atomic_store(&p->checked, true);
    return r == -EBADMSG ? diag_prefix(reterr, r, "%s", p->index.file.path) : r;
}

struct pack *pack_ref(struct pack *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void pack_unref(struct pack *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    pack_index_done(&p->index);
    pack_file_done(&p->file);
    free(p);
}

void pack_window_done(struct pack_window *w)
{
    free(w->data);
    *w = (struct pack_window){0};
}

static int make_room(struct pack_window *w, size_t len)
{
    if (len <= w->cap)
        return 0;
    size_t cap = (len + WINDOW_STEP - 1) / WINDOW_STEP * WINDOW_STEP;
    unsigned char *data = malloc(cap);
    if (!data)
        return -ENOMEM;
    free(w->data);
    *w = (struct pack_window){.data = data, .cap = cap, .back = w->back};
    return 0;
}

/* Where to begin to read `want` bytes for the sake of `least` at `at`. Who says that he goes back,
 * or has gone back a little, walks from deltas to their bases, which often lie one before the
 * other: he gets mostly what is before. */
static uint64_t window_start(const struct pack_window *w, const struct pack *p, uint64_t at,
                             size_t least, size_t want)
{
    bool little = w->serial == p->serial && at < w->at && w->at - at < want;
    size_t before = w->back || little ? (want - least) / 4 * 3 : 0;

    return before < at - HEADER ? at - before : HEADER;
}

ssize_t pack_window_get(struct pack_window *w, const struct pack *p, uint64_t at, size_t least,
                        size_t want, const unsigned char **ret)
{
    if (at < HEADER || at >= p->end)
        return -EBADMSG;
    uint64_t left = p->end - at;
    least = least < left ? least : left;
    bool has = w->serial == p->serial && at >= w->at && at - w->at <= w->len;
    if (!has || w->len - (at - w->at) < least) {
        want = want > least ? want : least;
        uint64_t start = window_start(w, p, at, least, want);
        want = want < p->end - start ? want : p->end - start;
        if (make_room(w, want) < 0)
            return -ENOMEM;
        w->serial = 0;
        int r = pack_file_read(&p->file, w->data, want, start);
        if (r < 0)
            return r;
        w->serial = p->serial;
        w->at = start;
        w->len = want;
    }
    *ret = w->data + (at - w->at);
    return least;
}

/* Type and size: three bits and four, then seven at a time, the low ones first. */
static int parse_size(const unsigned char **at, const unsigned char *end, struct pack_entry *e)
{
    const unsigned char *p = *at;
    unsigned shift = 4;

    if (p == end)
        return -EBADMSG;
    e->type = *p >> 4 & 7;
    e->size = *p & 15;
    while (*p++ & 0x80) {
        if (p == end || shift > 63 - 7)
            return -EBADMSG;
        e->size |= (uint64_t)(*p & 0x7f) << shift;
        shift += 7;
    }
    *at = p;
    return 0;
}

/* How far back the base is: seven bits at a time, the high ones first, and one is added to each
 * but the last so that no distance has two spellings. */
static int parse_distance(const unsigned char **at, const unsigned char *end, struct pack_entry *e)
{
    const unsigned char *p = *at;
    uint64_t distance = 0;

    do {
        if (p == end || distance >= UINT64_MAX >> 8)
            return -EBADMSG;
        distance = (p == *at ? 0 : distance + 1) << 7 | (*p & 0x7f);
    } while (*p++ & 0x80);
    if (!distance || distance > e->at - HEADER)
        return -EBADMSG;
    e->base_at = e->at - distance;
    *at = p;
    return 0;
}

static int parse_entry(const unsigned char **at, const unsigned char *end, struct pack_entry *e)
{
    int r = parse_size(at, end, e);

    if (r < 0)
        return r;
    switch ((int)e->type) {
    case GIT_OBJECT_COMMIT:
    case GIT_OBJECT_TREE:
    case GIT_OBJECT_BLOB:
    case GIT_OBJECT_TAG:
        return 0;
    case GIT_OBJECT_OFS_DELTA:
        return parse_distance(at, end, e);
    case GIT_OBJECT_REF_DELTA:
        if (end - *at < OID_RAW)
            return -EBADMSG;
        memcpy(e->base.id, *at, OID_RAW);
        *at += OID_RAW;
        return 0;
    }
    return -EBADMSG;
}

int pack_entry_read(const struct pack *p, uint64_t at, struct pack_window *w, size_t want,
                    struct pack_entry *ret)
{
    struct pack_entry e = {.at = at};
    const unsigned char *start, *head;
    ssize_t n = pack_window_get(w, p, at, ENTRY_MOST, want, &start);

    if (n < 0)
        return n;
    head = start;
    int r = parse_entry(&head, start + n, &e);
    if (r < 0)
        return r;
    e.data = at + (head - start);
    if (e.size / RATIO_MOST > p->end - e.data)
        return -EBADMSG;
    *ret = e;
    return 0;
}
