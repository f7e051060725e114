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
    free(c->ref);
    free(c);
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

/* Adds the sites of one directory sites/<xx>. */
static int list_bucket(struct repo *repo, const struct oid *oid, struct map *names)
{
    _cleanup_(tree_unrefp) struct tree *bucket = NULL;
    int r = tree_load(repo, oid, &bucket);

    for (size_t i = 0; r == 0 && i < bucket->n; i++) {
        const struct tree_entry *e = &bucket->entries[i];
        _cleanup_free_ char *site = e->kind == ENTRY_FILE ? chain_site(e->name) : NULL;
        if (site)
            map_put(names, site, names);
    }
    return r;
}

int chain_sites(struct repo *repo, const struct oid *root, struct map *names)
{
    _cleanup_(tree_unrefp) struct tree *sites = NULL;
    enum entry_kind kind;
    struct oid oid;
    int r = oid_is_zero(root) ? -ENOENT : tree_walk_path(repo, root, CHAIN_SITES, &kind, &oid);

    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = kind == ENTRY_DIR ? tree_load(repo, &oid, &sites) : -EIO;
    for (size_t i = 0; r == 0 && i < sites->n; i++)
        if (sites->entries[i].kind == ENTRY_DIR)
            r = list_bucket(repo, &sites->entries[i].oid, names);
    return r == -ENOENT ? -EIO : r;
}

int chain_reload(struct chain *c, struct repo *repo, struct diag *reterr)
{
    struct revision_brief brief = {0};
    struct oid tip = {0};
    int r = ref_read(repo, c->ref, &tip);

    if (r < 0 && r != -ENOENT)
        return diag_fail(reterr, r, "cannot read %s", c->ref);
    r = oid_is_zero(&tip) ? 0 : revision_brief(repo, &tip, &brief);
    if (r < 0)
        return diag_fail(reterr, r == -ENOENT ? -EIO : r, "cannot read the ledger %s", c->ref);
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

int chain_newest(struct repo *repo, const struct oid *root, const char *site, struct oid *ret,
                 struct diag *reterr)
{
    _cleanup_free_ char *path = chain_path(site);
    enum entry_kind kind;
    struct oid oid = {0};
    int r = oid_is_zero(root) ? -ENOENT : tree_walk_path(repo, root, path, &kind, &oid);

    if (r < 0 && r != -ENOENT)
        return diag_fail(reterr, r == -ENOTDIR ? -EIO : r,
                         "the ledger's tree cannot be read at %s: %s", path, strerrordesc_np(-r));
    *ret = r == 0 && kind == ENTRY_FILE ? oid : (struct oid){0};
    return 0;
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
