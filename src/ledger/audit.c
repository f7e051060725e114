#include "ledger/audit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "repo/object.h"
#include "repo/revision.h"

struct audit {
    const struct audit_chain *chain;
    const char *host; /* a part of chain->ref */
    struct map later; /* site -> struct later *, of its record that was met last: the next newer */
    bool mark_met;
    int stop; /* what each() ended it with */

    /* the commit at hand */
    const struct revision *rev;
    struct oid root;     /* its tree */
    const char *bucket;  /* the directory that is being compared */
    struct map logs;     /* site -> struct oid *: logs that changed, and no record has named yet */
    VEC(char *) journal; /* what its records say */
    bool unknown;        /* one of them could not be read, or is of a newer format */
};

struct later {
    uint64_t generation;
    struct oid commit;
};

static void clear_commit(struct audit *a)
{
    map_done(&a->logs, free);
    a->logs = (struct map){0};
    vec_foreach (line, &a->journal)
        free(*line);
    a->journal.n = 0;
    a->unknown = false;
}

static void audit_done(struct audit *a)
{
    clear_commit(a);
    free(a->journal.v);
    map_done(&a->later, free);
}

/* ---- findings ---------------------------------------------------------------------------------
 */

static void tell(struct audit *a, const struct ledger_finding *f)
{
    a->chain->totals->findings++;
    if (!a->stop)
        a->stop = a->chain->each(f, a->chain->arg);
}

/* Of the commit at hand; `site` NULL: of no one site. */
static void find(struct audit *a, const char *site, uint64_t generation, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void find(struct audit *a, const char *site, uint64_t generation, const char *fmt, ...)
{
    _cleanup_free_ char *what = NULL;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&what, fmt, args) < 0)
        what = NULL;
    va_end(args);
    tell(a, &(struct ledger_finding){.host = a->host,
                                     .commit = a->rev->oid,
                                     .site = site,
                                     .generation = generation,
                                     .what = what ? what : "something is wrong with it"});
}

/* ---- records ----------------------------------------------------------------------------------
 */

static const char *show(const struct oid *oid, char hex[OID_HEX + 1])
{
    return oid_is_zero(oid) ? "none" : oid_hex(oid, hex);
}

/* A3. */
static void check_previous(struct audit *a, const struct record *r, const struct tree_entry *old)
{
    char named[OID_HEX + 1], there[OID_HEX + 1];
    struct oid before = old ? old->oid : (struct oid){0};

    if (!oid_equal(&before, &r->previous))
        find(
            a, r->site, r->generation,
            "it names another record before it (%s) than there is (%s): one was removed, edited or "
            "slipped in",
            show(&r->previous, named), show(&before, there));
}

/* A4: what is newer was met before. */
static void check_generation(struct audit *a, const struct record *r)
{
    struct later *now = NEW(struct later);

    *now = (struct later){r->generation, a->rev->oid};
    struct later *later = map_put(&a->later, r->site, now);
    if (later && later->generation < r->generation) {
        _cleanup_free_ char *what = xasprintf("its generation fell: the record before it has %llu",
                                              (unsigned long long)r->generation);
        tell(a, &(struct ledger_finding){a->host, later->commit, r->site, later->generation, what});
    }
    free(later);
}

static void check_host(struct audit *a, const struct record *r)
{
    _cleanup_free_ char *host = chain_host(r->host ? r->host : "");

    if (strcmp(host, a->host) != 0)
        find(a, r->site, r->generation, "it says that it was made by the host \"%s\"",
             r->host ? r->host : "");
}

/* The log that it names is there, and is the site's in this commit. */
static void check_log(struct audit *a, const struct record *r)
{
    _cleanup_free_ char *path = chain_log_path(r->site);
    _cleanup_free_ struct oid *changed = map_del(&a->logs, r->site);
    enum entry_kind kind;
    struct oid there;
    uint64_t size;

    if (oid_is_zero(&r->log)) {
        if (changed)
            find(a, r->site, r->generation, "its log changed, and it names none");
        return;
    }
    if (tree_walk_path(a->chain->repo, &a->root, path, &kind, &there) < 0 ||
        !oid_equal(&there, &r->log))
        find(a, r->site, r->generation, "the log that it names is not the one beside it");
    else if (blob_size(a->chain->repo, &r->log, &size) < 0)
        find(a, r->site, r->generation, "its log is missing or broken");
}

