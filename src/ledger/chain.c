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

/* Takes in the files of one directory sites/<xx>. */
static int list_bucket(struct repo *repo, const struct oid *oid, struct map *newest)
{
    _cleanup_(tree_unrefp) struct tree *bucket = NULL;
    int r = tree_load(repo, oid, &bucket);

    for (size_t i = 0; r == 0 && i < bucket->n; i++) {
        const struct tree_entry *e = &bucket->entries[i];
        size_t len = strlen(e->name), tail = strlen(SUFFIX);
        if (e->kind != ENTRY_FILE || len <= tail || strcmp(e->name + len - tail, SUFFIX))
            continue;
        _cleanup_free_ char *site = xstrndup(e->name, len - tail);
        newest_put(newest, site, &e->oid);
    }
    return r;
}

static int list(struct repo *repo, const struct oid *root, struct map *newest)
{
    _cleanup_(tree_unrefp) struct tree *sites = NULL;
    enum entry_kind kind;
    struct oid oid;
    int r = tree_walk_path(repo, root, "sites", &kind, &oid);

    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = kind == ENTRY_DIR ? tree_load(repo, &oid, &sites) : -EIO;
    for (size_t i = 0; r == 0 && i < sites->n; i++)
        if (sites->entries[i].kind == ENTRY_DIR)
            r = list_bucket(repo, &sites->entries[i].oid, newest);
    return r;
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

char *chain_path(const char *dir, const char *site, const char *suffix)
{
    char hex[OID_HEX + 1];
    struct oid hash;

    blob_hash(site, strlen(site), &hash);
    return xasprintf("%s/%.2s/%s%s", dir, oid_hex(&hash, hex), site, suffix);
}

int chain_read(struct repo *repo, const struct oid *oid, const char *site, struct record *ret)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    struct record record = {0};
    int r = blob_load(repo, oid, &blob);

    if (r < 0)
        return r == -ENOENT ? -EIO : r;
    if (record_decode(blob->data, blob->size, &record, NULL) < 0)
        return -EIO;
    if (strcmp(record.site, site)) {
        record_done(&record);
        return -EIO;
    }
    record.oid = *oid;
    *ret = record;
    return 0;
}
