#include "tree/legacy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/map.h"

#define MAGIC UINT64_C(0x6f6c656761637931) /* "olegacy1"; another layout is another number */
#define PAGE  4096u
#define LEAST (1u << 20) /* bytes that the log grows by, and that are not worth compacting */

/* The first page of the memory; records follow. */
struct head {
    uint64_t magic;
    uint64_t start, end; /* of the records, as offsets in the memory */
    uint64_t last_id;
};

/* Where records are, in the order of something. */
struct found {
    uint64_t key, at;
};
struct order {
    VEC(struct found);
};

struct legacy {
    int fd;
    struct head *head;
    char *map; /* of the memory from `base` on */
    uint64_t base;
    size_t mapped;
    uint64_t live; /* bytes of records with lookups */
    struct order by_id, by_name;
};

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

static struct legacy_record *record(const struct legacy *l, uint64_t place)
{
    return (struct legacy_record *)(l->map + (place - l->base));
}

const struct legacy_record *legacy_at(const struct legacy *l, uint64_t place)
{
    return record(l, place);
}

const char *legacy_name(const struct legacy_record *r)
{
    return (const char *)(r + 1);
}

const char *legacy_text(const struct legacy_record *r)
{
    return legacy_name(r) + r->name_len + 1;
}

/* Maps [base, base + size), which the memory is made to have. */
static int map_window(struct legacy *l, uint64_t base, size_t size)
{
    struct stat st;

    if (fstat(l->fd, &st) < 0 ||
        ((uint64_t)st.st_size < base + size && ftruncate(l->fd, base + size) < 0))
        return -errno;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, base);
    if (map == MAP_FAILED)
        return -errno;
    if (l->map)
        munmap(l->map, l->mapped);
    l->map = map;
    l->base = base;
    l->mapped = size;
    return 0;
}

static int map_head(struct legacy *l)
{
    void *head = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);

    if (head == MAP_FAILED)
        return -errno;
    l->head = head;
    return 0;
}

int legacy_new(struct legacy **ret)
{
    struct legacy *l = NEW(struct legacy);
    int r = 0;

    l->fd = memfd_create("onwardfs-ids", MFD_CLOEXEC);
    if (l->fd < 0 || ftruncate(l->fd, PAGE) < 0)
        r = -errno;
    if (r == 0)
        r = map_head(l);
    if (r == 0)
        r = map_window(l, PAGE, LEAST);
    if (r < 0) {
        legacy_free(l);
        return r;
    }
    *l->head = (struct head){.magic = MAGIC, .start = PAGE, .end = PAGE};
    *ret = l;
    return 0;
}

void legacy_free(struct legacy *l)
{
    if (!l)
        return;
    if (l->map)
        munmap(l->map, l->mapped);
    if (l->head)
        munmap(l->head, PAGE);
    closep(&l->fd);
    free(l->by_id.v);
    free(l->by_name.v);
    free(l);
}

int legacy_fd(const struct legacy *l)
{
    return l->fd;
}

uint64_t legacy_last_id(const struct legacy *l)
{
    return l->head->last_id;
}

void legacy_set_last_id(struct legacy *l, uint64_t id)
{
    l->head->last_id = id;
}

/* Records */

static int make_room(struct legacy *l, uint64_t len)
{
    uint64_t need = l->head->end + len - l->base;

    if (need <= l->mapped)
        return 0;
    return map_window(l, l->base, round_up(need + need / 2, LEAST));
}

/* `end` after everything else: L1. */
static uint64_t append(struct legacy *l, const struct legacy_record *r, const char *name,
                       const void *text)
{
    uint64_t name_len = strlen(name);
    uint64_t place = l->head->end, len = round_up(sizeof(*r) + name_len + 1 + r->text_len, 8);

    if (len > UINT32_MAX || make_room(l, len) < 0)
        return 0;
    struct legacy_record *to = record(l, place);
    *to = *r;
    to->len = len;
    to->name_len = name_len;
    char *tail = (char *)(to + 1);
    memcpy(tail, name, name_len + 1);
    if (r->text_len)
        memcpy(tail + name_len + 1, text, r->text_len);
    __atomic_store_n(&l->head->end, place + len, __ATOMIC_RELEASE);
    return place;
}

