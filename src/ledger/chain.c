#include "ledger/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/object.h"
#include "repo/refs.h"
#include "repo/revision.h"

#define SUFFIX ".json"

struct chain *chain_new(const char *ref)
{
    struct chain *c = NEW(struct chain);

    c->ref = xstrdup(ref);
    return c;
}

void chain_free(struct chain *c)
{
    if (!c)
        return;
    map_done(&c->newest, free);
    free(c->ref);
    free(c);
}

void chain_swap(struct chain *a, struct chain *b)
{
    struct chain t = *a;

    *a = *b;
    *b = t;
}

static void newest_put(struct map *newest, const char *site, const struct oid *record)
{
    free(map_put(newest, site, xmemdup(record, sizeof(*record))));
}

void chain_set_newest(struct chain *c, const char *site, const struct oid *record)
{
    newest_put(&c->newest, site, record);
}

struct oid chain_newest(const struct chain *c, const char *site)
{
    const struct oid *oid = map_get(&c->newest, site);

    return oid ? *oid : (struct oid){0};
}

char *chain_host(const char *host)
{
    char *name = xstrdup(*host ? host : "localhost");
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        bool plain = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
                     (name[i] >= '0' && name[i] <= '9') || name[i] == '_' || name[i] == '-';
        bool inner_dot = name[i] == '.' && i > 0 && i + 1 < len && name[i - 1] != '.';
        if (!plain && !inner_dot)
            name[i] = '-';
    }
    if (len >= 5 && !strcmp(name + len - 5, ".lock"))
        name[len - 5] = '-';
    return name;
}

char *chain_site(const char *file)
{
    size_t len = strlen(file), tail = strlen(SUFFIX);

    return len > tail && !strcmp(file + len - tail, SUFFIX) ? xstrndup(file, len - tail) : NULL;
}

/* Takes in the files of one directory sites/<xx>. */
static int list_bucket(struct repo *repo, const struct oid *oid, struct map *newest)
{
    _cleanup_(tree_unrefp) struct tree *bucket = NULL;
    int r = tree_load(repo, oid, &bucket);

    for (size_t i = 0; r == 0 && i < bucket->n; i++) {
        const struct tree_entry *e = &bucket->entries[i];
        _cleanup_free_ char *site = e->kind == ENTRY_FILE ? chain_site(e->name) : NULL;
        if (site)
            newest_put(newest, site, &e->oid);
    }
    return r;
}

static int list_sites(struct repo *repo, const struct oid *oid, struct map *newest)
{
    _cleanup_(tree_unrefp) struct tree *sites = NULL;
    int r = tree_load(repo, oid, &sites);

    for (size_t i = 0; r == 0 && i < sites->n; i++)
        if (sites->entries[i].kind == ENTRY_DIR)
            r = list_bucket(repo, &sites->entries[i].oid, newest);
    return r;
}

static int list(struct repo *repo, const struct oid *root, struct map *newest)
{
    _cleanup_(tree_unrefp) struct tree *top = NULL;
    int r = tree_load(repo, root, &top);

    if (r < 0)
        return r;
    const struct tree_entry *sites = tree_find(top, CHAIN_SITES);
    const struct tree_entry *fleet = tree_find(top, CHAIN_FLEET);
    if (fleet && fleet->kind == ENTRY_FILE)
        newest_put(newest, RECORD_FLEET, &fleet->oid);
    if (!sites)
        return 0;
    return sites->kind == ENTRY_DIR ? list_sites(repo, &sites->oid, newest) : -EIO;
}

static void newest_done(struct map *newest)
{
    map_done(newest, free);
}

int chain_reload(struct chain *c, struct repo *repo, struct diag *reterr)
{
    _cleanup_(newest_done) struct map newest = {0};
    struct revision_brief brief = {0};
    struct oid tip = {0};
    int r = ref_read(repo, c->ref, &tip);

    if (r < 0 && r != -ENOENT)
        return diag_fail(reterr, r, "cannot read %s", c->ref);
    if (oid_equal(&tip, &c->tip))
        return 0;
    if (!oid_is_zero(&tip)) {
        r = revision_brief(repo, &tip, &brief);
        if (r == 0)
            r = list(repo, &brief.tree, &newest);
        if (r < 0)
            return diag_fail(reterr, r == -ENOENT ? -EIO : r, "cannot read the ledger %s", c->ref);
    }
    struct map old = c->newest;
    c->newest = newest;
    newest = old;
    c->tip = tip;
    c->root = brief.tree;
    return 0;
}

static char *site_path(const char *dir, const char *site, const char *suffix)
{
    char hex[OID_HEX + 1];
    struct oid hash;

    blob_hash(site, strlen(site), &hash);
    return xasprintf("%s/%.2s/%s%s", dir, oid_hex(&hash, hex), site, suffix);
}

char *chain_path(const char *site)
{
    return strcmp(site, RECORD_FLEET) != 0 ? site_path(CHAIN_SITES, site, SUFFIX)
                                           : xstrdup(CHAIN_FLEET);
}

char *chain_log_path(const char *site)
{
    return site_path(CHAIN_LOGS, site, "");
}

int chain_read(struct repo *repo, const struct oid *oid, const char *site, struct record *ret,
               struct diag *reterr)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    _cleanup_(record_done) struct record record = {0};
    _cleanup_(diag_done) struct diag why = {0};
    int r = blob_load(repo, oid, &blob);

    if (r < 0)
        return diag_fail(reterr, r == -ENOENT ? -EIO : r, "%s",
                         r == -ENOENT ? "it is missing" : "it cannot be read");
    if (record_decode(blob->data, blob->size, &record, &why) < 0)
        return diag_fail(reterr, -EIO, "it is no record: %s", diag_text(&why, -EINVAL));
    if (strcmp(record.site, site) != 0)
        return diag_fail(reterr, -EIO, "it is a record of the site \"%s\"", record.site);
    record.oid = *oid;
    *ret = record;
    record = (struct record){0};
    return 0;
}
