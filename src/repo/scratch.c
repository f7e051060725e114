#include "repo/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/hash.h"
#include "repo/object_write.h"
#include "repo/oidset.h"
#include "repo/scratches.h"
#include "repo/spill.h"

#define PIECE (256u << 10)

struct entry {
    struct oid oid;
    git_object_t type;
    uint64_t size;
    void *data; /* NULL: in the file at `at`, or not kept (-1) */
    off_t at;
};

struct scratch {
    struct sink sink;
    struct repo *repo;
    uint64_t keep;
    struct scratch *next; /* in repo->scratches, whose lock guards the entries, too */
    VEC(struct entry) entries;
    uint32_t *slots; /* index + 1 into entries, 0: free */
    size_t nslots;   /* a power of two */
    size_t in_memory;
    int fd; /* -1: nothing had to go there yet */
    off_t end;
};

struct scratches {
    pthread_rwlock_t lock;
    struct scratch *first;
    atomic_size_t n;
};

struct scratches *scratches_new(void)
{
    struct scratches *all = NEW(struct scratches);

    pthread_rwlock_init(&all->lock, NULL);
    return all;
}

void scratches_free(struct scratches *all)
{
    if (!all)
        return;
    pthread_rwlock_destroy(&all->lock);
    free(all);
}

/* ---- one scratch ---- */

/* The slot of `oid`, or the free one where it belongs. */
static uint32_t *find_slot(const struct scratch *s, const struct oid *oid)
{
    size_t at = oid_slot(oid, s->nslots);

    while (s->slots[at] && !oid_equal(&s->entries.v[s->slots[at] - 1].oid, oid))
        at = (at + 1) & (s->nslots - 1);
    return &s->slots[at];
}

static void grow(struct scratch *s)
{
    free(s->slots);
    s->nslots = s->nslots ? s->nslots * 2 : 64;
    s->slots = xcalloc(s->nslots, sizeof(*s->slots));
    for (size_t i = 0; i < s->entries.n; i++)
        *find_slot(s, &s->entries.v[i].oid) = i + 1;
}

static const struct entry *find(const struct scratch *s, const struct oid *oid)
{
    uint32_t slot = s->nslots ? *find_slot(s, oid) : 0;

    return slot ? &s->entries.v[slot - 1] : NULL;
}

static void add(struct scratch *s, const struct entry *e)
{
    struct scratches *all = s->repo->scratches;

    pthread_rwlock_wrlock(&all->lock);
    if (s->entries.n * 2 >= s->nslots)
        grow(s);
    *VEC_ADD(&s->entries) = *e;
    *find_slot(s, &e->oid) = s->entries.n;
    pthread_rwlock_unlock(&all->lock);
}

static int open_file(struct scratch *s, struct diag *reterr)
{
    const char *dir = spill_dir(s->repo->spill);

    if (s->fd < 0)
        s->fd = io_open_nameless(dir);
    return s->fd < 0 ? diag_fail(reterr, s->fd, "cannot make a file in %s: %s", dir,
                                 strerrordesc_np(-s->fd))
                     : 0;
}

static int keep(struct scratch *s, struct entry *e, const void *data, struct diag *reterr)
{
    if (s->in_memory + e->size <= SCRATCH_MEMORY) {
        e->data = xmalloc(e->size + 1);
        memcpy(e->data, data, e->size);
        s->in_memory += e->size;
        return 0;
    }
    int r = open_file(s, reterr);
    if (r < 0)
        return r;
    r = io_pwrite_full(s->fd, data, e->size, s->end);
    if (r < 0)
        return diag_fail(reterr, r, "cannot write to %s: %s", spill_dir(s->repo->spill),
                         strerrordesc_np(-r));
    e->at = s->end;
    s->end += e->size;
    return 0;
}

static int put(struct sink *sink, enum sink_type type, const void *data, size_t len,
               struct oid *ret, struct diag *reterr)
{
    struct scratch *s = container_of(sink, struct scratch, sink);
    struct entry e = {.type = sink_git_type(type), .at = -1};
    int r = hash_data(e.type, data, len, &e.oid);

    e.size = len;
    if (r == 0 && !find(s, &e.oid)) {
        if (type != SINK_BLOB || len <= s->keep)
            r = keep(s, &e, data, reterr);
        if (r == 0)
            add(s, &e);
    }
    if (r == 0)
        *ret = e.oid;
    return r;
}

static int put_fd(struct sink *sink, int fd, uint64_t size, struct oid *ret, struct diag *reterr)
{
    struct scratch *s = container_of(sink, struct scratch, sink);
    struct entry e = {.type = GIT_OBJECT_BLOB, .size = size, .at = -1};
    bool kept = size <= s->keep;
    int r = kept ? open_file(s, reterr) : 0;

    if (r < 0)
        return r;
    r = hash_file(e.type, fd, size, kept ? s->fd : -1, s->end, &e.oid);
    if (r < 0)
        return diag_fail(reterr, r, "cannot read the file: %s", strerrordesc_np(-r));
    if (!find(s, &e.oid)) {
        if (kept) {
            e.at = s->end;
            s->end += size;
        }
        add(s, &e);
    }
    *ret = e.oid;
    return 0;
}

static const struct sink_ops ops = {put, put_fd};

