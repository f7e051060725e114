/* Which inputs a site takes: the digest of them. */
#include "site/inputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "repo/object.h"

/* Fields are separated by NUL, which no name or path contains, so that two texts are equal only if
 * all fields are. */
static void add_field(struct buf *out, const char *key, const char *value)
{
    buf_add(out, key, strlen(key) + 1);
    buf_add(out, value, strlen(value) + 1);
}

/* What there is at `path`, by kind and id: a text of its own for "nothing". */
static int add_path(struct repo *repo, const struct oid *tree, const char *key, const char *path,
                    struct buf *out)
{
    enum entry_kind kind;
    struct oid oid;
    char hex[OID_HEX + 1];

    add_field(out, key, path);
    if (!tree)
        return 0;
    int r = tree_walk_path(repo, tree, strcmp(path, ".") ? path : "", &kind, &oid);
    if (r == -ENOENT || r == -ENOTDIR)
        add_field(out, "absent", "");
    else if (r < 0)
        return r;
    else
        add_field(out, (const char *[]){"file", "exec", "link", "dir", "module"}[kind],
                  oid_hex(&oid, hex));
    return 0;
}

/* Everything that the digest covers; without `tree` only what the declaration says. The order of
 * includes means nothing. */
static int describe(struct repo *repo, const struct oid *tree, const struct site *site,
                    struct buf *out)
{
    _cleanup_free_ char **include = xcalloc(site->include.n, sizeof(char *));
    int r;

    for (size_t i = 0; i < site->include.n; i++)
        include[i] = site->include.v[i];
    add_field(out, "inputs", "1");
    add_field(out, "site", site->name);
    add_field(out, "team", site->team);
    if (site->backend)
        add_field(out, "backend", site->backend);
    vec_foreach (label, &site->labels) {
        add_field(out, "label", label->key);
        add_field(out, "is", label->value);
    }
    r = add_path(repo, tree, "source", site->source, out);
    qsort(include, site->include.n, sizeof(*include), str_order);
    for (size_t i = 0; !r && i < site->include.n; i++)
        r = add_path(repo, tree, "include", include[i], out);
    return r;
}

int site_inputs(struct repo *repo, const struct oid *tree, const struct site *site, struct oid *ret)
{
    _cleanup_(buf_done) struct buf text = {0};
    int r = describe(repo, tree, site, &text);

    if (!r)
        blob_hash(text.data, text.len, ret);
    return r;
}

bool inputs_declared_same(const struct site *a, const struct site *b)
{
    _cleanup_(buf_done) struct buf ta = {0}, tb = {0};

    describe(NULL, NULL, a, &ta);
    describe(NULL, NULL, b, &tb);
    return ta.len == tb.len && !memcmp(ta.data, tb.data, ta.len);
}