static void check_record(struct audit *a, const char *site, const struct tree_entry *old,
                         const struct tree_entry *new)
{
    _cleanup_(record_done) struct record r = {0};
    _cleanup_(diag_done) struct diag why = {0};
    struct buf line = {0};
    int err = chain_read(a->chain->repo, &new->oid, site, &r, &why);

    a->chain->totals->records++;
    if (err < 0) {
        char hex[OID_HEX + 1];
        a->unknown = true;
        find(a, site, 0, "its record %s: %s", oid_hex(&new->oid, hex), diag_text(&why, err));
        return;
    }
    check_previous(a, &r, old);
    check_generation(a, &r);
    check_host(a, &r);
    if (r.kind == RECORD_NEWER) {
        a->unknown = true;
        free(map_del(&a->logs, site));
        find(a, site, r.generation, "it has format %d, and this onwardfs knows up to %d", r.format,
             RECORD_FORMAT);
        return;
    }
    check_log(a, &r);
    record_summary(&r, &line);
    *VEC_ADD(&a->journal) = buf_take(&line);
}

/* ---- trees ------------------------------------------------------------------------------------
 */

/* Something that differs between a tree of the commit and the same one of its parent; either may
 * be NULL, for what came or went. */
typedef void change_fn(struct audit *a, const char *name, const struct tree_entry *old,
                       const struct tree_entry *new);

static bool same_entry(const struct tree_entry *a, const struct tree_entry *b)
{
    return a->kind == b->kind && oid_equal(&a->oid, &b->oid);
}

static int load(struct audit *a, const struct oid *oid, struct tree **ret)
{
    char hex[OID_HEX + 1];
    int r = oid_is_zero(oid) ? 0 : tree_load(a->chain->repo, oid, ret);

    if (r < 0) {
        a->unknown = true;
        find(a, NULL, 0, "its tree %s is missing or broken", oid_hex(oid, hex));
    }
    return r;
}

/* Compares two directories, both in order of names; zero is an empty one. */
static void compare(struct audit *a, const struct oid *old_oid, const struct oid *new_oid,
                    change_fn *on_change)
{
    static struct tree none;
    _cleanup_(tree_unrefp) struct tree *old_tree = NULL, *new_tree = NULL;

    if (load(a, old_oid, &old_tree) < 0 || load(a, new_oid, &new_tree) < 0)
        return;
    const struct tree *old = old_tree ? old_tree : &none, *new = new_tree ? new_tree : &none;
    for (size_t i = 0, k = 0; (i < old->n || k < new->n) && !a->stop;) {
        const struct tree_entry *x = i < old->n ? &old->entries[i] : NULL;
        const struct tree_entry *y = k < new->n ? &new->entries[k] : NULL;
        int c = !x ? 1 : !y ? -1 : strcmp(x->name, y->name);
        i += c <= 0;
        k += c >= 0;
        if (c || !same_entry(x, y))
            on_change(a, c <= 0 ? x->name : y->name, c <= 0 ? x : NULL, c >= 0 ? y : NULL);
    }
}

/* A2: what a ledger has no place for, or has lost. */
static bool is_file(struct audit *a, const char *path, const struct tree_entry *entry)
{
    if (!entry)
        find(a, NULL, 0, "%s was removed", path);
    else if (entry->kind != ENTRY_FILE)
        find(a, NULL, 0, "%s is no file any more", path);
    return entry && entry->kind == ENTRY_FILE;
}

static void on_site(struct audit *a, const char *name, const struct tree_entry *old,
                    const struct tree_entry *new)
{
    _cleanup_free_ char *site = chain_site(name);
    _cleanup_free_ char *path = xasprintf(CHAIN_SITES "/%s/%s", a->bucket, name);
    _cleanup_free_ char *place = site ? chain_path(site) : NULL;

    if (!place || strcmp(place, path) != 0)
        find(a, NULL, 0, "%s is not of a ledger", path);
    else if (is_file(a, path, new))
        check_record(a, site, old, new);
}

static void on_log(struct audit *a, const char *name, const struct tree_entry *old,
                   const struct tree_entry *new)
{
    _cleanup_free_ char *path = xasprintf(CHAIN_LOGS "/%s/%s", a->bucket, name);
    _cleanup_free_ char *place = chain_log_path(name);

    if (strcmp(place, path) != 0)
        find(a, NULL, 0, "%s is not of a ledger", path);
    else if (is_file(a, path, new))
        free(map_put(&a->logs, name, xmemdup(&new->oid, sizeof(new->oid))));
}

/* A directory of directories goes on below, if it is one. */
static void descend(struct audit *a, const char *path, const struct tree_entry *entries[2],
                    change_fn *on_change)
{
    const struct tree_entry *old = entries[0], *new = entries[1];
    struct oid none = {0};

    if (!new || new->kind != ENTRY_DIR)
        find(a, NULL, 0, "the directory %s was removed", path);
    else
        compare(a, old && old->kind == ENTRY_DIR ? &old->oid : &none, &new->oid, on_change);
}

static void on_site_bucket(struct audit *a, const char *name, const struct tree_entry *old,
                           const struct tree_entry *new)
{
    a->bucket = name;
    descend(a, name, (const struct tree_entry *[]){old, new}, on_site);
}

static void on_log_bucket(struct audit *a, const char *name, const struct tree_entry *old,
                          const struct tree_entry *new)
{
    a->bucket = name;
    descend(a, name, (const struct tree_entry *[]){old, new}, on_log);
}

