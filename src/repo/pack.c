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
static int check_pack(struct pack *p)
{
    struct oid ours, theirs;
    uint32_t head[3];
    struct stat st;

    if (fstat(p->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size < HEADER + OID_RAW)
        return -EBADMSG;
    p->end = st.st_size - OID_RAW;
    if (pread(p->fd, head, sizeof(head), 0) != sizeof(head) ||
        pread(p->fd, &ours, sizeof(ours), p->end) != sizeof(ours) ||
        pack_index_pack_checksum(&p->index, &theirs) < 0)
        return -EBADMSG;
    uint32_t version = be32toh(head[1]);
    if (memcmp(head, "PACK", 4) || (version != 2 && version != 3) ||
        be32toh(head[2]) != p->index.count || !oid_equal(&ours, &theirs))
        return -EBADMSG;
    return 0;
}

int pack_open(const char *index_path, struct pack **ret)
{
    _cleanup_(pack_unrefp) struct pack *p = NEW(struct pack);

    p->refs = 1;
    p->serial = atomic_fetch_add(&last_serial, 1) + 1;
    p->path = xstrdup(index_path);
    p->fd = -1;
    int r = pack_index_open(&p->index, index_path);
    if (r < 0)
        return r;
    size_t stem = strlen(index_path) - strlen(".idx");
    _cleanup_free_ char *path = xasprintf("%.*s.pack", (int)stem, index_path);
    p->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (p->fd < 0)
        return -errno;
    r = check_pack(p);
    if (r < 0)
        return r;
    *ret = TAKE(p);
    return 0;
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
    closep(&p->fd);
    free(p->path);
    free(p);
}

int pack_sync(struct pack *p)
{
    if (atomic_load(&p->durable))
        return 0;
    _cleanup_close_ int index = open(p->path, O_RDONLY | O_CLOEXEC);
    if (index < 0 || fsync(p->fd) < 0 || fsync(index) < 0)
        return -errno;
    int r = io_sync_parent(AT_FDCWD, p->path);
    if (r == 0)
        atomic_store(&p->durable, true);
    return r;
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
    *w = (struct pack_window){.data = data, .cap = cap};
    return 0;
}

ssize_t pack_window_get(struct pack_window *w, const struct pack *p, uint64_t at, size_t least,
                        size_t want, const unsigned char **ret)
{
    if (at < HEADER || at >= p->end)
        return -EBADMSG;
    uint64_t left = p->end - at;
    least = least < left ? least : left;
    want = want < left ? want : left;
    bool has = w->serial == p->serial && at >= w->at && at - w->at <= w->len;
    if (!has || w->len - (at - w->at) < least) {
        want = want > least ? want : least;
        if (make_room(w, want) < 0)
            return -ENOMEM;
        w->serial = 0;
        if (pread(p->fd, w->data, want, at) != (ssize_t)want)
            return -EBADMSG;
        w->serial = p->serial;
        w->at = at;
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
