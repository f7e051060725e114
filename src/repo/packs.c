#include "repo/packs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "repo/pack_spill.h"

/* So long may a pack that was deleted take room on the disk when nothing is ever missed. */
#define LOOK_EVERY (10 * NS_PER_SEC)
/* Larger indexes (ten million objects) are not looked at as a whole: it takes too long. */
#define CHECKED_MOST (300u << 20)

struct packs {
    char *dir;
    struct base_cache *bases;
    pthread_mutex_t looking; /* held while directories are read: one at a time; before `lock` */
    pthread_mutex_t suspecting;
    pthread_mutex_t lock; /* of what follows */
    struct pack_list *list;
    struct unpacker *idle;
    int64_t looked; /* mono */
    void (*fault)(const char *why, void *arg);
    void *arg;
};

struct packs *packs_new(const char *objects_dir, size_t bases)
{
    struct packs *p = NEW(struct packs);

    pthread_mutex_init(&p->looking, NULL);
    pthread_mutex_init(&p->suspecting, NULL);
    pthread_mutex_init(&p->lock, NULL);
    p->dir = xstrdup(objects_dir);
    p->bases = base_cache_new(bases);
    p->list = pack_list_new(objects_dir, NULL);
    p->looked = clock_mono();
    return p;
}

void packs_free(struct packs *p)
{
    if (!p)
        return;
    for (struct unpacker *u = p->idle, *next; u; u = next) {
        next = u->next;
        unpacker_free(u);
    }
    pack_list_unref(p->list);
    base_cache_free(p->bases);
    pthread_mutex_destroy(&p->looking);
    pthread_mutex_destroy(&p->suspecting);
    pthread_mutex_destroy(&p->lock);
    free(p->dir);
    free(p);
}

static bool was_told(const struct pack_list *before, const char *why)
{
    if (before)
        vec_foreach (old, &before->refused)
            if (!strcmp(*old, why))
                return true;
    return false;
}

/* Of what is wrong with `list` that was not with the one before. */
static void tell(struct packs *p, const struct pack_list *list, const struct pack_list *before)
{
    if (p->fault)
        vec_foreach (why, &list->refused)
            if (!was_told(before, *why))
                p->fault(*why, p->arg);
}

void packs_on_fault(struct packs *p, void (*fault)(const char *why, void *arg), void *arg)
{
    p->fault = fault;
    p->arg = arg;
    tell(p, p->list, NULL);
}

/* The list as it is now, in place of the one in `u`. */
static void renew(struct packs *p, struct unpacker *u)
{
    struct pack_list *old = NULL;

    pthread_mutex_lock(&p->looking);
    /* Another thread may have looked meanwhile: only who looks changes the list. */
    if (pack_list_is_stale(p->list)) {
        struct pack_list *fresh = pack_list_new(p->dir, p->list);
        pthread_mutex_lock(&p->lock);
        old = p->list;
        p->list = fresh;
        pthread_mutex_unlock(&p->lock);
    }
    pack_list_unref(u->list);
    u->list = pack_list_ref(p->list);
    pthread_mutex_unlock(&p->looking);
    if (old)
        tell(p, u->list, old);
    pack_list_unref(old);
}

/* An unpacker with the list of packs. packs_give_back() it. */
static struct unpacker *borrow(struct packs *p)
{
    int64_t now = clock_mono();

    pthread_mutex_lock(&p->lock);
    struct unpacker *u = p->idle;
    if (u)
        p->idle = u->next;
    struct pack_list *list = pack_list_ref(p->list);
    bool look = now - p->looked > LOOK_EVERY;
    if (look)
        p->looked = now;
    pthread_mutex_unlock(&p->lock);
    if (!u)
        u = unpacker_new(p->bases);
    u->list = list;
    if (look && pack_list_is_stale(list))
        renew(p, u);
    return u;
}

static void give_back(struct packs *p, struct unpacker *u)
{
    unpacker_reset(u);
    pthread_mutex_lock(&p->lock);
    u->next = p->idle;
    p->idle = u;
    pthread_mutex_unlock(&p->lock);
}

/* Whether there was something new to see. */
static bool look_again(struct packs *p, struct unpacker *u)
{
    if (!pack_list_is_stale(u->list))
        return false;
    renew(p, u);
    return true;
}

