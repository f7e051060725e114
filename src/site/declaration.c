#include "site/declaration.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "repo/object.h"
#include "site/draft.h"
#include "site/rollout.h"
#include "site/syntax.h"

#define FORMAT "1" /* of the file: the value of its key `onward` */

/* What the file says, as far as the table below can tell. */
struct content {
    const struct yaml_node *onward, *sites, *waves, *checks_at;
    int max_failures, approvals;
    VEC(char *) checks;
};

#define AT(member) offsetof(struct content, member)

static const struct decode_key rollout_keys[] = {
    {"max_failures", DECODE_INT, AT(max_failures)},
    {"waves", DECODE_NODE, AT(waves)},
};

static const struct decode_key review_keys[] = {
    {"approvals", DECODE_INT, AT(approvals), .most = 100},
};

static const struct decode_key keys[] = {
    {"checks", DECODE_STRINGS, AT(checks), .wrong = syntax_name},
    {"onward", DECODE_NODE, AT(onward), .required = true},
    {"review", DECODE_MAPPING, 0, .what = "a review", .keys = review_keys,
     .nkeys = ARRAY_SIZE(review_keys)},
    {"rollout", DECODE_MAPPING, 0, .what = "a rollout", .keys = rollout_keys,
     .nkeys = ARRAY_SIZE(rollout_keys)},
    {"sites", DECODE_NODE, AT(sites)},
};

static void declaration_free(struct declaration *d)
{
    vec_foreach (s, &d->sites)
        site_done(s);
    free(d->sites.v);
    rollout_done(d);
    vec_foreach (p, &d->discover)
        free(*p);
    free(d->discover.v);
    vec_foreach (c, &d->checks)
        free(*c);
    free(d->checks.v);
    free(d);
}

struct declaration *declaration_ref(struct declaration *d)
{
    __atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
    return d;
}

void declaration_unref(struct declaration *d)
{
    if (d && __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) == 0)
        declaration_free(d);
}

static int by_name(const void *key, const void *site)
{
    return strcmp(key, ((const struct site *)site)->name);
}

const struct site *declaration_site(const struct declaration *d, const char *name)
{
    return d->sites.n ? bsearch(name, d->sites.v, d->sites.n, sizeof(*d->sites.v), by_name) : NULL;
}

/* ---- reading ---- */

/* A file of another format is not looked at further: its keys may mean something else. */
static bool format_is_known(struct decode *d, const struct yaml *doc)
{
    const struct yaml_node *onward = yaml_get(doc->root, "onward");

    if (!onward || (onward->kind == YAML_SCALAR && onward->plain && !strcmp(onward->text, FORMAT)))
        return true;
    decode_expected(d, onward, "onward",
                    "the format that this version understands, which is " FORMAT);
    return false;
}

static void take_checks(struct declaration *ret, struct content *c, const struct yaml *doc)
{
    static const char *const builtin[] = {"yaml", "json"};
    const struct yaml_node *checks = yaml_get(doc->root, "checks");

    for (size_t i = 0; !checks && i < ARRAY_SIZE(builtin); i++)
        *VEC_ADD(&ret->checks) = xstrdup(builtin[i]);
    if (!checks)
        return;
    vec_foreach (name, &c->checks)
        *VEC_ADD(&ret->checks) = xstrdup(*name);
    ret->checks_line = checks->line;
    ret->checks_col = checks->col;
}

static size_t names_in(const char *path)
{
    size_t n = 1;

    for (; *path; path++)
        n += *path == '/';
    return n;
}

/* How deep the declaration looks into the tree. */
static size_t depth_of(const struct declaration *d)
{
    size_t depth = 0;

    vec_foreach (pattern, &d->discover)
        depth = MAX(depth, names_in(*pattern));
    vec_foreach (site, &d->sites) {
        depth = MAX(depth, names_in(site->source));
        vec_foreach (path, &site->include)
            depth = MAX(depth, names_in(*path));
    }
    return depth;
}

