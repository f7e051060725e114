#include "repo/object.h"

#include <assert.h>
#include <errno.h>
#include <git2.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"
#include "base/metric.h"
#include "repo/faults.h"
#include "repo/handle.h"
#include "repo/source.h"
#include "repo/spill.h"

#define PIECE (1u << 20) /* of a blob that is copied */

#define NAME_MOST 255
/* A tree that is larger is refused unread: five million entries. */
#define TREE_MOST (UINT64_C(256) << 20)

struct tree_object {
    struct cached cached;
    struct tree tree;
    struct tree_entry entries[]; /* and behind the last of them, their names */
};

struct blob_object {
    struct cached cached;
    struct blob blob;
    struct unpacked raw;
};

static const char *not_a(git_object_t type)
{
    return type == GIT_OBJECT_TREE ? "not a tree" : "not a blob";
}

/* Reads an object of the wanted type; whatever is wrong with it is -EIO and told of, but for
 * -EFBIG: it is larger than `most`. */
static int read_object(struct repo *repo, const struct oid *oid, git_object_t type, uint64_t most,
                       struct unpacked *ret)
{
    struct unpacked raw;
    int r = source_read(repo->source, oid, most, &raw);

    if (r == -ENOENT)
        return repo_object_bad(repo, oid, "missing");
    if (r < 0)
        return r;
    if (raw.type != type) {
        unpacked_done(&raw);
        return repo_object_bad(repo, oid, not_a(type));
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
        buf_adds(&hidden->names, *name ? name : "(empty)");
    }
}