/* Finds the copy and does `work` with it; once more if it was not there, or in a pack that is not
 * kept open and may be gone, and there are other packs now. */
static int with_copy(struct packs *p, const struct packed_copy *copy,
                     int (*work)(struct unpacker *u, struct place place, void *arg), void *arg)
{
    struct unpacker *u = borrow(p);
    struct place place;
    int r;

    for (int looks = 0; looks < 2; looks++) {
        r = pack_list_find(u->list, copy->oid, copy->number, &place.pack, &place.at);
        bool gone = r == -ENOENT || (r == 0 && !pack_descriptors(place.pack));
        if (r == 0)
            r = work(u, place, arg);
        if (!gone || (r != -ENOENT && r != -EBADMSG) || !look_again(p, u))
            break;
    }
    give_back(p, u);
    return r;
}

struct header_work {
    git_object_t *ret_type;
    uint64_t *ret_size;
};

static int header_work(struct unpacker *u, struct place place, void *arg)
{
    struct header_work *w = arg;

    return unpacker_header(u, place, w->ret_type, w->ret_size);
}

int packs_header(struct packs *p, const struct oid *oid, git_object_t *ret_type, uint64_t *ret_size)
{
    struct header_work w = {ret_type, ret_size};
    struct packed_copy copy = {oid};
    int first = with_copy(p, &copy, header_work, &w), r = first;

    while (r == -EBADMSG) {
        copy.number++;
        r = with_copy(p, &copy, header_work, &w);
    }
    return r == -ENOENT ? first : r;
}

struct read_work {
    uint64_t most;
    struct unpacked o;
};

static int read_work(struct unpacker *u, struct place place, void *arg)
{
    struct read_work *w = arg;

    return unpacker_read(u, place, w->most, &w->o);
}

int packs_read(struct packs *p, const struct packed_copy *copy, uint64_t most, struct unpacked *ret)
{
    struct read_work w = {most};
    int r = with_copy(p, copy, read_work, &w);

    if (r == 0)
        *ret = w.o;
    return r;
}

struct spill_work {
    const char *dir;
    int fd;
    struct unpacked o;
};

static int spill_work(struct unpacker *u, struct place place, void *arg)
{
    struct spill_work *w = arg;

    return pack_spill(u, place, w->dir, w->fd, &w->o);
}

int packs_spill(struct packs *p, const struct packed_copy *copy, const char *dir, int fd,
                struct unpacked *ret)
{
    struct spill_work w = {dir, fd};
    int r = with_copy(p, copy, spill_work, &w);

    if (r == 0)
        *ret = w.o;
    return r;
}

static int where_work(struct unpacker *u, struct place place, void *arg)
{
    *(char **)arg = xstrdup(place.pack->file.path);
    return 0;
}

char *packs_where(struct packs *p, const struct oid *oid, unsigned copy)
{
    char *path = NULL;

    with_copy(p, &(struct packed_copy){oid, copy}, where_work, &path);
    return path;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct oid));
}

int packs_from(struct packs *p, const struct oid *least, struct oid ret[2])
{
    struct unpacker *u = borrow(p);
    struct oid all[4];
    int n = 0;

    look_again(p, u);
    vec_foreach (pack, &u->list->packs) {
        int more = pack_index_from(&(*pack)->index, least, all + n);
        n += more > 0 ? more : 0;
        qsort(all, n, sizeof(*all), compare_ids);
        if (n > 1 && oid_equal(&all[0], &all[1]))
            memmove(all + 1, all + 2, (--n - 1) * sizeof(*all));
        n = n < 2 ? n : 2;
    }
    give_back(p, u);
    memcpy(ret, all, n * sizeof(*all));
    return n;
}

void packs_suspect(struct packs *p)
{
    struct unpacker *u;

    if (pthread_mutex_trylock(&p->suspecting)) /* somebody does */
        return;
    u = borrow(p);
    vec_foreach (pack, &u->list->packs) {
        _cleanup_(diag_done) struct diag why = {0};
        int r = (*pack)->index.file.size <= CHECKED_MOST ? pack_check(*pack, &why) : 0;
        if (r == -EBADMSG && p->fault)
            p->fault(diag_text(&why, r), p->arg);
    }
    give_back(p, u);
    pthread_mutex_unlock(&p->suspecting);
}
