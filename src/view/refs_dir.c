#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "view/context.h"

/* branches/ and tags/: names with slashes nest. branches/ joins two namespaces, refs/heads/<name>
 * and refs/remotes/<remote>/<name>; where both have a name, the local branch is shown. */

struct ref_space {
    const char *kind;
    const char *prefixes[2]; /* first one wins */
};

static const struct ref_space branches = {"branches", {"refs/heads/", "refs/remotes/"}};
static const struct ref_space tags = {"tags", {"refs/tags/", NULL}};

struct refs_dir {
    struct node node;
    struct view *view;
    const struct ref_space *space;
    char *path; /* "" or "feature/" */
};

/* Calls `each` for every ref below the directory: with the rest of its name behind the directory's
 * path, in the order of prefixes. */
static void each_below(const struct refs_dir *d, const struct refs *refs,
                       void (*each)(const struct ref *ref, const char *rest, void *arg), void *arg)
{
    for (size_t i = 0; i < ARRAY_SIZE(d->space->prefixes) && d->space->prefixes[i]; i++) {
        _cleanup_free_ char *prefix = xasprintf("%s%s", d->space->prefixes[i], d->path);
        size_t len = strlen(prefix);
        for (size_t k = refs_first(refs, prefix);
             k < refs->n && !strncmp(refs->v[k].name, prefix, len); k++)
            if (!oid_is_zero(&refs->v[k].target))
                each(&refs->v[k], refs->v[k].name + len, arg);
    }
}

static int refs_dir_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFDIR | 0555;
    st->st_mtim = clock_timespec(view_refs_time(((struct refs_dir *)node)->view));
    return 0;
}

/* The ref that the directory shows under `name`, by binary search: a listing asks for each of its
 * names. NULL if there is none; then `ret_below` says whether there are refs below that name. */
static const struct ref *find_name(const struct refs_dir *d, const struct refs *refs,
                                   const char *name, bool *ret_below)
{
    *ret_below = false;
    for (size_t i = 0; i < ARRAY_SIZE(d->space->prefixes) && d->space->prefixes[i]; i++) {
        _cleanup_free_ char *full = xasprintf("%s%s%s", d->space->prefixes[i], d->path, name);
        _cleanup_free_ char *below = xasprintf("%s/", full);
        const struct ref *ref = refs_find(refs, full);
        if (ref && !oid_is_zero(&ref->target))
            return ref;
        for (size_t k = refs_first(refs, below);
             k < refs->n && !strncmp(refs->v[k].name, below, strlen(below)); k++)
            if (!oid_is_zero(&refs->v[k].target)) {
                *ret_below = true;
                break;
            }
    }
    return NULL;
}

static struct node *refs_dir_node(struct view *v, const struct ref_space *space, const char *path,
                                  struct node *parent, uint64_t ino);

/* "../" for each level between the directory and the root. */
static char *way_up(const char *path)
{
    struct buf up = {0};

    buf_adds(&up, "../");
    for (; *path; path++)
        if (*path == '/')
            buf_adds(&up, "../");
    return buf_take(&up);
}

static int refs_dir_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct refs_dir *d = (struct refs_dir *)dir;
    _cleanup_(refs_unrefp) struct refs *refs = mainline_refs(d->view->config.mainline);
    uint64_t ino = node_ino(dir->ino, name);
    bool below;
    const struct ref *ref = find_name(d, refs, name, &below);

    if (ref) {
        _cleanup_free_ char *up = way_up(d->path);
        *ret = link_node_new(d->view->config.table, ino, view_target(up, &ref->target, NULL),
                             view_refs_time(d->view));
        return 0;
    }
    if (!below)
        return -ENOENT;
    _cleanup_free_ char *path = xasprintf("%s%s/", d->path, name);
    *ret = refs_dir_node(d->view, d->space, path, dir, ino);
    return 0;
}

static void list_one(const struct ref *ref, const char *rest, void *arg)
{
    struct names *names = arg;
    size_t len = strcspn(rest, "/");
    bool below = rest[len] == '/';

    /* Refs are sorted, so what is below one directory comes in a row. */
    if (len > 255 || (below && names->n && !strncmp(names->v[names->n - 1].name, rest, len) &&
                      !names->v[names->n - 1].name[len]))
        return;
    _cleanup_free_ char *name = xstrndup(rest, len);
    names_add(names, name, below ? S_IFDIR : S_IFLNK);
}

static int refs_dir_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct refs_dir *d = (struct refs_dir *)dir;
    _cleanup_(refs_unrefp) struct refs *refs = mainline_refs(d->view->config.mainline);
    _cleanup_(names_done) struct names names = {0};

    each_below(d, refs, list_one, &names);
    names_emit(&names, dir, cookie, sink);
    return 0;
}

static void refs_dir_free(struct node *node)
{
    free(((struct refs_dir *)node)->path);
}

#define REFS_DIR_OPS(name, flags_)                                                                 \
    static const struct node_ops name##_ops = {                                                    \
        .kind = "refs",                                                                            \
        .flags = flags_,                                                                           \
        .getattr = refs_dir_getattr,                                                               \
        .lookup = refs_dir_lookup,                                                                 \
        .readdir = refs_dir_readdir,                                                               \
        .free = refs_dir_free,                                                                     \
    }
REFS_DIR_OPS(refs_dir, 0);
REFS_DIR_OPS(refs_root, NODE_ENTRY_FOREVER); /* branches/ and tags/ themselves are always there */

struct refs_dir_args {
    struct view *view;
    const struct ref_space *space;
    const char *path;
    struct node *parent;
};

static void refs_dir_init(struct node *node, const void *arg)
{
    const struct refs_dir_args *args = arg;
    struct refs_dir *d = (struct refs_dir *)node;

    d->view = args->view;
    d->space = args->space;
    d->path = xstrdup(args->path);
    node->parent = args->parent;
}

static struct node *refs_dir_node(struct view *v, const struct ref_space *space, const char *path,
                                  struct node *parent, uint64_t ino)
{
    struct refs_dir_args args = {v, space, path, parent};
    _cleanup_free_ char *key = xasprintf("%s/%s", space->kind, path);

    return node_intern(v->config.table, *path ? &refs_dir_ops : &refs_root_ops,
                       sizeof(struct refs_dir), key, strlen(key), ino, refs_dir_init, &args);
}

struct node *branches_node(struct view *v, uint64_t ino)
{
    return refs_dir_node(v, &branches, "", NULL, ino);
}

struct node *tags_node(struct view *v, uint64_t ino)
{
    return refs_dir_node(v, &tags, "", NULL, ino);
}
