/* Since when a site takes what it takes: the walk over the mainline that finds the revision which
 * last changed its inputs.
 *
 * The inputs of all sites are hung into one tree of path components. A step of the walk compares
 * two revisions from the root down, and descends only where ids differ and some site looks: it
 * costs what changed, whatever the number of sites. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "repo/history.h"
#include "repo/object.h"
#include "site/discover.h"
#include "site/inputs.h"

struct spot {
    struct map below;    /* component → struct spot */
    VEC(uint32_t) sites; /* whose input is exactly this path */
};

struct walk {
    struct repo *repo;
    const struct site *const *sites;
    size_t n, left; /* sites; those not found yet */
    bool *found;
    struct oid *ret;
    const struct oid *stop;
    const bool *cancel;
    struct spot root;
    bool begun;
    struct oid rev, tree; /* of the step before: the child of the one at hand */
    /* What that child declares; NULL: not read yet, or wrong ("declared as now"). */
    struct declaration *declared;
    bool declared_read;
};

static void spot_free(void *p)
{
    struct spot *s = p;

    map_done(&s->below, spot_free);
    free(s->sites.v);
    free(s);
}

static void spot_add(struct spot *root, const char *path, uint32_t site)
{
    struct spot *at = root;

    for (const char *p = path; strcmp(path, ".") && *p;) {
        size_t n = strcspn(p, "/");
        _cleanup_free_ char *name = xstrndup(p, n);
        struct spot *next = map_get(&at->below, name);
        if (!next) {
            next = NEW(struct spot);
            map_put(&at->below, name, next);
        }
        at = next;
        p += n + (p[n] == '/');
    }
    *VEC_ADD(&at->sites) = site;
}

static void mark(struct walk *w, size_t site)
{
    if (w->found[site])
        return;
    w->found[site] = true;
    w->ret[site] = w->rev;
    w->left--;
}

static int compare(struct walk *w, const struct spot *spot, const struct tree_entry *a,
                   const struct tree_entry *b);

/* The entries of two directories side by side; an absent directory has none. */
static int compare_entries(struct walk *w, const struct spot *spot, const struct tree *ta,
                           const struct tree *tb)
{
    size_t na = ta ? ta->n : 0, nb = tb ? tb->n : 0;
    int r = 0;

    for (size_t i = 0, j = 0; !r && (i < na || j < nb);) {
        const struct tree_entry *a = i < na ? &ta->entries[i] : NULL;
        const struct tree_entry *b = j < nb ? &tb->entries[j] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);
        a = order <= 0 ? a : NULL;
        b = order >= 0 ? b : NULL;
        i += !!a;
        j += !!b;
        if (a && b && a->kind == b->kind && oid_equal(&a->oid, &b->oid))
            continue;
        const struct spot *below = map_get(&spot->below, a ? a->name : b->name);
        if (below)
            r = compare(w, below, a, b);
    }
    return r;
}

/* `a` and `b` (one may be NULL) differ: marks the sites that look here, and those further down. The
 * depth of this recursion is that of the declared paths. */
static int compare(struct walk *w, const struct spot *spot, const struct tree_entry *a,
                   const struct tree_entry *b)
{
    _cleanup_(tree_unrefp) struct tree *ta = NULL, *tb = NULL;
    int r = 0;

    vec_foreach (site, &spot->sites)
        mark(w, *site);
    if (!spot->below.live)
        return 0;
    if (a && a->kind == ENTRY_DIR)
        r = tree_load(w->repo, &a->oid, &ta);
    if (!r && b && b->kind == ENTRY_DIR)
        r = tree_load(w->repo, &b->oid, &tb);
    return r ? r : compare_entries(w, spot, ta, tb);
}

/* The declaration of a tree, or NULL if it is wrong. */
static int load_declared(struct walk *w, const struct oid *tree)
{
    _cleanup_(findings_done) struct findings findings = {0};
    struct declaration *d = NULL;
    int r = declaration_load(w->repo, tree, &d, &findings, NULL);

    if (r < 0 && r != -EINVAL)
        return r;
    declaration_unref(w->declared);
    w->declared = d;
    w->declared_read = true;
    return 0;
}

static int declaration_blob(struct walk *w, const struct oid *tree, struct oid *ret)
{
    enum entry_kind kind;
    int r = tree_walk_path(w->repo, tree, DECLARATION_FILE, &kind, ret);

    if (r == -ENOENT)
        *ret = (struct oid){0};
    return r == -ENOENT ? 0 : r;
}

/* 1 if the two trees may declare different sites: another onward.yaml, other directories for its
 * patterns, or the child's is wrong, which the same file over the parent need not be. */
static int declarations_may_differ(struct walk *w, const struct oid *tree)
{
    struct oid child = {0}, parent = {0};
    int r = declaration_blob(w, &w->tree, &child);

    if (!r)
        r = declaration_blob(w, tree, &parent);
    if (r < 0 || !oid_equal(&child, &parent))
        return r < 0 ? r : 1;
    if (!w->declared_read)
        r = load_declared(w, &w->tree);
    if (!r && !w->declared)
        return 1;
    for (size_t i = 0; !r && i < w->declared->discover.n; i++)
        r = discover_differs(w->repo, &w->tree, tree, w->declared->discover.v[i]);
    return r;
}

/* Marks the sites that the parent does not declare, or declares differently. */
static int compare_declarations(struct walk *w, const struct oid *tree)
{
    int r = declarations_may_differ(w, tree);

    if (r <= 0)
        return r;
    r = load_declared(w, tree);
    for (size_t i = 0; !r && w->declared && i < w->n; i++) {
        if (w->found[i])
            continue;
        const struct site *then = declaration_site(w->declared, w->sites[i]->name);
        if (!then || !inputs_declared_same(then, w->sites[i]))
            mark(w, i);
    }
    return r;
}

/* One step back: from the revision of the step before to its parent `rev`. 1 ends the walk. */
static int step(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    struct walk *w = arg;
    int r = 0;

    if (w->cancel && __atomic_load_n(w->cancel, __ATOMIC_RELAXED))
        return -ECANCELED;
    if (w->begun && !oid_equal(&w->tree, tree)) {
        struct tree_entry a = {.kind = ENTRY_DIR, .oid = w->tree},
                          b = {.kind = ENTRY_DIR, .oid = *tree};
        r = compare(w, &w->root, &a, &b);
        if (!r)
            r = compare_declarations(w, tree);
    }
    if (r < 0)
        return r;
    w->begun = true;
    w->rev = *rev;
    w->tree = *tree;
    return !w->left || (w->stop && oid_equal(rev, w->stop));
}

int site_desired(struct repo *repo, const struct oid *head, const struct site *const *sites,
                 size_t n, const struct oid *stop, const bool *cancel, struct oid *ret)
{
    _cleanup_free_ bool *found = xcalloc(n, sizeof(*found));
    struct walk w = {
        .repo = repo,
        .sites = sites,
        .n = n,
        .left = n,
        .found = found,
        .ret = ret,
        .stop = stop,
        .cancel = cancel,
    };

    for (size_t i = 0; i < n; i++) {
        spot_add(&w.root, sites[i]->source, i);
        vec_foreach (path, &sites[i]->include)
            spot_add(&w.root, *path, i);
    }
    int r = n ? history_first_parents(repo, head, step, &w) : 1;
    for (size_t i = 0; !r && i < n; i++)
        mark(&w, i); /* the history begins here */
    map_done(&w.root.below, spot_free);
    free(w.root.sites.v);
    declaration_unref(w.declared);
    return r < 0 ? r : 0;
}
