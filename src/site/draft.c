#include "site/draft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/object.h"
#include "site/depends.h"
#include "site/discover.h"
#include "site/syntax.h"

#define AT(member)   offsetof(struct draft, member)
#define CIRCLE_SHOWN 10 /* members that a finding names */

static const struct decode_key keys[DRAFT_KEYS] = {
    [DRAFT_BACKEND] = {"backend", DECODE_STRING, AT(site.backend), .wrong = syntax_name},
    [DRAFT_DEPENDS_ON] = {"depends_on", DECODE_STRINGS, AT(site.depends_on), .wrong = syntax_name},
    [DRAFT_DISCOVER] = {"discover", DECODE_STRING, AT(discover), .wrong = syntax_pattern},
    [DRAFT_INCLUDE] = {"include", DECODE_STRINGS, AT(site.include), .wrong = syntax_path},
    [DRAFT_LABELS] = {"labels", DECODE_PAIRS, AT(site.labels), .wrong = syntax_label_value,
                      .wrong_key = syntax_label_key},
    [DRAFT_NAME] = {"name", DECODE_STRING, AT(site.name), .wrong = syntax_name},
    [DRAFT_PIN] = {"pin", DECODE_STRING, AT(site.pin), .wrong = syntax_pin},
    [DRAFT_SELF_HEAL] = {"self_heal", DECODE_BOOL, AT(site.self_heal)},
    [DRAFT_SOURCE] = {"source", DECODE_STRING, AT(site.source), .wrong = syntax_path},
    [DRAFT_SUSPEND] = {"suspend", DECODE_BOOL, AT(site.suspend)},
    [DRAFT_TEAM] = {"team", DECODE_STRING, AT(site.team), .wrong = syntax_name},
};

static void draft_done(struct draft *d)
{
    decode_release(keys, DRAFT_KEYS, d);
}

void site_done(struct site *s)
{
    struct draft d = {.site = *s};

    draft_done(&d);
    *s = d.site;
}

void drafts_done(struct drafts *all)
{
    vec_foreach (d, all)
        draft_done(d);
    free(all->v);
    map_done(&all->by_name, NULL);
}

/* ---- entries become sites ---- */

/* The draft of that name: a new one, or the one that an earlier entry has made. NULL when there are
 * too many. */
static struct draft *draft_named(struct drafts *all, const char *name)
{
    size_t at = (size_t)map_get(&all->by_name, name);

    if (at)
        return &all->v[at - 1];
    if (all->n == DECLARATION_SITES)
        return NULL;
    struct draft *d = VEC_ADD(all);
    d->site.name = xstrdup(name);
    map_put(&all->by_name, name, (void *)all->n);
    return d;
}

/* Lays the keys that the entry gives over the site. */
static void lay_over(struct draft *site, const struct draft *entry)
{
    decode_apply(keys, DRAFT_KEYS, entry->given, entry, site);
    for (size_t i = 0; i < DRAFT_KEYS; i++)
        if (entry->given[i])
            site->given[i] = entry->given[i];
    site->at = entry->at;
    site->site.line = entry->at->line;
}

struct expansion {
    struct drafts *all;
    const struct draft *entry;
    const struct yaml_node *at; /* the pattern */
};

/* One directory that the pattern found; 1 when there are too many. */
static int on_discovered(const char *path, const char *name, void *arg)
{
    struct expansion *x = arg;
    struct decode *d = x->all->decode;
    const char *expected = syntax_name(name);

    if (expected) {
        decode_finding(d, x->at, "discover: the directory \"%s\" cannot be a site: expected %s",
                       path, expected);
        return 0;
    }
    struct draft *site = draft_named(x->all, name);
    if (!site) {
        decode_finding(d, x->at, "more than %d sites", DECLARATION_SITES);
        return 1;
    }
    if (site->at == x->entry->at) {
        decode_finding(d, x->at, "discover: both \"%s\" and \"%s\" would be the site \"%s\"",
                       site->site.source, path, name);
        return 0;
    }
    lay_over(site, x->entry);
    free(site->site.source);
    site->site.source = xstrdup(path);
    site->given[DRAFT_SOURCE] = x->at;
    return 0;
}

