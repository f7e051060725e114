#include "site/restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "repo/revision.h"
#include "repo/tree_edit.h"
#include "site/inputs.h"

/* So many names are said; of the rest, how many there are. */
#define NAMED_MOST 5

/* One tree, with what it declares. */
struct side {
    const char *what; /* for people */
    struct oid tree;
    struct declaration *declaration;
};

struct restoring {
    const struct restore *what;
    struct side head, to, now; /* now: what comes of it */
    struct map named;          /* the sites that were named */
    struct map paths;          /* what they take; as keys */
    struct diag *reterr;
};

static void restoring_done(struct restoring *r)
{
    declaration_unref(r->head.declaration);
    declaration_unref(r->to.declaration);
    declaration_unref(r->now.declaration);
    map_done(&r->named, NULL);
    map_done(&r->paths, NULL);
}

/* ---- the two ends -------------------------------------------------------------------------------
 */

static int side_declare(struct restoring *r, struct side *s)
{
    _cleanup_(findings_done) struct findings findings = {0};
    _cleanup_(buf_done) struct buf text = {0};
    int err = declaration_load(r->what->repo, &s->tree, &s->declaration, &findings, r->reterr);

    if (err != -EINVAL || !findings.n)
        return err;
    findings.n = 1;
    findings_render(&findings, &text);
    return diag_fail(r->reterr, err, "%s has a declaration that is wrong: %.*s", s->what,
                     (int)strcspn(buf_str(&text), "\n"), buf_str(&text));
}

static int side_load(struct restoring *r, const struct oid *rev, struct side *s)
{
    struct revision_brief brief;
    int err = revision_brief(r->what->repo, rev, &brief);

    if (err < 0)
        return diag_fail(r->reterr, err, "%s cannot be read", s->what);
    s->tree = brief.tree;
    return side_declare(r, s);
}

/* ---- the sites ----------------------------------------------------------------------------------
 */

static bool has_path(const struct site *s, const char *path)
{
    vec_foreach (p, &s->include)
        if (!strcmp(*p, path))
            return true;
    return false;
}

static bool same_include(const struct site *a, const struct site *b)
{
    vec_foreach (p, &a->include)
        if (!has_path(b, *p))
            return false;
    return a->include.n == b->include.n;
}

static bool same_labels(const struct site *a, const struct site *b)
{
    for (size_t i = 0; i < a->labels.n && i < b->labels.n; i++)
        if (strcmp(a->labels.v[i].key, b->labels.v[i].key) != 0 ||
            strcmp(a->labels.v[i].value, b->labels.v[i].value) != 0)
            return false;
    return a->labels.n == b->labels.n;
}

/* What differs in two declarations of one site that do not declare the same inputs. */
static void add_differences(const struct site *a, const struct site *b, struct buf *out)
{
    const struct {
        const char *key;
        bool same;
    } parts[] = {
        {"source", !strcmp(a->source, b->source)},
        {"include", same_include(a, b)},
        {"team", !strcmp(a->team, b->team)},
        {"backend", str_equal(a->backend, b->backend)},
        {"labels", same_labels(a, b)},
    };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (!parts[i].same)
            buf_addf(out, "%s%s", out->len ? ", " : "", parts[i].key);
}

static int check_site(struct restoring *r, const char *name)
{
    const struct site *now = declaration_site(r->head.declaration, name);
    const struct site *then = declaration_site(r->to.declaration, name);
    _cleanup_(buf_done) struct buf parts = {0};

    if (!now)
        return diag_fail(r->reterr, -ENOENT, "there is no site %s", name);
    if (!then)
        return diag_fail(r->reterr, -ENOENT, "%s does not declare site %s", r->to.what, name);
    if (now->pin)
        return diag_fail(r->reterr, -EINVAL,
                         "site %s is pinned to %s in " DECLARATION_FILE
                         ": it follows that, not the mainline",
                         name, now->pin);
    if (inputs_declared_same(now, then))
        return 0;
    add_differences(now, then, &parts);
    return diag_fail(r->reterr, -EINVAL,
                     "what " DECLARATION_FILE " says of site %s differs from %s (%s): commit that "
                     "as it was first",
                     name, r->to.what, buf_str(&parts));
}

