#include "stage/graft.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

#define DEPTH_MOST 2048 /* what repo/ takes */

void kept_dirs_done(struct kept_dirs *keep)
{
    vec_foreach (d, keep)
        free(d->path);
    free(keep->v);
    *keep = (struct kept_dirs){0};
}

/* A walk through what the new upper is to show, one directory at a time: the same place in the new
 * upper and in the old one. */
struct walk {
    struct overlay *overlay;
    const struct graft_source *source;
    int fd;     /* the new upper */
    int old;    /* the old one */
    int absent; /* so many directories further down than `old`, which had no such one */
    int depth;
};

/* The trees of one directory; a zero id is an empty one. */
struct level {
    struct oid under; /* what the new upper's directory is merged with */
    struct oid ours, shown;
    uint64_t ino;
};

static struct overlay_dir here(const struct walk *w, const struct level *l)
{
    return (struct overlay_dir){.fd = w->fd, .base = l->under, .ino = l->ino};
}

static bool is_dir(const struct tree_entry *e)
{
    return e && e->kind == ENTRY_DIR;
}

static bool same(const struct tree_entry *a, const struct tree_entry *b)
{
    return a && b && a->kind == b->kind && oid_equal(&a->oid, &b->oid);
}

/* What the old upper has under that name in the directory in hand. -ENOENT: nothing. */
static int find_old(struct walk *w, const char *name, struct overlay_entry *ret)
{
    if (w->absent)
        return -ENOENT;
    return overlay_find(w->overlay, &(struct overlay_dir){.fd = w->old}, name, ret);
}

/* Files and links */

/* The shown permission bits: those that the file had before, but for what Git keeps. */
static mode_t mode_of(const struct tree_entry *e, const struct overlay_entry *old)
{
    if (!old || !S_ISREG(old->type))
        return e->kind == ENTRY_EXEC ? 0755 : 0644;
    if (e->kind == ENTRY_EXEC)
        return old->mode | 0100;
    return old->mode & ~0111;
}

static int write_file(struct walk *w, const struct level *l, const struct tree_entry *e,
                      const struct overlay_entry *old)
{
    struct overlay_dir dir = here(w, l);
    struct overlay_entry made;
    _cleanup_close_ int fd = -1;
    int r = overlay_make_file(w->overlay, &dir, e->name, mode_of(e, old), &made, &fd);

    if (r == 0)
        r = blob_copy(w->overlay->repo, &e->oid, fd);
    return r < 0 ? r : fsync(fd) < 0 ? -errno : 0;
}

static int write_link(struct walk *w, const struct level *l, const struct tree_entry *e)
{
    struct overlay_dir dir = here(w, l);
    struct overlay_entry made;
    _cleanup_free_ char *target = NULL;
    int r = blob_target(w->overlay->repo, &e->oid, &target);

    return r < 0 ? r : overlay_make_link(w->overlay, &dir, e->name, target, &made);
}

/* What is as the old upper has it is the very file: with its times, and nothing is copied. */
static int put_file(struct walk *w, const struct level *l, const struct tree_entry *ours,
                    const struct tree_entry *e)
{
    struct overlay_entry old;
    int r = find_old(w, e->name, &old);

    if (r < 0 && r != -ENOENT)
        return r;
    bool there = r == 0 && !S_ISDIR(old.type);
    if (there && same(ours, e) && linkat(w->old, e->name, w->fd, e->name, 0) == 0)
        return 0;
    return e->kind == ENTRY_LINK ? write_link(w, l, e) : write_file(w, l, e, there ? &old : NULL);
}

/* Directories */

