#include "repo/merge.h"

#include <errno.h>

#include "base/buf.h"
#include "repo/merge_file.h"
#include "repo/object.h"

/* No filesystem could show a path that is deeper: names and slashes make 4096 bytes. */
#define DEPTH_MOST 2048

struct merge {
    const struct sink_place *place;
    const struct merge_sides *marks; /* conflicts go into the result; NULL: they end it */
    struct conflicts *conflicts;
    struct buf path; /* of the directory being merged, with a slash at its end */
    int depth;
    struct diag *reterr;
};

struct entries {
    VEC(struct tree_entry);
};

void conflicts_done(struct conflicts *c)
{
    vec_foreach (conflict, c)
        free(conflict->path);
    free(c->v);
    *c = (struct conflicts){0};
}

static bool same(const struct tree_entry *a, const struct tree_entry *b)
{
    if (!a || !b)
        return a == b;
    return a->kind == b->kind && oid_equal(&a->oid, &b->oid);
}

static bool is_dir(const struct tree_entry *e)
{
    return e && e->kind == ENTRY_DIR;
}

static bool is_file(const struct tree_entry *e)
{
    return e && (e->kind == ENTRY_FILE || e->kind == ENTRY_EXEC);
}

static struct oid oid_of(const struct tree_entry *e)
{
    return e ? e->oid : (struct oid){0};
}

static struct oid dir_of(const struct tree_entry *e)
{
    return is_dir(e) ? e->oid : (struct oid){0};
}

static const char *name_of(const struct three *e)
{
    return e->ours ? e->ours->name : e->theirs ? e->theirs->name : e->base->name;
}

static void add_conflict(struct merge *m, const struct three *e, bool marked)
{
    struct conflict *c = VEC_ADD(m->conflicts);

    c->marked = marked;
    c->path = xasprintf("%s%s", buf_str(&m->path), name_of(e));
    c->base = oid_of(e->base);
    c->ours = oid_of(e->ours);
    c->theirs = oid_of(e->theirs);
}

static void keep(struct entries *out, const struct tree_entry *e)
{
    if (e)
        *VEC_ADD(out) = *e;
}

static int merge_dirs(struct merge *m, const struct oid *base, const struct oid *ours,
                      const struct oid *theirs, struct oid *ret);

/* Both sides have a directory there, or one has and the other deleted it. */
static int merge_subdirs(struct merge *m, const struct three *e, struct entries *out)
{
    struct oid base = dir_of(e->base), ours = dir_of(e->ours), theirs = dir_of(e->theirs);
    struct tree_entry merged = {.name = name_of(e), .kind = ENTRY_DIR};
    size_t len = m->path.len;

    buf_addf(&m->path, "%s/", merged.name);
    int r = merge_dirs(m, &base, &ours, &theirs, &merged.oid);
    m->path.data[m->path.len = len] = 0;
    if (r == 0 && !oid_is_zero(&merged.oid))
        keep(out, &merged);
    return r;
}

/* Ours stays; without marks the result does not count. */
static void keep_ours(struct merge *m, const struct three *e, struct entries *out)
{
    add_conflict(m, e, false);
    keep(out, e->ours);
}

static int merge_files(struct merge *m, const struct three *e, struct entries *out)
{
    struct tree_entry merged;
    int r = merge_file(m->place, e, m->marks, &merged, m->reterr);

    if (r < 0)
        return r;
    if (r == 1) {
        keep_ours(m, e, out);
        return 0;
    }
    if (r == 2)
        add_conflict(m, e, true);
    keep(out, &merged);
    return 0;
}

/* The table of three-way merges; the first line that fits decides. */
static int merge_entry(struct merge *m, const struct three *e, struct entries *out)
{
    const struct tree_entry *b = e->base, *o = e->ours, *t = e->theirs;

    if (same(o, t) || same(b, t)) /* one side's change, or none */
        keep(out, o);
    else if (same(b, o))
        keep(out, t);
    else if ((!o || is_dir(o)) && (!t || is_dir(t)) && (is_dir(o) || is_dir(t)))
        return merge_subdirs(m, e, out);
    else if ((!b || is_file(b)) && is_file(o) && is_file(t))
        return merge_files(m, e, out);
    else
        keep_ours(m, e, out);
    return 0;
}

static bool is_tree(const struct entries *e, const struct tree *tree)
{
    if (!tree || e->n != tree->n)
        return false;
    for (size_t i = 0; i < e->n; i++)
        if (strcmp(e->v[i].name, tree->entries[i].name) || !same(&e->v[i], &tree->entries[i]))
            return false;
    return true;
}