/* Names come in order: fleet.json, logs, sites; so logs are known when their records come. */
static void on_root(struct audit *a, const char *name, const struct tree_entry *old,
                    const struct tree_entry *new)
{
    const struct tree_entry *both[] = {old, new};

    if (!strcmp(name, CHAIN_SITES))
        descend(a, name, both, on_site_bucket);
    else if (!strcmp(name, CHAIN_LOGS))
        descend(a, name, both, on_log_bucket);
    else if (strcmp(name, CHAIN_FLEET) != 0)
        find(a, NULL, 0, "%s is not of a ledger", name);
    else if (is_file(a, name, new))
        check_record(a, RECORD_FLEET, old, new);
}

/* ---- commits ----------------------------------------------------------------------------------
 */

/* Whether the lines of `text` are those of the journal, in any order. */
static bool has_lines(const struct audit *a, const char *text)
{
    _cleanup_free_ char *copy = xstrdup(text), **lines = xcalloc(a->journal.n + 1, sizeof(*lines));
    char *rest = copy, *line;
    size_t n = 0;

    while ((line = strsep(&rest, "\n")) && rest && n <= a->journal.n)
        lines[n++] = line;
    if (n != a->journal.n || (line && *line))
        return false;
    qsort(lines, n, sizeof(*lines), str_order);
    qsort(a->journal.v, n, sizeof(*lines), str_order);
    for (size_t i = 0; i < n; i++)
        if (strcmp(lines[i], a->journal.v[i]) != 0)
            return false;
    return true;
}

/* A5. */
static void check_message(struct audit *a)
{
    const char *text = a->rev->message;
    _cleanup_free_ char *subject = xasprintf("%zu records\n\n", a->journal.n);

    if (a->unknown)
        return;
    if (!a->journal.n) {
        find(a, NULL, 0, "it adds no record");
        return;
    }
    if (a->journal.n > 1) {
        if (strncmp(text, subject, strlen(subject)) != 0)
            text = "";
        else
            text += strlen(subject);
    }
    if (!has_lines(a, text))
        find(a, NULL, 0, "its message does not say what its records say");
}

static void check_commit(struct audit *a, const struct revision *parent)
{
    struct oid none = {0};

    a->root = a->rev->tree;
    a->chain->totals->commits++;
    if (a->rev->nparents > 1)
        find(a, NULL, 0, "it is a merge, which nobody makes in a ledger");
    compare(a, parent ? &parent->tree : &none, &a->rev->tree, on_root);
    map_foreach (log, &a->logs) {
        find(a, log->key, 0, "its log changed without a record");
    }
    check_message(a);
    clear_commit(a);
}

static void check_mark(struct audit *a)
{
    char hex[OID_HEX + 1];

    if (a->mark_met || a->stop || oid_is_zero(&a->chain->mark))
        return;
    _cleanup_free_ char *what = xasprintf(
        "this host has seen the ledger at %s, which is not in it any more: it was set back or "
        "written anew",
        oid_hex(&a->chain->mark, hex));
    tell(a, &(struct ledger_finding){.host = a->host, .commit = a->chain->tip, .what = what});
}

/* The commit before `rev`; NULL: there is none, or it cannot be read, which is a finding. */
static struct revision *load_parent(struct audit *a, const struct revision *rev)
{
    struct revision *parent = NULL;
    char hex[OID_HEX + 1];

    if (!rev->nparents)
        return NULL;
    if (revision_load(a->chain->repo, &rev->parents[0], &parent) < 0) {
        a->unknown = true;
        find(a, NULL, 0, "the commit before it, %s, is missing or broken: all before is lost",
             oid_hex(&rev->parents[0], hex));
    }
    return parent;
}

static void walk(struct audit *a, struct revision *rev)
{
    while (rev && !a->stop) {
        a->rev = rev;
        a->mark_met |= oid_equal(&rev->oid, &a->chain->mark);
        struct revision *parent = load_parent(a, rev);
        if (parent || !rev->nparents)
            check_commit(a, parent);
        revision_free(rev);
        rev = parent;
    }
    revision_free(rev);
}

int audit_run(const struct audit_chain *chain)
{
    _cleanup_(audit_done) struct audit a = {.chain = chain,
                                            .host = chain->ref + strlen(CHAIN_PREFIX)};
    struct revision *rev = NULL;

    chain->totals->chains++;
    if (oid_is_zero(&chain->tip))
        tell(&a, &(struct ledger_finding){.host = a.host, .what = "the ledger was removed"});
    else if (revision_load(chain->repo, &chain->tip, &rev) < 0)
        tell(&a, &(struct ledger_finding){
                     .host = a.host, .commit = chain->tip, .what = "it is missing or broken"});
    else {
        walk(&a, rev);
        check_mark(&a);
    }
    return a.stop;
}
