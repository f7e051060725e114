#include "repo/pack_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "repo/object_dirs.h"

/* Descriptors that are kept; packs beyond are opened for each read. Who has so many has forgotten
 * to repack. */
#define KEPT_MOST 400
/* Memory for small indexes. */
#define HELD_MOST (32u << 20)
/* Coarser than the time stamps of any filesystem. */
#define TICK       (2 * NS_PER_SEC)
#define LOOKS_MOST 3

struct scan {
    struct pack_list *list;
    const struct pack_list *before;
    size_t held;   /* bytes of indexes in memory */
    unsigned kept; /* descriptors */
    bool vanished; /* a pack was gone when it was to be opened */
};

/* The pack whose index is the file `path`, if it was open before. */
static struct pack *find_open(const struct scan *s, const char *path)
{
    struct stat index, pack;

    if (!s->before || stat(path, &index) < 0)
        return NULL;
    vec_foreach (p, &s->before->packs)
        if (!strcmp((*p)->index.file.path, path) && pack_file_is(&(*p)->index.file, &index) &&
            stat((*p)->file.path, &pack) == 0 && pack_file_is(&(*p)->file, &pack))
            return pack_ref(*p);
    return NULL;
}

static int open_pack(struct scan *s, const char *path, struct pack **ret, struct diag *reterr)
{
    int r = pack_open(path, s->held < HELD_MOST ? PACK_INDEX_SMALL : 0, ret, reterr);

    if (r == 0 && s->kept >= KEPT_MOST)
        pack_rest(*ret);
    return r;
}

static void add_pack(struct scan *s, const char *path)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct pack *p = find_open(s, path);
    int r = p ? 0 : open_pack(s, path, &p, &why);

    s->vanished |= r == -ENOENT;
    if (r == -EBADMSG)
        *VEC_ADD(&s->list->refused) = xstrdup(diag_text(&why, r));
    else if (r < 0)
        s->list->unsure = true;
    if (r < 0)
        return;
    *VEC_ADD(&s->list->packs) = p;
    s->kept += pack_descriptors(p);
    s->held += p->index.held ? p->index.file.size : 0;
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
    s->list->unsure |= !dir && errno != ENOENT && errno != ENOTDIR;
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
    struct object_dirs dirs;

    object_dirs_find(objects_dir, &dirs);
    s->list->unsure = dirs.unsure;
    vec_foreach (dir, &dirs)
        add_packs(s, *dir);
    object_dirs_done(&dirs);
    return s->vanished;
}

struct pack_list *pack_list_new(const char *objects_dir, const struct pack_list *before)
{
    struct scan s = {.before = before};

    /* A pack that goes away while we look has one in its place that we may not have seen. */
    for (int looks = 0; looks < LOOKS_MOST; looks++) {
        pack_list_unref(s.list);
        s = (struct scan){.list = NEW(struct pack_list), .before = before};
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
    vec_foreach (why, &l->refused)
        free(*why);
    free(l->refused.v);
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
    if (l->unsure)
        return true;
    vec_foreach (d, &l->dirs)
        if (has_changed(d))
            return true;
    return false;
}

/* Of two failures to find something, the one that says more. */
static int worse(int a, int b)
{
    return a == -ENOENT || (a == -EBADMSG && b != -ENOENT) ? b : a;
}

int pack_list_find(struct pack_list *l, const struct oid *oid, unsigned copy, struct pack **ret,
                   uint64_t *ret_at)
{
    size_t first = copy ? 0 : atomic_load_explicit(&l->recent, memory_order_relaxed);
    unsigned found = 0;
    int failed = -ENOENT;

    for (size_t i = 0; i < l->packs.n; i++) {
        size_t n = (first + i) % l->packs.n;
        int r = pack_index_find(&l->packs.v[n]->index, oid, ret_at);
        failed = r < 0 ? worse(failed, r) : failed;
        if (r < 0 || ++found < copy)
            continue;
        if (i && !copy)
            atomic_store_explicit(&l->recent, n, memory_order_relaxed);
        *ret = l->packs.v[n];
        return 0;
    }
    return copy ? -ENOENT : failed;
}