/* A pattern that finds nothing is right as long as the directory that it looks into is there: the
 * last site may have gone. */
static int check_prefix(struct drafts *all, const struct draft *entry, struct diag *reterr)
{
    _cleanup_free_ char *prefix = discover_prefix(entry->discover);
    enum entry_kind kind;
    struct oid oid;
    int r = tree_walk_path(all->repo, all->tree, prefix, &kind, &oid);

    if (r == -ENOENT || r == -ENOTDIR || (!r && kind != ENTRY_DIR))
        decode_finding(all->decode, entry->given[DRAFT_DISCOVER],
                       "discover: the directory \"%s\" does not exist in this revision", prefix);
    else if (r < 0)
        return diag_fail(reterr, r, "cannot read %s", prefix);
    return 0;
}

static int expand(struct drafts *all, struct draft *entry, struct diag *reterr)
{
    struct expansion x = {.all = all, .at = entry->given[DRAFT_DISCOVER]};
    _cleanup_free_ char *pattern = entry->discover;

    *VEC_ADD(&all->ret->discover) = xstrdup(pattern);
    int r = check_prefix(all, entry, reterr);
    if (r < 0)
        goto out;
    /* The pattern itself is no key of the sites that it finds. */
    struct draft template = *entry;
    template.discover = NULL;
    template.given[DRAFT_DISCOVER] = NULL;
    x.entry = &template;
    r = discover_each(all->repo, all->tree, pattern, on_discovered, &x);
    if (r < 0)
        diag_fail(reterr, r, "cannot look for sites that match %s", pattern);
out:
    entry->discover = NULL;
    return r < 0 ? r : 0;
}

/* Which of the two kinds of entries it is: by name, by pattern, or neither (a finding). */
static int add_entry(struct drafts *all, struct draft *entry, struct diag *reterr)
{
    const struct yaml_node *name = yaml_get(entry->at, "name"),
                           *discover = yaml_get(entry->at, "discover"),
                           *source = yaml_get(entry->at, "source");

    if (!name && !discover && entry->at->kind == YAML_MAPPING)
        decode_finding(all->decode, entry->at, "a site needs a \"name\", or \"discover\"");
    if (name && discover)
        decode_finding(all->decode, discover, "a site has a \"name\" or \"discover\", not both");
    else if (source && discover)
        decode_finding(all->decode, source,
                       "source: expected none, for \"discover\" finds the directories");
    else if (entry->discover)
        return expand(all, entry, reterr);
    if (!entry->site.name)
        return 0;
    struct draft *site = draft_named(all, entry->site.name);
    if (site)
        lay_over(site, entry);
    else
        decode_finding(all->decode, entry->at, "more than %d sites", DECLARATION_SITES);
    return 0;
}

