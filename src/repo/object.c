#include "repo/object.h"

#include <assert.h>
#include <errno.h>
#include <git2.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/metric.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/odb.h"

#define NAME_MOST 255

struct tree_object {
    struct cached cached;
    struct tree tree;
    git_odb_object *raw; /* the names are in it */
    struct tree_entry *entries;
};

struct blob_object {
    struct cached cached;
    struct blob blob;
    git_odb_object *raw;
};

/* Reads an object of the wanted type; whatever goes wrong with it is -EIO and told of. */
static int read_object(struct repo *repo, const struct oid *oid, git_object_t type,
                       git_odb_object **ret)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    git_odb_object *raw;
    int r = handle_borrow(repo, &h, NULL);

    if (r < 0)
        return r;
    int code = odb_read(h->odb, oid_git(oid), &raw);
    if (code < 0 && giterr_errno(code) == -ENOMEM)
        return -ENOMEM;
    if (code < 0)
        return repo_object_bad(repo, oid, giterr_text());
    if (git_odb_object_type(raw) != type) {
        git_odb_object_free(raw);
        return repo_object_bad(repo, oid, type == GIT_OBJECT_TREE ? "not a tree" : "not a blob");
    }
    *ret = raw;
    return 0;
}

/* The kind that a filesystem shows for a mode, as Git checks it out; -1 for what it does not. */
static int kind_of_mode(unsigned mode)
{
    if (mode > 0177777)
        return -1;
    switch (mode & S_IFMT) {
    case S_IFREG:
        return mode & 0100 ? ENTRY_EXEC : ENTRY_FILE;
    case S_IFLNK:
        return ENTRY_LINK;
    case S_IFDIR:
        return ENTRY_DIR;
    case 0160000:
        return ENTRY_MODULE;
    }
    return -1;
}

static bool is_name_shown(const char *name, size_t len)
{
    return len > 0 && len <= NAME_MOST && !memchr(name, '/', len) && strcmp(name, ".") &&
           strcmp(name, "..") && strcasecmp(name, ".git");
}

/* Reads "100644 name\0<id>" at *at. */
static int parse_entry(const char **at, const char *end, struct tree_entry *ret, unsigned *ret_mode)
{
    const char *p = *at;
    unsigned mode = 0;

    for (; p < end && *p >= '0' && *p <= '7'; p++)
        mode = mode > 0777777 ? mode : mode << 3 | (unsigned)(*p - '0');
    if (p == *at || p == end || *p != ' ')
        return -EIO;
    const char *name = ++p;
    p = memchr(p, 0, end - p);
    if (!p || end - ++p < OID_RAW)
        return -EIO;
    ret->name = name;
    memcpy(ret->oid.id, p, OID_RAW);
    *ret_mode = mode;
    *at = p + OID_RAW;
    return 0;
}

/* By name; of the same names, the one that came first in the object. */
static int compare_entries(const void *a, const void *b)
{
    const struct tree_entry *x = a, *y = b;
    int c = strcmp(x->name, y->name);

    return c ? c : x->name < y->name ? -1 : x->name > y->name;
}

/* What was left out of a tree, for the log. */
struct hidden {
    size_t n;
    struct buf names;
};

static void hide(struct hidden *hidden, const char *name)
{
    if (hidden->n++ < 8) {
        if (hidden->names.len)
            buf_addc(&hidden->names, ' ');
        buf_add_escaped(&hidden->names, *name ? name : "(empty)");
    }
}

static void tell_hidden(struct repo *repo, const struct tree *tree, const struct hidden *hidden)
{
    char hex[OID_HEX + 1];

    if (!hidden->n || !repo_first_hiding(repo, &tree->oid))
        return;
    metric_add(METRIC_HIDDEN_ENTRIES, NULL, hidden->n);
    log_warn("hidden-entries", "tree=%s count=%zu names=\"%.1000s\"", oid_hex(&tree->oid, hex),
             hidden->n, buf_str(&hidden->names));
}

/* Drops all but the first of entries with one name, which the order has put side by side. */
static size_t drop_repeated(struct tree_entry *e, size_t n, struct hidden *hidden)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (kept && !strcmp(e[kept - 1].name, e[i].name))
            hide(hidden, e[i].name);
        else
            e[kept++] = e[i];
    return kept;
}

/* Fills `o->entries` from the raw object. */
static int parse_tree(struct tree_object *o, struct hidden *hidden)
{
    const char *at = git_odb_object_data(o->raw), *end = at + git_odb_object_size(o->raw);
    VEC(struct tree_entry) all = {0};
    struct tree_entry e = {0};
    unsigned mode;

    while (at < end) {
        int r = parse_entry(&at, end, &e, &mode);
        if (r < 0) {
            free(all.v);
            return r;
        }
        int kind = kind_of_mode(mode);
        e.kind = kind < 0 ? ENTRY_FILE : (enum entry_kind)kind;
        if (kind < 0 || !is_name_shown(e.name, strlen(e.name)))
            hide(hidden, e.name);
        else
            *VEC_ADD(&all) = e;
    }
    if (all.n)
        qsort(all.v, all.n, sizeof(*all.v), compare_entries);
    o->entries = all.v;
    o->tree.n = drop_repeated(all.v, all.n, hidden);
    o->tree.entries = o->entries;
    return 0;
}