static int read_sites(struct repo *repo, const struct oid *tree, struct decode *d,
                      const struct yaml_node *sites, struct declaration *ret, struct diag *reterr)
{
    struct drafts drafts = {.repo = repo, .tree = tree, .decode = d, .ret = ret};
    int r = drafts_read(&drafts, sites, reterr);

    if (!r)
        r = drafts_settle(&drafts, reterr);
    vec_foreach (draft, &drafts) {
        *VEC_ADD(&ret->sites) = draft->site;
        draft->site = (struct site){0};
    }
    drafts_done(&drafts);
    return r;
}

static int read_content(struct repo *repo, const struct oid *tree, struct decode *d,
                        const struct yaml *doc, struct declaration *ret, struct diag *reterr)
{
    struct content c = {0};
    int r = 0;

    if (!format_is_known(d, doc))
        return 0;
    decode_mapping(d, doc->root, "a declaration", keys, ARRAY_SIZE(keys), &c, NULL);
    if (c.sites)
        r = read_sites(repo, tree, d, c.sites, ret, reterr);
    rollout_read(d, c.waves, ret);
    take_checks(ret, &c, doc);
    ret->max_failures = c.max_failures;
    ret->approvals = c.approvals;
    decode_release(keys, ARRAY_SIZE(keys), &c);
    return r;
}

static int read_file(struct repo *repo, const struct oid *tree, struct decode *d,
                     struct declaration *ret, struct diag *reterr)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    _cleanup_(yaml_donep) struct yaml *doc = NULL;
    uint64_t size;
    int r = blob_size(repo, &ret->blob, &size);

    if (!r && size > DECLARATION_SIZE) {
        findings_add(d->findings, d->path, 0, 0, d->check,
                     "the file has %llu bytes, expected at most %d", (unsigned long long)size,
                     DECLARATION_SIZE);
        return 0;
    }
    if (!r)
        r = blob_load(repo, &ret->blob, &blob);
    if (r < 0)
        return diag_fail(reterr, r, "cannot read %s", DECLARATION_FILE);
    doc = yaml_read(d->path, d->check, blob->data, blob->size, d->findings);
    return doc ? read_content(repo, tree, d, doc, ret, reterr) : 0;
}

/* Fills `ret` from the tree; what is wrong with the file goes to d->findings. */
static int read_tree(struct repo *repo, const struct oid *oid, struct decode *d,
                     struct declaration *ret, struct diag *reterr)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    const struct yaml nothing = {0};
    struct content c = {0};
    int r = tree_load(repo, oid, &tree);

    if (r < 0)
        return diag_fail(reterr, r, "cannot read the root of the revision");
    const struct tree_entry *e = tree_find(tree, DECLARATION_FILE);
    if (!e) {
        rollout_read(d, NULL, ret);
        take_checks(ret, &c, &nothing);
        return 0;
    }
    ret->blob = e->oid;
    if (e->kind != ENTRY_FILE && e->kind != ENTRY_EXEC) {
        findings_add(d->findings, d->path, 0, 0, d->check, "expected a file, found something else");
        return 0;
    }
    return read_file(repo, oid, d, ret, reterr);
}

/* ---- the newest declarations, by the id of their tree ----
 * The same tree always gives the same declaration, and so does another tree with the same
 * onward.yaml in which the same directories are: a commit to a site's files need not read 10,000
 * sites again. */

static pthread_mutex_t recent_lock = PTHREAD_MUTEX_INITIALIZER;
static struct recent {
    struct oid tree;
    struct declaration *declaration;
} recent[2]; /* newest first */

/* The i-th, if there is one; yours to unref. */
static struct recent recent_at(size_t i)
{
    pthread_mutex_lock(&recent_lock);
    struct recent r = recent[i];
    if (r.declaration)
        declaration_ref(r.declaration);
    pthread_mutex_unlock(&recent_lock);
    return r;
}

static void recent_put(const struct oid *tree, struct declaration *d)
{
    pthread_mutex_lock(&recent_lock);
    struct declaration *gone = recent[1].declaration;
    recent[1] = recent[0];
    recent[0] = (struct recent){*tree, declaration_ref(d)};
    pthread_mutex_unlock(&recent_lock);
    declaration_unref(gone);
}

