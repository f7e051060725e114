#include "stage/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/scratch.h"

#define DEPTH_MOST 2048 /* what repo/ takes; only renames of deep directories get here */

struct snapshot {
    struct workspace *ws;
    struct sink *sink;
    struct kept_dirs *keep;
    struct diag *reterr;
    /* The directory in hand: its path with a slash at its end, for messages and `keep`; and its
     * one descriptor, whatever the depth. */
    struct buf path;
    int at;
    int depth;
};

struct entries {
    VEC(struct tree_entry);
};

static int fail(struct snapshot *s, int r, const char *name)
{
    _cleanup_(buf_done) struct buf path = {0};

    buf_add_escaped(&path, buf_str(&s->path));
    buf_add_escaped(&path, name);
    return diag_prefix(s->reterr, r, "%s", buf_str(&path));
}

/* `base` is what the base has under that name, NULL: nothing. What is as it is there is not put:
 * the base stays. */
static int put_file(struct snapshot *s, const char *name, const struct tree_entry *base,
                    struct tree_entry *ret)
{
    struct stat st;
    _cleanup_close_ int fd = openat(s->at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    ret->kind = st.st_mode & 0100 ? ENTRY_EXEC : ENTRY_FILE;
    if (base && blob_is_file(s->ws->overlay.repo, &base->oid, fd, st.st_size)) {
        ret->oid = base->oid;
        return 0;
    }
    return sink_blob_fd(s->sink, fd, st.st_size, &ret->oid, s->reterr);
}

static int put_link(struct snapshot *s, const char *name, struct tree_entry *ret)
{
    /* Not on the stack: this is inlined into a recursion. */
    _cleanup_free_ char *target = xmalloc(PATH_MAX);
    ssize_t len = readlinkat(s->at, name, target, PATH_MAX);

    if (len < 0)
        return -errno;
    ret->kind = ENTRY_LINK;
    return sink_blob(s->sink, target, len, &ret->oid, s->reterr);
}

static int put_dir(struct snapshot *s, const struct oid *base, struct oid *ret);

/* Goes down into `name` and up again. */
static int put_below(struct snapshot *s, const char *name, struct tree_entry *ret)
{
    struct overlay_dir here = {.fd = s->at};
    struct overlay_entry e;
    size_t len = s->path.len;

    if (++s->depth > DEPTH_MOST)
        return -ENAMETOOLONG;
    int r = overlay_find(&s->ws->overlay, &here, name, &e);
    if (r == 0)
        r = overlay_go(&s->at, name);
    if (r < 0)
        return r;
    buf_addf(&s->path, "%s/", name);
    ret->kind = ENTRY_DIR;
    r = put_dir(s, &e.base, &ret->oid);
    if (r == 0 && oid_is_zero(&ret->oid))
        *VEC_ADD(s->keep) = (struct kept_dir){xstrndup(s->path.data, s->path.len - 1), e.mode};
    s->depth--;
    s->path.len = len;
    s->path.data[len] = 0;
    return r < 0 ? r : overlay_go(&s->at, "..");
}

/* Adds what the upper has under a name; nothing if that is an empty directory. */
static int add_upper(struct snapshot *s, struct overlay_name *name, const struct tree_entry *base,
                     struct entries *out)
{
    struct tree_entry t = {.name = name->name};
    int r;

    if (S_ISDIR(name->type))
        r = put_below(s, name->name, &t);
    else if (S_ISLNK(name->type))
        r = put_link(s, name->name, &t);
    else
        r = put_file(s, name->name, base, &t);
    if (r < 0) /* what is below has said it already */
        return S_ISDIR(name->type) && s->reterr && s->reterr->text ? r : fail(s, r, name->name);
    if (!oid_is_zero(&t.oid))
        *VEC_ADD(out) = t;
    return 0;
}

static int merge(struct snapshot *s, struct overlay_names *upper, const struct tree *base,
                 struct entries *out)
{
    size_t b = 0, n = base ? base->n : 0;

    for (size_t u = 0; u < upper->n; u++) {
        int order = 1;
        while (b < n && (order = strcmp(base->entries[b].name, upper->v[u].name)) < 0)
            *VEC_ADD(out) = base->entries[b++];
        const struct tree_entry *same = b < n && order == 0 ? &base->entries[b++] : NULL;
        if (upper->v[u].type == S_IFIFO)
            continue;
        int r = add_upper(s, &upper->v[u], same, out);
        if (r < 0)
            return r;
    }
    while (b < n)
        *VEC_ADD(out) = base->entries[b++];
    return 0;
}

static bool same_entries(const struct entries *a, const struct tree *b)
{
    if (!b || a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].kind != b->entries[i].kind || !oid_equal(&a->v[i].oid, &b->entries[i].oid) ||
            strcmp(a->v[i].name, b->entries[i].name))
            return false;
    return true;
}

/* The tree of the directory in hand, merged with `base`. Zero: there is nothing in it. */
static int put_dir(struct snapshot *s, const struct oid *base, struct oid *ret)
{
    _cleanup_(overlay_names_done) struct overlay_names upper = {0};
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    struct entries entries = {0};
    int r = overlay_upper_names(&s->ws->overlay, s->at, &upper);

    if (r == 0 && !oid_is_zero(base))
        r = tree_load(s->ws->overlay.repo, base, &tree);
    if (r == 0)
        r = merge(s, &upper, tree, &entries);
    if (r == 0) {
        if (same_entries(&entries, tree))
            *ret = *base;
        else if (entries.n)
            r = sink_tree(s->sink, entries.v, entries.n, ret, s->reterr);
        else
            *ret = (struct oid){0};
    }
    free(entries.v);
    return r;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct kept_dir *)a)->path, ((const struct kept_dir *)b)->path);
}

int snapshot_take(struct workspace *ws, struct sink *sink, struct oid *ret, struct kept_dirs *keep,
                  struct diag *reterr)
{
    _cleanup_(kept_dirs_done) struct kept_dirs dropped = {0};
    struct snapshot s = {.ws = ws, .sink = sink, .keep = keep ? keep : &dropped, .reterr = reterr};
    struct oid tree;

    s.at = fcntl(ws->upper, F_DUPFD_CLOEXEC, 0);
    if (s.at < 0)
        return diag_fail(reterr, -errno, "%s", strerror(errno));
    int r = put_dir(&s, &ws->base_tree, &tree);
    /* All files removed: a revision has a tree, if an empty one. */
    if (r == 0 && oid_is_zero(&tree) && !oid_is_zero(&ws->base_tree))
        r = sink_tree(sink, NULL, 0, &tree, reterr);
    if (s.keep->n)
        qsort(s.keep->v, s.keep->n, sizeof(*s.keep->v), by_path);
    if (r == 0)
        *ret = tree;
    buf_done(&s.path);
    close(s.at);
    return r;
}

int snapshot_write(struct workspace *ws, struct batch *batch, struct oid *ret,
                   struct kept_dirs *keep, struct diag *reterr)
{
    struct oid tree;
    int r = snapshot_take(ws, batch_sink(batch), &tree, keep, reterr);

    if (r == 0)
        r = batch_store(batch, reterr);
    if (r == 0)
        *ret = tree;
    return r;
}

int snapshot_id(struct workspace *ws, struct oid *ret, struct kept_dirs *keep, struct diag *reterr)
{
    _cleanup_(scratch_freep) struct scratch *scratch = scratch_new(ws->overlay.repo, 0);

    return snapshot_take(ws, scratch_sink(scratch), ret, keep, reterr);
}
