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

struct packs {
    char *dir;
    struct base_cache *bases;
    pthread_mutex_t looking; /* held while directories are read: one at a time; before `lock` */
    pthread_mutex_t lock;    /* of what follows */
    struct pack_list *list;
    struct unpacker *idle;
    int64_t looked; /* mono */
};

struct packs *packs_new(const char *objects_dir, size_t bases)
{
    struct packs *p = NEW(struct packs);

    pthread_mutex_init(&p->looking, NULL);
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
    pthread_mutex_destroy(&p->lock);
    free(p->dir);
    free(p);
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

static int find(struct packs *p, struct unpacker *u, const struct oid *oid, struct place *ret)
{
    int r = pack_list_find(u->list, oid, &ret->pack, &ret->at);

    if (r == 0 || !pack_list_is_stale(u->list))
        return r;
    renew(p, u);
    return pack_list_find(u->list, oid, &ret->pack, &ret->at);
}

/* What is not right is for others to look at. */
static int answer(int r)
{
    return r == -EBADMSG ? -ENOENT : r;
}

int packs_header(struct packs *p, const struct oid *oid, git_object_t *ret_type, uint64_t *ret_size)
{
    struct unpacker *u = borrow(p);
    struct place place;
    int r = find(p, u, oid, &place);

    if (r == 0)
        r = unpacker_header(u, place, ret_type, ret_size);
    give_back(p, u);
    return answer(r);
}

/* The pack itself, whose age counts for git, beside its index. */
static int touch(const struct pack *pack)
{
    _cleanup_free_ char *path =
        xasprintf("%.*s.pack", (int)(strlen(pack->path) - strlen(".idx")), pack->path);

    return utimensat(AT_FDCWD, path, NULL, 0) < 0 ? -errno : 0;
}

int packs_freshen(struct packs *p, const struct oid *oid)
{
    struct unpacker *u = borrow(p);
    struct place place;
    int r = pack_list_find(u->list, oid, &place.pack, &place.at);

    if (r == 0)
        r = pack_sync(place.pack);
    if (r == 0)
        r = touch(place.pack);
    give_back(p, u);
    return r;
}

int packs_read(struct packs *p, const struct oid *oid, uint64_t most, git_object_t *ret_type,
               void **ret, size_t *ret_size)
{
    struct unpacker *u = borrow(p);
    struct place place;
    struct unpacked o;
    int r = find(p, u, oid, &place);

    if (r == 0)
        r = unpacker_read(u, place, most, &o);
    give_back(p, u);
    if (r < 0)
        return answer(r);
    *ret_type = o.type;
    *ret = o.data;
    *ret_size = o.size;
    return 0;
}

int packs_spill(struct packs *p, const struct oid *oid, const char *dir, int fd,
                git_object_t *ret_type, uint64_t *ret_size)
{
    struct unpacker *u = borrow(p);
    struct place place;
    struct unpacked o;
    int r = find(p, u, oid, &place);

    if (r == 0)
        r = pack_spill(u, place, dir, fd, &o);
    give_back(p, u);
    if (r < 0)
        return answer(r);
    *ret_type = o.type;
    *ret_size = o.size;
    return 0;
}