/* The id of the merged directory; zero when nothing is in it. A directory that is as one side has
 * it stays that side's object, with whatever is hidden in it. */
static int finish_dir(struct merge *m, const struct entries *out, const struct tree *ours,
                      const struct tree *theirs, struct oid *ret)
{
    if ((m->conflicts->n && !m->marks) || !out->n)
        *ret = (struct oid){0};
    else if (is_tree(out, ours))
        *ret = ours->oid;
    else if (is_tree(out, theirs))
        *ret = theirs->oid;
    else
        return sink_tree(m->place->sink, out->v, out->n, ret, m->reterr);
    return 0;
}

static int load(struct merge *m, const struct oid *oid, struct tree **ret)
{
    char hex[OID_HEX + 1];

    if (oid_is_zero(oid))
        return 0;
    int r = tree_load(m->place->repo, oid, ret);
    return r < 0 ? diag_fail(m->reterr, r, "cannot read the tree %s", oid_hex(oid, hex)) : 0;
}

/* The entry at `at`, if it has this name, and `at` behind it. */
static const struct tree_entry *take(const struct tree *tree, size_t *at, const char *name)
{
    if (!tree || *at == tree->n || strcmp(tree->entries[*at].name, name))
        return NULL;
    return &tree->entries[(*at)++];
}

static const char *first_name(const struct tree *const trees[3], const size_t at[3])
{
    const char *first = NULL;

    for (int i = 0; i < 3; i++) {
        if (!trees[i] || at[i] == trees[i]->n)
            continue;
        const char *name = trees[i]->entries[at[i]].name;
        if (!first || strcmp(name, first) < 0)
            first = name;
    }
    return first;
}

static int merge_loaded(struct merge *m, const struct tree *const trees[3], struct oid *ret)
{
    struct entries out = {0};
    size_t at[3] = {0};
    const char *name;
    int r = 0;

    while (r == 0 && (name = first_name(trees, at))) {
        struct three e = {
            .base = take(trees[0], &at[0], name),
            .ours = take(trees[1], &at[1], name),
            .theirs = take(trees[2], &at[2], name),
        };
        r = merge_entry(m, &e, &out);
    }
    if (r == 0)
        r = finish_dir(m, &out, trees[1], trees[2], ret);
    free(out.v);
    return r;
}

static int merge_dirs(struct merge *m, const struct oid *base, const struct oid *ours,
                      const struct oid *theirs, struct oid *ret)
{
    _cleanup_(tree_unrefp) struct tree *b = NULL, *o = NULL, *t = NULL;

    if (oid_equal(ours, theirs) || oid_equal(base, theirs) || oid_equal(base, ours)) {
        *ret = oid_equal(base, ours) ? *theirs : *ours;
        return 0;
    }
    if (m->depth == DEPTH_MOST)
        return diag_fail(m->reterr, -ENAMETOOLONG, "directories are nested too deep");
    m->depth++;
    int r = load(m, base, &b);
    if (r == 0)
        r = load(m, ours, &o);
    if (r == 0)
        r = load(m, theirs, &t);
    if (r == 0)
        r = merge_loaded(m, (const struct tree *const[3]){b, o, t}, ret);
    m->depth--;
    return r;
}

static int compare_conflicts(const void *a, const void *b)
{
    return strcmp(((const struct conflict *)a)->path, ((const struct conflict *)b)->path);
}

/* 1 if there are conflicts. */
static int merge(struct merge *m, const struct merge_sides *sides, struct oid *ret)
{
    struct oid merged;
    int r = merge_dirs(m, &sides->base, &sides->ours, &sides->theirs, &merged);

    buf_done(&m->path);
    if (r < 0)
        return r;
    if (m->conflicts->n)
        qsort(m->conflicts->v, m->conflicts->n, sizeof(*m->conflicts->v), compare_conflicts);
    if (m->conflicts->n && !m->marks)
        return 1;
    if (oid_is_zero(&merged))
        r = sink_tree(m->place->sink, NULL, 0, &merged, m->reterr);
    if (r < 0)
        return r;
    *ret = merged;
    return m->conflicts->n > 0;
}

int merge_trees(const struct sink_place *place, const struct merge_sides *sides, struct oid *ret,
                struct conflicts *conflicts, struct diag *reterr)
{
    struct merge m = {.place = place,
                      .marks = sides->theirs_name ? sides : NULL,
                      .conflicts = conflicts,
                      .reterr = reterr};

    return merge(&m, sides, ret);
}
