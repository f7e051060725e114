#include "repo/pack_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "repo/odb.h"

/* Each pack is an open file or two. Who has more has forgotten to repack; libgit2 finds them. */
#define PACKS_MOST 200
/* Coarser than the time stamps of any filesystem. */
#define TICK       (2 * NS_PER_SEC)
#define LOOKS_MOST 3

struct scan {
    struct pack_list *list;
    const struct pack_list *before;
    bool vanished; /* a pack was gone when it was to be opened */
};

/* The pack whose index is the file `path`, if it was open before. */
static struct pack *find_open(const struct scan *s, const char *path)
{
    struct stat st;

    if (!s->before || stat(path, &st) < 0)
        return NULL;
    vec_foreach (p, &s->before->packs)
        if (!strcmp((*p)->path, path) && pack_index_is(&(*p)->index, &st))
            return pack_ref(*p);
    return NULL;
}

static void add_pack(struct scan *s, const char *path)
{
    if (s->list->packs.n == PACKS_MOST)
        return;
    struct pack *p = find_open(s, path);
    int r = p ? 0 : pack_open(path, &p);
    if (r == 0)
        *VEC_ADD(&s->list->packs) = p;
    s->vanished |= r == -ENOENT;
}

static void note_dir(struct scan *s, const char *path)
{
    struct pack_dir *d = VEC_ADD(&s->list->dirs);
    struct stat st;

    d->path = xstrdup(path);
    d->seen = clock_real();
    if (stat(path, &st) == 0) {
        d->dev = st.st_dev;
        d->ino = st.st_ino;
        d->mtime = clock_ns(st.st_mtim);
    }
}

static void add_packs(struct scan *s, const char *objects)
{
    _cleanup_free_ char *path = xasprintf("%s/pack", objects);

    /* First the time, then the names: what comes between is seen as a change. */
    note_dir(s, path);
    _cleanup_(closedirp) DIR *dir = opendir(path);
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 4, ".idx"))
            continue;
        _cleanup_free_ char *index = xasprintf("%s/%s", path, e->d_name);
        add_pack(s, index);
    }
}

/* Looks once. True if it has to be done again. */
static bool look(struct scan *s, const char *objects_dir)
{
    struct odb_dirs dirs;

    odb_dirs_find(objects_dir, &dirs);
    vec_foreach (dir, &dirs)
        add_packs(s, *dir);
    odb_dirs_done(&dirs);
    return s->vanished;
}

struct pack_list *pack_list_new(const char *objects_dir, const struct pack_list *before)
{
    struct scan s = {.before = before};

    /* A pack that goes away while we look has one in its place that we may not have seen. */
    for (int looks = 0; looks < LOOKS_MOST; looks++) {
        pack_list_unref(s.list);
        s.vanished = false;
        s.list = NEW(struct pack_list);
        s.list->refs = 1;
        if (!look(&s, objects_dir))
            break;
    }
    return s.list;
}

struct pack_list *pack_list_ref(struct pack_list *l)
{
    atomic_fetch_add(&l->refs, 1);
    return l;
}

void pack_list_unref(struct pack_list *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    vec_foreach (d, &l->dirs)
        free(d->path);
    free(l->dirs.v);
    vec_foreach (p, &l->packs)
        pack_unref(*p);
    free(l->packs.v);
    free(l);
}

static bool has_changed(const struct pack_dir *d)
{
    struct stat st;

    if (stat(d->path, &st) < 0)
        return d->ino != 0;
    return st.st_dev != d->dev || st.st_ino != d->ino || clock_ns(st.st_mtim) != d->mtime ||
           d->seen - d->mtime < TICK;
}

bool pack_list_is_stale(const struct pack_list *l)
{
    vec_foreach (d, &l->dirs)
        if (has_changed(d))
            return true;
    return false;
}

int pack_list_find(struct pack_list *l, const struct oid *oid, struct pack **ret, uint64_t *ret_at)
{
    size_t first = atomic_load_explicit(&l->recent, memory_order_relaxed);

    for (size_t i = 0; i < l->packs.n; i++) {
        size_t n = (first + i) % l->packs.n;
        if (pack_index_find(&l->packs.v[n]->index, oid, ret_at) < 0)
            continue;
        if (i)
            atomic_store_explicit(&l->recent, n, memory_order_relaxed);
        *ret = l->packs.v[n];
        return 0;
    }
    return -ENOENT;
}