static int set_base(const struct walk *w, const char *name, const struct oid *base)
{
    _cleanup_close_ int fd = openat(w->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : overlay_set_base(fd, base);
}

/* Makes the directory `e`, and says in `below` what it is merged with: what the base has there, or
 * what the old upper's was, which somebody has moved there. */
static int make_dir(struct walk *w, const struct level *l, const struct tree_entry *under,
                    const struct tree_entry *e, struct level *below)
{
    struct overlay_dir dir = here(w, l);
    struct overlay_entry made, old = {.mode = 0755};
    int r = find_old(w, e->name, &old);

    if (r < 0 && r != -ENOENT)
        return r;
    bool there = r == 0 && S_ISDIR(old.type);
    if (is_dir(under)) {
        r = overlay_find(w->overlay, &dir, e->name, &made);
        if (r == 0)
            r = overlay_copy_up(w->overlay, &dir, e->name, false, &made);
    } else {
        r = overlay_make_dir(w->overlay, &dir, e->name, there ? old.mode : 0755, &made);
        if (r == 0 && there && w->source->share && !oid_is_zero(&old.base)) {
            made.base = old.base;
            r = set_base(w, e->name, &old.base);
        }
    }
    below->under = made.base;
    below->ino = made.ino;
    return r;
}

static int go_down(struct walk *w, const char *name)
{
    int r = overlay_go(&w->fd, name);

    if (r < 0)
        return r;
    if (w->absent || overlay_go(&w->old, name) < 0)
        w->absent++;
    w->depth++;
    return 0;
}

static int go_up(struct walk *w)
{
    int r = 0;

    if (w->absent)
        w->absent--;
    else
        r = overlay_go(&w->old, "..");
    w->depth--;
    return r < 0 ? r : overlay_go(&w->fd, "..");
}

static int put_level(struct walk *w, const struct level *l);

static int put_dir(struct walk *w, const struct level *l, const struct tree_entry *under,
                   const struct tree_entry *ours, const struct tree_entry *e)
{
    struct level below = {.shown = e->oid};
    int r = w->depth < DEPTH_MOST ? make_dir(w, l, under, e, &below) : -ENAMETOOLONG;

    if (is_dir(ours))
        below.ours = ours->oid;
    if (r == 0)
        r = go_down(w, e->name);
    if (r == 0)
        r = put_level(w, &below);
    return r < 0 ? r : go_up(w);
}

/* One name: `under` is what shows there by itself, `shown` what is to show. */
static int put_entry(struct walk *w, const struct level *l, const struct tree_entry *under,
                     const struct tree_entry *ours, const struct tree_entry *shown)
{
    if (same(under, shown))
        return 0;
    if (!shown)
        return mkfifoat(w->fd, under->name, 0600) < 0 ? -errno : 0;
    if (shown->kind == ENTRY_MODULE) /* only a base has those */
        return -EOPNOTSUPP;
    return shown->kind == ENTRY_DIR ? put_dir(w, l, under, ours, shown)
                                    : put_file(w, l, ours, shown);
}

static const struct tree_entry *entry_at(const struct tree *tree, size_t at)
{
    return tree && at < tree->n ? &tree->entries[at] : NULL;
}

static int put_loaded(struct walk *w, const struct level *l, const struct tree *under,
                      const struct tree *ours, const struct tree *shown)
{
    size_t u = 0, s = 0;
    int r = 0;

    for (;;) {
        const struct tree_entry *a = entry_at(under, u), *b = entry_at(shown, s);
        if (r < 0 || (!a && !b))
            return r;
        int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);
        a = order <= 0 ? a : NULL;
        b = order >= 0 ? b : NULL;
        u += a != NULL;
        s += b != NULL;
        r = put_entry(w, l, a, ours && b ? tree_find(ours, b->name) : NULL, b);
    }
}

static int load(struct walk *w, const struct oid *oid, struct tree **ret)
{
    return oid_is_zero(oid) ? 0 : tree_load(w->overlay->repo, oid, ret);
}

static int put_level(struct walk *w, const struct level *l)
{
    _cleanup_(tree_unrefp) struct tree *under = NULL, *ours = NULL, *shown = NULL;
    int r = 0;

    if (!oid_equal(&l->under, &l->shown)) {
        r = load(w, &l->under, &under);
        if (r == 0)
            r = load(w, &l->ours, &ours);
        if (r == 0)
            r = load(w, &l->shown, &shown);
        if (r == 0)
            r = put_loaded(w, l, under, ours, shown);
    }
    return r < 0 ? r : fsync(w->fd) < 0 ? -errno : 0;
}

int graft_tree(struct graft *g, const struct graft_source *source)
{
    struct level root = {g->root.base, source->ours, source->shown, g->root.ino};
    struct walk w = {
        .overlay = &g->overlay,
        .source = source,
        .fd = fcntl(g->root.fd, F_DUPFD_CLOEXEC, 0),
        .old = fcntl(source->upper, F_DUPFD_CLOEXEC, 0),
    };
    int r = w.fd < 0 || w.old < 0 ? -errno : put_level(&w, &root);

    closep(&w.fd);
    closep(&w.old);
    return r;
}

/* Directories that Git does not have */

/* Goes down to `name`, making it if it is not there. -EEXIST: the base has a file there. */
static int keep_step(struct overlay *o, struct overlay_dir *at, const char *name, mode_t mode)
{
    struct overlay_entry e;
    int r = overlay_find(o, at, name, &e);

    if (r == -ENOENT)
        r = overlay_make_dir(o, at, name, mode, &e);
    else if (r == 0 && (!S_ISDIR(e.type) || e.kind == ENTRY_MODULE))
        r = -EEXIST;
    else if (r == 0)
        r = overlay_copy_up(o, at, name, false, &e);
    if (r == 0 && fsync(at->fd) < 0)
        r = -errno;
    if (r == 0)
        r = overlay_go(&at->fd, name);
    at->base = e.base;
    at->ino = e.ino;
    return r;
}

static int keep_dir(struct graft *g, const struct kept_dir *keep)
{
    _cleanup_free_ char *path = xstrdup(keep->path);
    struct overlay_dir at = g->root;
    int r = 0;

    at.fd = fcntl(g->root.fd, F_DUPFD_CLOEXEC, 0);
    if (at.fd < 0)
        return -errno;
    for (char *name = path, *slash; r == 0 && name; name = slash) {
        slash = strchr(name, '/');
        if (slash)
            *slash++ = 0;
        r = keep_step(&g->overlay, &at, name, slash ? 0755 : keep->mode);
    }
    if (r == 0 && fsync(at.fd) < 0)
        r = -errno;
    close(at.fd);
    return r == -EEXIST ? 0 : r;
}

int graft_dirs(struct graft *g, const struct kept_dirs *keep)
{
    int r = 0;

    for (size_t i = 0; i < keep->n && r == 0; i++)
        r = keep_dir(g, &keep->v[i]);
    return r;
}