static void tree_destroy(struct cached *c)
{
    struct tree_object *o = container_of(c, struct tree_object, cached);

    git_odb_object_free(o->raw);
    free(o->entries);
    free(o);
}

static int tree_read(struct repo *repo, const struct oid *oid, struct tree_object **ret)
{
    git_odb_object *raw;
    int r = read_object(repo, oid, GIT_OBJECT_TREE, &raw);

    if (r < 0)
        return r;
    _cleanup_(buf_done) struct buf names = {0};
    struct hidden hidden = {0};
    struct tree_object *o = NEW(struct tree_object);
    o->raw = raw;
    o->tree.oid = o->cached.oid = *oid;
    o->cached.destroy = tree_destroy;
    o->cached.refs = 1;
    r = parse_tree(o, &hidden);
    names = hidden.names;
    if (r < 0) {
        tree_destroy(&o->cached);
        return repo_object_bad(repo, oid, "malformed tree");
    }
    tell_hidden(repo, &o->tree, &hidden);
    o->cached.bytes = sizeof(*o) + git_odb_object_size(raw) + o->tree.n * sizeof(struct tree_entry);
    *ret = o;
    return 0;
}

int tree_load(struct repo *repo, const struct oid *oid, struct tree **ret)
{
    struct cached *hit = cache_begin(repo->trees, oid);

    if (hit) {
        *ret = &container_of(hit, struct tree_object, cached)->tree;
        return 0;
    }
    struct tree_object *o = NULL;
    int r = tree_read(repo, oid, &o);
    cache_finish(repo->trees, oid, o ? &o->cached : NULL);
    if (r == 0)
        *ret = &o->tree;
    return r;
}

void tree_unref(struct tree *tree)
{
    if (tree)
        cached_unref(&container_of(tree, struct tree_object, tree)->cached);
}

static int compare_name(const void *name, const void *entry)
{
    return strcmp(name, ((const struct tree_entry *)entry)->name);
}

const struct tree_entry *tree_find(const struct tree *tree, const char *name)
{
    return tree->n ? bsearch(name, tree->entries, tree->n, sizeof(*tree->entries), compare_name)
                   : NULL;
}

/* The entry `name` of the directory `dir`. */
static int step(struct repo *repo, const struct oid *dir, const char *name,
                enum entry_kind *ret_kind, struct oid *ret_oid)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    int r = tree_load(repo, dir, &tree);

    if (r < 0)
        return r;
    const struct tree_entry *e = tree_find(tree, name);
    if (!e)
        return -ENOENT;
    *ret_kind = e->kind;
    *ret_oid = e->oid;
    return 0;
}

int tree_walk_path(struct repo *repo, const struct oid *root, const char *path,
                   enum entry_kind *ret_kind, struct oid *ret_oid)
{
    _cleanup_free_ char *copy = xstrdup(path);
    enum entry_kind kind = ENTRY_DIR;
    struct oid oid = *root;
    char *rest = copy, *name;

    while ((name = strsep(&rest, "/"))) {
        if (!*name)
            continue;
        if (kind != ENTRY_DIR)
            return -ENOTDIR;
        int r = step(repo, &oid, name, &kind, &oid);
        if (r < 0)
            return r;
    }
    *ret_kind = kind;
    *ret_oid = oid;
    return 0;
}

int blob_size(struct repo *repo, const struct oid *oid, uint64_t *ret)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    git_object_t type;
    size_t size;
    int r = handle_borrow(repo, &h, NULL);

    if (r < 0)
        return r;
    int code = git_odb_read_header(&size, &type, h->odb, oid_git(oid));
    if (code < 0 && giterr_errno(code) == -ENOMEM)
        return -ENOMEM;
    if (code < 0)
        return repo_object_bad(repo, oid, giterr_text());
    if (type != GIT_OBJECT_BLOB)
        return repo_object_bad(repo, oid, "not a blob");
    *ret = size;
    return 0;
}

static void blob_destroy(struct cached *c)
{
    struct blob_object *o = container_of(c, struct blob_object, cached);

    git_odb_object_free(o->raw);
    free(o);
}

int blob_load(struct repo *repo, const struct oid *oid, struct blob **ret)
{
    struct cached *hit = cache_begin(repo->blobs, oid);

    if (hit) {
        *ret = &container_of(hit, struct blob_object, cached)->blob;
        return 0;
    }
    git_odb_object *raw;
    int r = read_object(repo, oid, GIT_OBJECT_BLOB, &raw);
    if (r < 0) {
        cache_finish(repo->blobs, oid, NULL);
        return r;
    }
    struct blob_object *o = NEW(struct blob_object);
    o->raw = raw;
    o->blob = (struct blob){git_odb_object_data(raw), git_odb_object_size(raw)};
    o->cached.oid = *oid;
    o->cached.bytes = sizeof(*o) + o->blob.size;
    o->cached.destroy = blob_destroy;
    o->cached.refs = 1;
    cache_finish(repo->blobs, oid, &o->cached);
    *ret = &o->blob;
    return 0;
}

void blob_unref(struct blob *blob)
{
    if (blob)
        cached_unref(&container_of(blob, struct blob_object, blob)->cached);
}