/* Whether an entry that there was not makes a difference. A file that appears beside others does
 * not: what a declaration that is right names was there before. */
static bool newcomer_matters(const struct tree_entry *e)
{
    return e->kind == ENTRY_DIR || e->kind == ENTRY_MODULE;
}

static bool same_kind(enum entry_kind a, enum entry_kind b)
{
    return a == b || (a <= ENTRY_EXEC && b <= ENTRY_EXEC);
}

static int structure_differs(struct repo *repo, const struct oid *a, const struct oid *b,
                             size_t depth);

/* Entries of one name, of which one may be NULL. */
static int entry_differs(struct repo *repo, const struct tree_entry *a, const struct tree_entry *b,
                         size_t depth)
{
    if (!a || !b)
        return a || newcomer_matters(b);
    if (!same_kind(a->kind, b->kind))
        return 1;
    return a->kind == ENTRY_DIR ? structure_differs(repo, &a->oid, &b->oid, depth) : 0;
}

/* 1 if a directory or an include may have come or gone between two trees, among the names that are
 * up to `depth` deep: costs no more than what differs there, however much differs below. */
static int structure_differs(struct repo *repo, const struct oid *a, const struct oid *b,
                             size_t depth)
{
    _cleanup_(tree_unrefp) struct tree *ta = NULL, *tb = NULL;
    int r = 0;

    if (!depth || oid_equal(a, b))
        return 0;
    if (tree_load(repo, a, &ta) < 0 || tree_load(repo, b, &tb) < 0)
        return 1;
    for (size_t i = 0, j = 0; !r && (i < ta->n || j < tb->n);) {
        const struct tree_entry *ea = i < ta->n ? &ta->entries[i] : NULL;
        const struct tree_entry *eb = j < tb->n ? &tb->entries[j] : NULL;
        int order = !ea ? 1 : !eb ? -1 : strcmp(ea->name, eb->name);
        i += order <= 0;
        j += order >= 0;
        r = entry_differs(repo, order <= 0 ? ea : NULL, order >= 0 ? eb : NULL, depth - 1);
    }
    return r;
}

/* 1 if the declaration of `r` is also that of `tree`, 0 if it may be another. */
static int recent_holds(struct repo *repo, const struct recent *r, const struct oid *tree)
{
    enum entry_kind kind;
    struct oid blob;

    if (oid_equal(&r->tree, tree))
        return 1;
    if (tree_walk_path(repo, tree, DECLARATION_FILE, &kind, &blob) ||
        !oid_equal(&blob, &r->declaration->blob))
        return 0;
    return !structure_differs(repo, &r->tree, tree, r->declaration->depth);
}

static struct declaration *recent_get(struct repo *repo, const struct oid *tree)
{
    for (size_t i = 0; i < ARRAY_SIZE(recent); i++) {
        struct recent r = recent_at(i);
        if (!r.declaration)
            continue;
        if (recent_holds(repo, &r, tree)) {
            if (i || !oid_equal(&r.tree, tree))
                recent_put(tree, r.declaration);
            return r.declaration;
        }
        declaration_unref(r.declaration);
    }
    return NULL;
}

int declaration_load(struct repo *repo, const struct oid *tree, struct declaration **ret,
                     struct findings *findings, struct diag *reterr)
{
    _cleanup_(declaration_unrefp) struct declaration *d = recent_get(repo, tree);
    size_t before = findings_count(findings), first = findings->n;

    if (!d) {
        struct decode decode = {
            .path = DECLARATION_FILE, .check = "declaration", .findings = findings};
        d = NEW(struct declaration);
        d->refs = 1;
        int r = read_tree(repo, tree, &decode, d, reterr);
        if (r < 0)
            return r;
        findings_sort(findings, first);
        if (findings_count(findings) != before)
            return -EINVAL;
        d->depth = depth_of(d);
        recent_put(tree, d);
    }
    *ret = TAKE(d);
    return 0;
}