/* What the named sites take goes into `paths`. */
static int take_sites(struct restoring *r)
{
    for (size_t i = 0; i < r->what->n; i++) {
        int err = check_site(r, r->what->sites[i]);
        if (err < 0)
            return err;
        const struct site *s = declaration_site(r->to.declaration, r->what->sites[i]);
        map_put(&r->named, s->name, r);
        map_put(&r->paths, s->source, r);
        vec_foreach (path, &s->include)
            map_put(&r->paths, *path, r);
    }
    return 0;
}

/* ---- the tree -----------------------------------------------------------------------------------
 */

static int add_edit(struct restoring *r, const char *path, struct tree_edits *edits)
{
    enum entry_kind kind;
    struct oid oid;
    int err = tree_walk_path(r->what->repo, &r->to.tree, path, &kind, &oid);

    if (err < 0)
        return diag_fail(r->reterr, err, "cannot read %s of %s", path, r->to.what);
    tree_edits_add(edits, xstrdup(path), kind, &oid);
    return 0;
}

static int make_tree(struct restoring *r)
{
    _cleanup_(tree_edits_done) struct tree_edits edits = {0};

    if (map_get(&r->paths, ".")) {
        r->now.tree = r->to.tree;
        return 0;
    }
    map_foreach (it, &r->paths) {
        int err = add_edit(r, it->key, &edits);
        if (err < 0)
            return err;
    }
    const struct sink_place place = {r->what->repo, batch_sink(r->what->batch)};
    int err = tree_edits_put(&place, &r->head.tree, &edits, &r->now.tree, r->reterr);
    return err < 0 ? err : batch_store(r->what->batch, r->reterr);
}

/* ---- the proof ----------------------------------------------------------------------------------
 */

/* 1: the site takes the same from both; 0: it does not, or is declared by one of them only. */
static int takes_same(struct restoring *r, const char *name, const struct side *a,
                      const struct side *b)
{
    const struct site *sa = declaration_site(a->declaration, name);
    const struct site *sb = declaration_site(b->declaration, name);
    struct oid ia, ib;

    if (!sa || !sb)
        return sa == sb;
    if (oid_equal(&a->tree, &b->tree))
        return 1;
    int err = site_inputs(r->what->repo, &a->tree, sa, &ia);
    if (err == 0)
        err = site_inputs(r->what->repo, &b->tree, sb, &ib);
    if (err < 0)
        return diag_fail(r->reterr, err, "cannot read what site %s takes", name);
    return oid_equal(&ia, &ib);
}

/* R1 */
static int prove_named(struct restoring *r)
{
    bool moves = false;

    map_foreach (it, &r->named) {
        int same = takes_same(r, it->key, &r->now, &r->to);
        int old = same < 0 ? same : takes_same(r, it->key, &r->now, &r->head);
        if (old < 0)
            return old;
        if (!same)
            return diag_fail(r->reterr, -EINVAL,
                             "site %s would not take what it took at %s: it is not found as it was "
                             "then",
                             it->key, r->to.what);
        moves |= !old;
    }
    if (moves)
        return 0;
    return diag_fail(r->reterr, -ENODATA, "nothing to do: what %s takes is as in %s already",
                     r->what->n == 1 ? r->what->sites[0] : "each of these sites", r->to.what);
}

/* Whether one of the two is the other, or lies in it. */
static bool overlap(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), least = la < lb ? la : lb;

    if (!strcmp(a, ".") || !strcmp(b, "."))
        return true;
    return !strncmp(a, b, least) && strchr("/", a[least]) && strchr("/", b[least]);
}

/* The first of the restored paths that the site takes something of; NULL: none. */
static const char *shared_path(const struct restoring *r, const struct site *s)
{
    map_foreach (it, &r->paths) {
        bool takes = overlap(it->key, s->source);
        vec_foreach (path, &s->include)
            takes |= overlap(it->key, *path);
        if (takes)
            return it->key;
    }
    return NULL;
}