uint64_t legacy_add(struct legacy *l, const struct legacy_record *r, const char *name,
                    const void *text)
{
    uint64_t place = append(l, r, name, text);

    if (place && r->lookups)
        l->live += record(l, place)->len;
    return place;
}

void legacy_set_lookups(struct legacy *l, uint64_t place, uint64_t lookups)
{
    struct legacy_record *r = record(l, place);

    if (!r->lookups != !lookups)
        l->live += lookups ? r->len : -(uint64_t)r->len;
    __atomic_store_n(&r->lookups, lookups, __ATOMIC_RELEASE);
}

void legacy_set_gone(struct legacy *l, uint64_t place)
{
    struct legacy_record *r = record(l, place);

    __atomic_store_n(&r->flags, r->flags | LEGACY_GONE, __ATOMIC_RELEASE);
}

/* Finding */

static uint64_t name_key(uint64_t parent, const char *name)
{
    return hash_bytes(name, strlen(name), parent);
}

static int by_key(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void sort(struct order *o)
{
    if (o->n)
        qsort(o->v, o->n, sizeof(*o->v), by_key);
}

/* How many have a smaller key, or the same one: the last of them is the one before. */
static size_t count_up_to(const struct order *o, uint64_t key)
{
    size_t low = 0, high = o->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (o->v[mid].key <= key)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

uint64_t legacy_find(const struct legacy *l, uint64_t id)
{
    size_t n = count_up_to(&l->by_id, id);

    return n && l->by_id.v[n - 1].key == id ? l->by_id.v[n - 1].at : 0;
}

uint64_t legacy_find_name(const struct legacy *l, uint64_t parent, const char *name)
{
    uint64_t key = name_key(parent, name);

    for (size_t n = count_up_to(&l->by_name, key); n && l->by_name.v[n - 1].key == key; n--) {
        const struct legacy_record *r = record(l, l->by_name.v[n - 1].at);
        if (r->parent == parent && !strcmp(legacy_name(r), name))
            return l->by_name.v[n - 1].at;
    }
    return 0;
}

uint64_t legacy_nth(const struct legacy *l, size_t n)
{
    return n < l->by_id.n ? l->by_id.v[n].at : 0;
}

#define records_foreach(at, l)                                                                     \
    for (uint64_t at = (l)->head->start, end_ = (l)->head->end; at < end_; at += record(l, at)->len)

/* Only the last record of an id counts (L3), so the others lose what they have. */
static void drop_older(struct legacy *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->by_id.n; i++)
        if (i + 1 == l->by_id.n || l->by_id.v[i + 1].key != l->by_id.v[i].key)
            l->by_id.v[kept++] = l->by_id.v[i];
        else
            record(l, l->by_id.v[i].at)->lookups = 0;
    l->by_id.n = kept;
}

static void make_orders(struct legacy *l)
{
    l->by_id.n = l->by_name.n = 0;
    records_foreach(at, l)
    {
        *VEC_ADD(&l->by_id) = (struct found){record(l, at)->id, at};
    }
    sort(&l->by_id);
    drop_older(l);
    l->live = 0;
    vec_foreach (x, &l->by_id) {
        const struct legacy_record *r = record(l, x->at);
        l->live += r->lookups ? r->len : 0;
        if (!(r->flags & LEGACY_KEPT_NAME) || (r->flags & LEGACY_GONE))
            continue;
        *VEC_ADD(&l->by_name) = (struct found){name_key(r->parent, legacy_name(r)), x->at};
    }
    sort(&l->by_name);
}

uint64_t legacy_move(struct legacy *l, uint64_t place, uint64_t parent, const char *name)
{
    struct legacy_record r = *record(l, place);

    r.parent = parent;
    r.text_len = 0;
    uint64_t to = append(l, &r, name, NULL);
    make_orders(l);
    return to;
}

/* Opening */

/* Whoever has written it may have died of having written where it should not. */
static bool is_sound(const struct legacy *l)
{
    uint64_t end = l->head->end;

    for (uint64_t at = l->head->start; at < end;) {
        const struct legacy_record *r = record(l, at);
        if (end - at < sizeof(*r) || r->len < sizeof(*r) || r->len % 8 || r->len > end - at ||
            r->name_len >= r->len - sizeof(*r) ||
            r->text_len > r->len - sizeof(*r) - r->name_len - 1 ||
            memchr(legacy_name(r), 0, r->name_len + 1) != legacy_name(r) + r->name_len)
            return false;
        at += r->len;
    }
    return true;
}

static int map_all(struct legacy *l)
{
    struct stat st;
    int r = fstat(l->fd, &st) < 0 ? -errno : st.st_size < PAGE ? -EBADMSG : map_head(l);

    if (r < 0)
        return r;
    const struct head *h = l->head;
    if (h->magic != MAGIC || h->start < PAGE || h->end < h->start ||
        h->end > (uint64_t)st.st_size || h->start % 8)
        return -EBADMSG;
    uint64_t base = h->start / PAGE * PAGE;
    r = map_window(l, base, round_up(h->end - base + 1, LEAST));
    return r < 0 ? r : is_sound(l) ? 0 : -EBADMSG;
}

int legacy_open(int fd, struct legacy **ret, struct diag *reterr)
{
    struct legacy *l = NEW(struct legacy);

    l->fd = fd;
    int r = map_all(l);
    if (r < 0) {
        legacy_free(l);
        return diag_fail(reterr, r, "cannot read what the process before left: %s", strerror(-r));
    }
    make_orders(l);
    *ret = l;
    return 0;
}

/* Compacting */

bool legacy_is_wasteful(const struct legacy *l)
{
    uint64_t all = l->head->end - l->head->start;

    return all > LEAST && all - l->live > all / 2;
}

/* The places of what is to stay: what the kernel knows, and the directories above it (L5). They are
 * found as the records with a place in `stays`, one for each in by_id. */
static void mark_staying(const struct legacy *l, bool *stays)
{
    for (size_t i = 0; i < l->by_id.n; i++) {
        const struct legacy_record *r = record(l, l->by_id.v[i].at);
        size_t at = i + 1;
        while (r->lookups && at && !stays[at - 1]) {
            stays[at - 1] = true;
            uint64_t up = record(l, l->by_id.v[at - 1].at)->parent;
            at = count_up_to(&l->by_id, up);
            if (at && l->by_id.v[at - 1].key != up)
                at = 0;
        }
    }
}

/* Room for all of it is made before, so that no copy fails half-way. Nobody sees the copies before
 * `start` is set to them: until then the records before them hold as well. */
static int copy_staying(struct legacy *l, const bool *stays)
{
    uint64_t len = l->head->end - l->head->start;
    int r = make_room(l, len + PAGE);

    if (r < 0)
        return r;
    uint64_t start = l->head->end;
    records_foreach(at, l)
    {
        const struct legacy_record *from = record(l, at);
        size_t n = count_up_to(&l->by_id, from->id);
        if (stays[n - 1] && l->by_id.v[n - 1].at == at)
            append(l, from, legacy_name(from), legacy_text(from));
    }
    __atomic_store_n(&l->head->start, start, __ATOMIC_RELEASE);
    return 0;
}

int legacy_compact(struct legacy *l)
{
    make_orders(l);
    _cleanup_free_ bool *stays = xcalloc(l->by_id.n + 1, sizeof(*stays));
    mark_staying(l, stays);
    int r = copy_staying(l, stays);
    if (r < 0)
        return r;
    /* If it fails, the window is larger than need be. */
    uint64_t base = l->head->start / PAGE * PAGE;
    if (map_window(l, base, round_up(l->head->end - base + 1, LEAST)) == 0 && base > PAGE)
        fallocate(l->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, base - PAGE);
    make_orders(l);
    return 0;
}