int drafts_read(struct drafts *all, const struct yaml_node *sites, struct diag *reterr)
{
    if (sites->kind != YAML_SEQUENCE) {
        decode_expected(all->decode, sites, "sites", "a list of sites");
        return 0;
    }
    yaml_foreach (item, sites) {
        struct draft entry = {.at = item};
        decode_mapping(all->decode, item, "a site", keys, DRAFT_KEYS, &entry, entry.given);
        int r = add_entry(all, &entry, reterr);
        draft_done(&entry);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- what sites say of the tree ---- */

static const char *kind_name(enum entry_kind kind)
{
    static const char *const names[] = {
        [ENTRY_FILE] = "a file",     [ENTRY_EXEC] = "a file",        [ENTRY_LINK] = "a symlink",
        [ENTRY_DIR] = "a directory", [ENTRY_MODULE] = "a submodule",
    };

    return names[kind];
}

/* Only trees and files are inputs: what a symlink or a submodule points at is not in the digest. */
static int check_path(struct drafts *all, const struct yaml_node *at, const char *key,
                      const char *path, bool file_is_right, struct diag *reterr)
{
    bool root = !strcmp(path, ".");
    enum entry_kind kind;
    struct oid oid;
    int r = tree_walk_path(all->repo, all->tree, root ? "" : path, &kind, &oid);

    if (r == -ENOENT || r == -ENOTDIR)
        decode_finding(all->decode, at, "%s: \"%s\" does not exist in this revision", key, path);
    else if (r < 0)
        return diag_fail(reterr, r, "cannot read %s", path);
    else if (kind != ENTRY_DIR && !(file_is_right && (kind == ENTRY_FILE || kind == ENTRY_EXEC)))
        decode_finding(all->decode, at, "%s: \"%s\" is %s, expected a directory%s", key, path,
                       kind_name(kind), file_is_right ? " or a file" : "");
    return 0;
}

/* The place of the i-th item of a list that was given. */
static const struct yaml_node *item_at(const struct draft *d, enum draft_key key, size_t i)
{
    const struct yaml_node *list = d->given[key], *item = list ? list->first : NULL;

    while (item && i--)
        item = item->next;
    return item ? item : d->at;
}

static int check_paths(struct drafts *all, struct draft *d, struct diag *reterr)
{
    const struct yaml_node *source = d->given[DRAFT_SOURCE];
    const struct yaml_node *at = source ? source : d->given[DRAFT_NAME];
    int r = check_path(all, at ? at : d->at, "source", d->site.source, false, reterr);

    for (size_t i = 0; !r && i < d->site.include.n; i++)
        r = check_path(all, item_at(d, DRAFT_INCLUDE, i), "include", d->site.include.v[i], true,
                       reterr);
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct draft *)a)->site.name, ((const struct draft *)b)->site.name);
}

static void report_circle(struct drafts *all, const size_t *circle, size_t n)
{
    _cleanup_(buf_done) struct buf names = {0};

    for (size_t i = 0; i < n && i < CIRCLE_SHOWN; i++)
        buf_addf(&names, "%s → ", all->v[circle[i]].site.name);
    if (n > CIRCLE_SHOWN)
        buf_addf(&names, "… (%zu more) → ", n - CIRCLE_SHOWN);
    decode_finding(all->decode, all->v[circle[0]].given[DRAFT_DEPENDS_ON],
                   "depends_on: sites wait for each other: %s%s", buf_str(&names),
                   all->v[circle[0]].site.name);
}

static void check_depends(struct drafts *all)
{
    struct depends depends;

    depends_init(&depends, all->n);
    for (size_t i = 0; i < all->n; i++)
        for (size_t j = 0; j < all->v[i].site.depends_on.n; j++) {
            struct draft key = {.site.name = all->v[i].site.depends_on.v[j]};
            struct draft *on = bsearch(&key, all->v, all->n, sizeof(key), by_name);
            if (on)
                depends_add(&depends, i, on - all->v);
            else
                decode_finding(all->decode, item_at(&all->v[i], DRAFT_DEPENDS_ON, j),
                               "depends_on: no site is named \"%s\"", key.site.name);
        }
    size_t *circle, n;
    while (!all->decode->findings->left_out && (n = depends_circle(&depends, &circle))) {
        report_circle(all, circle, n);
        free(circle);
    }
    depends_done(&depends);
}

int drafts_settle(struct drafts *all, struct diag *reterr)
{
    if (all->n)
        qsort(all->v, all->n, sizeof(*all->v), by_name);
    map_done(&all->by_name, NULL);
    vec_foreach (d, all) {
        if (!d->site.source)
            d->site.source = xasprintf("sites/%s", d->site.name);
        if (!d->site.team)
            d->site.team = xstrdup("default");
        int r = check_paths(all, d, reterr);
        if (r < 0)
            return r;
    }
    check_depends(all);
    return 0;
}