/* Adds the sites of `d` that change although nobody named them, and counts them. */
static int add_others(struct restoring *r, const struct declaration *d, struct map *others,
                      const char **ret_path)
{
    vec_foreach (s, &d->sites) {
        if (map_get(&r->named, s->name) || s->pin)
            continue;
        int same = takes_same(r, s->name, &r->now, &r->head);
        if (same < 0)
            return same;
        if (same)
            continue;
        map_put(others, s->name, r);
        if (!*ret_path)
            *ret_path = shared_path(r, s);
    }
    return 0;
}

static void list_names(const struct map *names, struct buf *out)
{
    _cleanup_free_ const char **sorted = xcalloc(names->n, sizeof(*sorted));
    size_t n = 0;

    map_foreach (it, names)
        sorted[n++] = it->key;
    qsort(sorted, n, sizeof(*sorted), str_order);
    for (size_t i = 0; i < n && i < NAMED_MOST; i++)
        buf_addf(out, "%s%s", i ? ", " : "", sorted[i]);
    if (n > NAMED_MOST)
        buf_addf(out, " and %zu more", n - NAMED_MOST);
}

/* R2 */
static int prove_others(struct restoring *r)
{
    struct map others = {0};
    _cleanup_(buf_done) struct buf names = {0};
    const char *path = NULL;
    int err = add_others(r, r->head.declaration, &others, &path);

    if (err == 0)
        err = add_others(r, r->now.declaration, &others, &path);
    if (err == 0 && others.n) {
        list_names(&others, &names);
        err = diag_fail(r->reterr, -EBUSY,
                        "%s would change as well, for taking %s too: name them as well, or change "
                        "what is wrong in a workspace",
                        buf_str(&names), path ? path : "part of it");
    }
    map_done(&others, NULL);
    return err;
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

static int restore(struct restoring *r)
{
    int err = side_load(r, &r->what->head, &r->head);

    if (err == 0)
        err = side_load(r, &r->what->to, &r->to);
    if (err == 0)
        err = take_sites(r);
    if (err == 0)
        err = make_tree(r);
    if (err == 0)
        err = side_declare(r, &r->now);
    if (err == 0)
        err = prove_named(r);
    return err < 0 ? err : prove_others(r);
}

int restore_tree(const struct restore *what, struct oid *ret, struct diag *reterr)
{
    char hex[OID_HEX + 1];
    _cleanup_free_ char *to = xasprintf("revision %.12s", oid_hex(&what->to, hex));
    _cleanup_(restoring_done) struct restoring r = {.what = what, .reterr = reterr};

    r.head.what = "head";
    r.to.what = to;
    r.now.what = "the restored tree";
    int err = restore(&r);
    if (err == 0)
        *ret = r.now.tree;
    return err;
}

static int survives(struct restoring *r)
{
    vec_foreach (s, &r->to.declaration->sites) {
        int same = s->pin ? 1 : takes_same(r, s->name, &r->head, &r->to);
        if (same == 0 && (same = takes_same(r, s->name, &r->to, &r->now)) == 0)
            return diag_fail(r->reterr, -EBUSY,
                             "what site %s takes has changed since: roll it back once more",
                             s->name);
        if (same < 0)
            return same;
    }
    return 0;
}

int restore_survives(struct repo *repo, const struct oid *base, const struct oid *restored,
                     const struct oid *merged, struct diag *reterr)
{
    const struct restore what = {.repo = repo};
    _cleanup_(restoring_done) struct restoring r = {.what = &what,
                                                    .reterr = reterr,
                                                    .head = {"what it follows", *base},
                                                    .to = {"the restored tree", *restored},
                                                    .now = {"the merged tree", *merged}};
    int err = side_declare(&r, &r.head);

    if (err == 0)
        err = side_declare(&r, &r.to);
    if (err == 0)
        err = side_declare(&r, &r.now);
    return err < 0 ? err : survives(&r);
}
