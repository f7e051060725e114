#include "repo/tree_edit.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void tree_edits_done(struct tree_edits *e)
{
    vec_foreach (t, e)
        free(t->path);
    free(e->v);
    *e = (struct tree_edits){0};
}

void tree_edits_add(struct tree_edits *e, char *path, enum entry_kind kind, const struct oid *oid)
{
    *VEC_ADD(e) = (struct tree_edit){.path = path, .kind = kind, .oid = *oid};
}

struct entries {
    VEC(struct tree_entry);
};

static void entries_done(struct entries *e)
{
    free(e->v);
}

/* The entry of the `len` bytes `name`, added if there is none. */
static struct tree_entry *entries_get(struct entries *e, const char *name, size_t len,
                                      struct oid *ret_old)
{
    *ret_old = (struct oid){0};
    vec_foreach (t, e)
        if (!strncmp(t->name, name, len) && !t->name[len]) {
            if (t->kind == ENTRY_DIR)
                *ret_old = t->oid;
            return t;
        }
    return VEC_ADD(e);
}

/* Edits in one directory, sorted. */
struct span {
    struct tree_edit *v;
    size_t n;
    size_t skip; /* where the paths begin, seen from that directory */
};

struct editor {
    struct repo *repo;
    struct sink *sink;
    struct diag *reterr;
};

static int apply(const struct editor *ed, const struct oid *old, struct span edits,
                 struct oid *ret);

/* How many of the edits lie in the directory that the first `len` bytes of the first one name. */
static size_t same_directory(const struct span *edits, size_t len)
{
    const char *first = edits->v[0].path + edits->skip;
    size_t same = 1;

    while (same < edits->n && !strncmp(edits->v[same].path + edits->skip, first, len + 1))
        same++;
    return same;
}

/* Puts the first edit (and those in the same directory) into `entries`. Returns how many it took,
 * or -errno. The entry's name is the component, cut out of the path. */
static ssize_t put(const struct editor *ed, struct entries *entries, const struct span *edits)
{
    char *name = edits->v[0].path + edits->skip, *slash = strchr(name, '/');
    size_t len = slash ? (size_t)(slash - name) : strlen(name), took = 1;
    struct oid old, new = edits->v[0].oid;
    enum entry_kind kind = slash ? ENTRY_DIR : edits->v[0].kind;
    struct tree_entry *entry = entries_get(entries, name, len, &old);

    if (slash) {
        took = same_directory(edits, len);
        int r = apply(ed, &old, (struct span){edits->v, took, edits->skip + len + 1}, &new);
        if (r < 0)
            return r;
        *slash = 0;
    }
    *entry = (struct tree_entry){.name = name, .kind = kind, .oid = new};
    return took;
}

/* The tree `old` with the edits. */
static int apply(const struct editor *ed, const struct oid *old, struct span edits, struct oid *ret)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    _cleanup_(entries_done) struct entries entries = {0};

    if (!oid_is_zero(old)) {
        int r = tree_load(ed->repo, old, &tree);
        if (r < 0)
            return diag_fail(ed->reterr, r, "cannot read a tree");
        for (size_t i = 0; i < tree->n; i++)
            *VEC_ADD(&entries) = tree->entries[i];
    }
    while (edits.n) {
        ssize_t took = put(ed, &entries, &edits);
        if (took < 0)
            return took;
        edits.v += took;
        edits.n -= took;
    }
    return sink_tree(ed->sink, entries.v, entries.n, ret, ed->reterr);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct tree_edit *)a)->path, ((const struct tree_edit *)b)->path);
}

int tree_edits_put(const struct sink_place *place, const struct oid *root, struct tree_edits *e,
                   struct oid *ret, struct diag *reterr)
{
    struct editor ed = {place->repo, place->sink, reterr};

    if (e->n)
        qsort(e->v, e->n, sizeof(*e->v), by_path);
    return apply(&ed, root, (struct span){e->v, e->n, 0}, ret);
}
