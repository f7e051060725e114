#include "repo/history_scan.h"

#include "base/alloc.h"
#include "base/cleanup.h"

/* A directory whose entries are being compared. */
struct level {
    struct tree *old, *new; /* NULL: there was or is no such directory */
    size_t i, j;            /* the next entry of each */
    path_id id;
    struct history_change change; /* of the directory, told when all in it has been */
    bool told;                    /* it is not one now: what it became has been told already */
};

struct scan {
    struct repo *repo;
    const struct scan_sink *sink;
    VEC(struct level) levels;
};

static void scan_done(struct scan *s)
{
    vec_foreach (l, &s->levels) {
        tree_unref(l->old);
        tree_unref(l->new);
    }
    free(s->levels.v);
}

/* Goes into a directory; `old` and `new` are its trees, NULL where it is none. */
static int enter(struct scan *s, path_id id, const struct oid *old, const struct oid *new)
{
    struct history_change change = {.there = true, .listing = !old, .kind = ENTRY_DIR};

    if (new)
        change.oid = *new;
    if (s->levels.n == SCAN_DEEPEST)
        return new ? s->sink->change(s->sink->arg, id, &change) : 0;
    struct level *l = VEC_ADD(&s->levels);
    *l = (struct level){.id = id, .change = change, .told = !new};
    int r = old ? tree_load(s->repo, old, &l->old) : 0;
    return r == 0 && new ? tree_load(s->repo, new, &l->new) : r;
}

static int leave(struct scan *s)
{
    struct level l = s->levels.v[--s->levels.n];

    tree_unref(l.old);
    tree_unref(l.new);
    return l.told ? 0 : s->sink->change(s->sink->arg, l.id, &l.change);
}

/* An entry that differs: NULL is not there. A directory is told of when it is left. */
static int differ(struct scan *s, const struct tree_entry *old, const struct tree_entry *now)
{
    struct level *l = &s->levels.v[s->levels.n - 1];
    bool was_dir = old && old->kind == ENTRY_DIR, is_dir = now && now->kind == ENTRY_DIR;
    struct history_change change = {.there = now};
    path_id id;

    l->change.listing |= !old || !now || old->kind != now->kind;
    int r = s->sink->path(s->sink->arg, l->id, now ? now->name : old->name, &id);
    if (r == 0 && !is_dir) {
        if (now) {
            change.kind = now->kind;
            change.oid = now->oid;
        }
        r = s->sink->change(s->sink->arg, id, &change);
    }
    if (r == 0 && (was_dir || is_dir))
        r = enter(s, id, was_dir ? &old->oid : NULL, is_dir ? &now->oid : NULL);
    return r;
}

static const struct tree_entry *entry_at(const struct tree *tree, size_t i)
{
    return tree && i < tree->n ? &tree->entries[i] : NULL;
}

/* Takes the next entry, or leaves the directory. */
static int step(struct scan *s)
{
    struct level *l = &s->levels.v[s->levels.n - 1];
    const struct tree_entry *old = entry_at(l->old, l->i), *new = entry_at(l->new, l->j);

    if (!old && !new)
        return leave(s);
    int order = !old ? 1 : !new ? -1 : strcmp(old->name, new->name);
    l->i += order <= 0;
    l->j += order >= 0;
    if (order == 0 && old->kind == new->kind && oid_equal(&old->oid, &new->oid))
        return 0;
    return differ(s, order <= 0 ? old : NULL, order >= 0 ? new : NULL);
}

int history_scan(struct repo *repo, const struct oid *old, const struct oid *new,
                 const struct scan_sink *sink)
{
    _cleanup_(scan_done) struct scan s = {.repo = repo, .sink = sink};

    if (old && oid_equal(old, new))
        return 0;
    int r = enter(&s, PATH_ROOT, old, new);
    while (r == 0 && s.levels.n)
        r = step(&s);
    return r;
}
