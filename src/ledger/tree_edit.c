#include "ledger/tree_edit.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "repo/object.h"

void tree_edits_done(struct tree_edits *e)
{
    vec_foreach (t, e)
        free(t->path);
    free(e->v);
    *e = (struct tree_edits){0};
}

void tree_edits_add(struct tree_edits *e, char *path, const struct oid *blob)
{
    *VEC_ADD(e) = (struct tree_edit){.path = path, .blob = *blob};
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

static int apply(struct repo *repo, const struct oid *old, struct tree_edit *edits, size_t n,
                 size_t skip, struct oid *ret, struct diag *reterr);

/* How many of the `n` sorted edits lie below the first component of the first one. */
static size_t same_directory(const struct tree_edit *edits, size_t n, size_t skip, size_t len)
{
    size_t same = 1;

    while (same < n && !strncmp(edits[same].path + skip, edits[0].path + skip, len + 1))
        same++;
    return same;
}

/* Puts edits[0] (and those in the same directory) into `entries`. Returns how many it took, or
 * -errno. `name` is the component, cut out of the path while the tree is written. */
static ssize_t put(struct repo *repo, struct entries *entries, struct tree_edit *edits, size_t n,
                   size_t skip, struct diag *reterr)
{
    char *name = edits[0].path + skip, *slash = strchr(name, '/');
    size_t len = slash ? (size_t)(slash - name) : strlen(name), took = 1;
    struct oid old, new = edits[0].blob;
    struct tree_entry *entry = entries_get(entries, name, len, &old);

    if (slash) {
        took = same_directory(edits, n, skip, len);
        int r = apply(repo, &old, edits, took, skip + len + 1, &new, reterr);
        if (r < 0)
            return r;
        *slash = 0;
    }
    *entry = (struct tree_entry){.name = name, .kind = slash ? ENTRY_DIR : ENTRY_FILE, .oid = new};
    return took;
}

/* The tree `old` with the `n` edits, whose paths count from `skip` on. */
static int apply(struct repo *repo, const struct oid *old, struct tree_edit *edits, size_t n,
                 size_t skip, struct oid *ret, struct diag *reterr)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    _cleanup_(entries_done) struct entries entries = {0};

    if (!oid_is_zero(old)) {
        int r = tree_load(repo, old, &tree);
        if (r < 0)
            return diag_fail(reterr, r, "cannot read a tree of the ledger");
        for (size_t i = 0; i < tree->n; i++)
            *VEC_ADD(&entries) = tree->entries[i];
    }
    for (size_t i = 0; i < n;) {
        ssize_t took = put(repo, &entries, edits + i, n - i, skip, reterr);
        if (took < 0)
            return took;
        i += took;
    }
    return tree_write(repo, entries.v, entries.n, ret, reterr);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct tree_edit *)a)->path, ((const struct tree_edit *)b)->path);
}

int tree_edits_apply(struct repo *repo, const struct oid *root, struct tree_edits *e,
                     struct oid *ret, struct diag *reterr)
{
    qsort(e->v, e->n, sizeof(*e->v), by_path);
    return apply(repo, root, e->v, e->n, 0, ret, reterr);
}