static void tell_hidden(struct repo *repo, const struct tree *tree, const struct hidden *hidden)
{
    char hex[OID_HEX + 1];

    if (!hidden->n || !faults_first_hiding(repo->faults, &tree->oid))
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

/* Trees come in Git's order, in which "a.b" stands before the directory "a". */
static bool is_sorted(const struct tree_entry *e, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (strcmp(e[i - 1].name, e[i].name) >= 0)
            return false;
    return true;
}

static size_t sort_entries(struct tree_entry *e, size_t n, struct hidden *hidden)
{
    if (is_sorted(e, n))
        return n;
    qsort(e, n, sizeof(*e), compare_entries);
    return drop_repeated(e, n, hidden);
}

/* Counts the entries of a raw tree, and the bytes of their names. -EIO if it is malformed. */
static int measure_tree(const struct unpacked *raw, size_t *ret_n, size_t *ret_names)
{
    const char *at = raw->data, *end = at + raw->size;
    struct tree_entry e;
    unsigned mode;

    for (*ret_n = *ret_names = 0; at < end; ++*ret_n) {
        int r = parse_entry(&at, end, &e, &mode);
        if (r < 0)
            return r;
        *ret_names += strlen(e.name) + 1;
    }
    return 0;
}

/* Takes the entries of a raw tree, which was measured, and copies their names to `names`. */
static size_t take_entries(const struct unpacked *raw, struct tree_entry *entries, char *names,
                           struct hidden *hidden)
{
    const char *at = raw->data, *end = at + raw->size;
    struct tree_entry e;
    unsigned mode;
    size_t n = 0;

    while (at < end && parse_entry(&at, end, &e, &mode) == 0) {
        int kind = kind_of_mode(mode);
        size_t len = strlen(e.name);
        if (kind < 0 || !is_name_shown(e.name, len)) {
            hide(hidden, e.name);
            continue;
        }
        e.kind = kind;
        e.name = memcpy(names, e.name, len + 1);
        names += len + 1;
        entries[n++] = e;
    }
    return n;
}

static void tree_destroy(struct cached *c)
{
    free(container_of(c, struct tree_object, cached));
}

/* NULL: no memory. */
static struct tree_object *tree_parse(struct repo *repo, const struct oid *oid,
                                      const struct unpacked *raw, size_t n, size_t names)
{
    _cleanup_(buf_done) struct buf text = {0};
    struct hidden hidden = {0};
    size_t bytes = sizeof(struct tree_object) + n * sizeof(struct tree_entry) + names;
    struct tree_object *o = malloc(bytes);

    if (!o)
        return NULL;
    o->cached = (struct cached){*oid, bytes, tree_destroy, 1};
    o->tree.oid = *oid;
    o->tree.entries = o->entries;
    o->tree.n = take_entries(raw, o->entries, (char *)&o->entries[n], &hidden);
    o->tree.n = sort_entries(o->entries, o->tree.n, &hidden);
    text = hidden.names;
    tell_hidden(repo, &o->tree, &hidden);
    return o;
}

static int tree_read(struct repo *repo, const struct oid *oid, struct tree_object **ret)
{
    _cleanup_(unpacked_done) struct unpacked raw = {0};
    size_t n, names;
    int r = read_object(repo, oid, GIT_OBJECT_TREE, TREE_MOST, &raw);

    if (r == -EFBIG)
        return repo_object_bad(repo, oid, "too large for a tree");
    if (r < 0)
        return r;
    if (measure_tree(&raw, &n, &names) < 0)
        return repo_object_bad(repo, oid, "malformed tree");
    *ret = tree_parse(repo, oid, &raw, n, names);
    return *ret ? 0 : -ENOMEM;
}

int tree_exists(struct repo *repo, const struct oid *oid)
{
    git_object_t type;
    uint64_t size;
    int r = source_header(repo->source, oid, &type, &size);

    return r == 0 ? type == GIT_OBJECT_TREE : r == -ENOENT ? 0 : r;
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

/* What is no blob is found out when it is read. */
int blob_size(struct repo *repo, const struct oid *oid, uint64_t *ret)
{
    int r = source_header(repo->source, oid, NULL, ret);

    return r == -ENOENT ? repo_object_bad(repo, oid, "missing") : r;
}

static void blob_destroy(struct cached *c)
{
    struct blob_object *o = container_of(c, struct blob_object, cached);

    unpacked_done(&o->raw);
    free(o);
}

/* The blob, from the cache or read anew; -EFBIG if it would have to be read and is larger than
 * `most`. */
static int blob_get(struct repo *repo, const struct oid *oid, uint64_t most,
                    struct blob_object **ret)
{
    struct cached *hit = cache_begin(repo->blobs, oid);
    struct unpacked raw;

    if (hit) {
        *ret = container_of(hit, struct blob_object, cached);
        return 0;
    }
    int r = read_object(repo, oid, GIT_OBJECT_BLOB, most, &raw);
    if (r < 0) {
        cache_finish(repo->blobs, oid, NULL);
        return r;
    }
    struct blob_object *o = NEW(struct blob_object);
    o->cached = (struct cached){*oid, sizeof(*o) + raw.size, blob_destroy, 1};
    o->blob = (struct blob){raw.data, raw.size};
    o->raw = raw;
    cache_finish(repo->blobs, oid, &o->cached);
    *ret = o;
    return 0;
}

int blob_load(struct repo *repo, const struct oid *oid, struct blob **ret)
{
    struct blob_object *o;
    int r = blob_get(repo, oid, UINT64_MAX, &o);

    if (r == 0)
        *ret = &o->blob;
    return r;
}

ssize_t blob_read(struct repo *repo, const struct oid *oid, void *buf, size_t size, uint64_t off)
{
    struct blob_object *o;
    ssize_t n = spill_peek(repo->spill, oid, buf, size, off);

    if (n != -ENOENT)
        return n;
    int r = blob_get(repo, oid, repo->blob_most, &o);
    if (r == -EFBIG) {
        n = spill_read(repo->spill, oid, buf, size, off);
        if (n != -ENOSPC)
            return n == -ENOENT ? repo_object_bad(repo, oid, "missing") : n;
        r = blob_get(repo, oid, repo->blob_held, &o);
    }
    if (r < 0)
        return r == -EFBIG ? -ENOSPC : r;
    size_t left = off < o->blob.size ? o->blob.size - off : 0;
    n = size < left ? size : left;
    if (n)
        memcpy(buf, (const char *)o->blob.data + off, n);
    cached_unref(&o->cached);
    return n;
}

int blob_copy(struct repo *repo, const struct oid *oid, int fd)
{
    _cleanup_free_ char *piece = xmalloc(PIECE);
    uint64_t at = 0;
    ssize_t n;

    while ((n = blob_read(repo, oid, piece, PIECE, at)) > 0) {
        int r = io_pwrite_full(fd, piece, n, at);
        if (r < 0)
            return r;
        at += n;
    }
    return n;
}

int blob_target(struct repo *repo, const struct oid *oid, char **ret)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    uint64_t size;
    int r = blob_size(repo, oid, &size);

    if (r == 0 && (!size || size >= PATH_MAX)) /* not to be loaded: it may be of any size */
        return -EIO;
    if (r == 0)
        r = blob_load(repo, oid, &blob);
    if (r < 0)
        return r == -ENOENT ? -EIO : r;
    if (strlen(blob->data) != blob->size)
        return -EIO;
    *ret = xstrndup(blob->data, blob->size);
    return 0;
}

size_t blob_lines(const struct blob *blob)
{
    const char *at = blob->data, *end = at + blob->size;
    size_t n = 0;

    for (; (at = memchr(at, '\n', end - at)); at++)
        n++;
    return n;
}

void blob_unref(struct blob *blob)
{
    if (blob)
        cached_unref(&container_of(blob, struct blob_object, blob)->cached);
}