struct scratch *scratch_new(struct repo *repo, uint64_t most)
{
    struct scratches *all = repo->scratches;
    struct scratch *s = NEW(struct scratch);

    s->sink.ops = &ops;
    s->repo = repo;
    s->keep = most;
    s->fd = -1;
    pthread_rwlock_wrlock(&all->lock);
    s->next = all->first;
    all->first = s;
    atomic_fetch_add(&all->n, 1);
    pthread_rwlock_unlock(&all->lock);
    return s;
}

static void forget(struct scratches *all, struct scratch *s)
{
    pthread_rwlock_wrlock(&all->lock);
    struct scratch **at = &all->first;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    atomic_fetch_sub(&all->n, 1);
    pthread_rwlock_unlock(&all->lock);
}

void scratch_free(struct scratch *s)
{
    if (!s)
        return;
    forget(s->repo->scratches, s);
    vec_foreach (e, &s->entries)
        free(e->data);
    free(s->entries.v);
    free(s->slots);
    closep(&s->fd);
    free(s);
}

struct sink *scratch_sink(struct scratch *s)
{
    return &s->sink;
}

/* ---- reading ---- */

/* What was found of an object: a copy of its entry, and a descriptor of its own if it is in a file.
 */
struct found {
    struct entry entry;
    int fd;
};

static void found_done(struct found *f)
{
    closep(&f->fd);
    free(f->entry.data);
}

/* -EMFILE …: it cannot be read now. */
static int copy(const struct scratch *s, const struct entry *e, struct found *ret)
{
    struct found f = {*e, -1};

    if (e->data) {
        f.entry.data = malloc(e->size + 1);
        if (!f.entry.data)
            return -ENOMEM;
        memcpy(f.entry.data, e->data, e->size);
        ((char *)f.entry.data)[e->size] = 0;
    } else if ((f.fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0)) < 0) {
        return -errno;
    }
    *ret = f;
    return 0;
}

static const struct entry *find_any(struct scratches *all, const struct oid *oid,
                                    struct scratch **ret)
{
    const struct entry *e = NULL;

    for (*ret = all->first; *ret; *ret = (*ret)->next)
        if ((e = find(*ret, oid)) && (e->data || e->at >= 0))
            return e;
    return NULL;
}

static int load(struct scratches *all, const struct oid *oid, uint64_t most, struct found *ret)
{
    struct scratch *s;
    int r = -ENOENT;

    if (atomic_load(&all->n) == 0)
        return r;
    pthread_rwlock_rdlock(&all->lock);
    const struct entry *e = find_any(all, oid, &s);
    if (e)
        r = e->size > most ? -EFBIG : copy(s, e, ret);
    pthread_rwlock_unlock(&all->lock);
    return r;
}

int scratches_header(struct scratches *all, const struct oid *oid, git_object_t *ret_type,
                     uint64_t *ret_size)
{
    int r = -ENOENT;

    if (atomic_load(&all->n) == 0)
        return r;
    pthread_rwlock_rdlock(&all->lock);
    for (const struct scratch *s = all->first; s && r < 0; s = s->next) {
        const struct entry *e = find(s, oid);
        if (!e)
            continue;
        *ret_type = e->type;
        *ret_size = e->size;
        r = 0;
    }
    pthread_rwlock_unlock(&all->lock);
    return r;
}

static int read_file(const struct found *f, void *out, size_t len, uint64_t at)
{
    while (len) {
        ssize_t n = pread(f->fd, out, len, f->entry.at + at);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        out = (char *)out + n;
        len -= n;
        at += n;
    }
    return 0;
}

int scratches_load(struct scratches *all, const struct oid *oid, uint64_t most,
                   git_object_t *ret_type, void **ret, size_t *ret_size)
{
    struct found f;
    int r = load(all, oid, most, &f);

    if (r < 0)
        return r;
    if (!f.entry.data) {
        f.entry.data = f.entry.size < SIZE_MAX / 2 ? malloc(f.entry.size + 1) : NULL;
        r = f.entry.data ? read_file(&f, f.entry.data, f.entry.size, 0) : -ENOMEM;
    }
    if (r == 0) {
        *ret_type = f.entry.type;
        *ret_size = f.entry.size;
        *ret = TAKE(f.entry.data);
        ((char *)*ret)[*ret_size] = 0;
    }
    found_done(&f);
    return r;
}

static int copy_file(const struct found *f, int fd)
{
    _cleanup_free_ char *piece = xmalloc(PIECE);
    int r = 0;

    for (uint64_t at = 0; r == 0 && at < f->entry.size; at += PIECE) {
        size_t n = f->entry.size - at < PIECE ? f->entry.size - at : PIECE;
        r = read_file(f, piece, n, at);
        if (r == 0)
            r = io_pwrite_full(fd, piece, n, at);
    }
    return r;
}

int scratches_spill(struct scratches *all, const struct oid *oid, int fd, git_object_t *ret_type,
                    uint64_t *ret_size)
{
    struct found f;
    int r = load(all, oid, UINT64_MAX, &f);

    if (r < 0)
        return r;
    *ret_type = f.entry.type;
    *ret_size = f.entry.size;
    r = f.entry.data ? io_pwrite_full(fd, f.entry.data, f.entry.size, 0) : copy_file(&f, fd);
    found_done(&f);
    return r;
}
