#include "repo/diff.h"

#include <errno.h>
#include <git2.h>
#include <string.h>

#include "base/alloc.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/object_write.h"

/* No filesystem could show a path that is deeper: names and slashes make 4096 bytes. */
#define DEPTH_MOST 2048

/* The entries of a tree in the order of whole paths: a directory "a" comes where "a/" would. */
struct side {
    struct tree *tree;
    const struct tree_entry **v;
    size_t n, at;
};

static void side_done(struct side *s)
{
    tree_unref(s->tree);
    free(s->v);
}

static int compare_entries(const void *a, const void *b)
{
    return tree_entry_compare_git(*(const struct tree_entry *const *)a,
                                  *(const struct tree_entry *const *)b);
}

static int side_load(struct repo *repo, const struct oid *oid, struct side *s)
{
    if (oid_is_zero(oid))
        return 0;
    int r = tree_load(repo, oid, &s->tree);
    if (r < 0)
        return r;
    s->n = s->tree->n;
    s->v = xcalloc(s->n + 1, sizeof(*s->v));
    for (size_t i = 0; i < s->n; i++)
        s->v[i] = &s->tree->entries[i];
    qsort(s->v, s->n, sizeof(*s->v), compare_entries);
    return 0;
}

static bool is_file(enum entry_kind kind)
{
    return kind == ENTRY_FILE || kind == ENTRY_EXEC;
}

static char status_of(const struct tree_entry *old, const struct tree_entry *new)
{
    if (!old || !new)
        return old ? 'D' : 'A';
    return old->kind == new->kind || (is_file(old->kind) && is_file(new->kind)) ? 'M' : 'T';
}

/* A directory whose entries are being compared: what is left to do when those below it are done,
 * without a stack, as trees may be thousands deep. */
struct level {
    struct side old, new;
    size_t len; /* of the path of the directory above */
};

struct walk {
    struct repo *repo;
    int (*each)(const struct change *c, void *arg);
    void *arg;
    struct buf path;
    size_t seen, bytes; /* that differed: names, and the bytes of their paths */
    VEC(struct level) levels;
};

static void walk_done(struct walk *w)
{
    vec_foreach (l, &w->levels) {
        side_done(&l->old);
        side_done(&l->new);
    }
    free(w->levels.v);
    buf_done(&w->path);
}

static int enter(struct walk *w, const struct oid *from, const struct oid *to, size_t len)
{
    if (w->levels.n == DEPTH_MOST)
        return -ENAMETOOLONG;
    struct level *l = VEC_ADD(&w->levels);
    *l = (struct level){.len = len};
    int r = side_load(w->repo, from, &l->old);
    return r < 0 ? r : side_load(w->repo, to, &l->new);
}

static void cut_path(struct walk *w, size_t len)
{
    w->path.len = len;
    if (w->path.data)
        w->path.data[len] = 0;
}

static void leave(struct walk *w)
{
    struct level *l = &w->levels.v[--w->levels.n];

    side_done(&l->old);
    side_done(&l->new);
    cut_path(w, l->len);
}

/* Entries of one name, of which one may be NULL, both directories or both not. */
static int take_pair(struct walk *w, const struct tree_entry *old, const struct tree_entry *new)
{
    static const struct oid none;
    const struct tree_entry *one = old ? old : new;
    const struct oid *from = old ? &old->oid : &none, *to = new ? &new->oid : &none;
    size_t len = w->path.len;

    if (old && new && old->kind == new->kind && oid_equal(from, to))
        return 0;
    buf_adds(&w->path, one->name);
    w->bytes += w->path.len;
    if (++w->seen > DIFF_CHANGES_MOST || w->bytes > DIFF_PATHS_MOST)
        return -EFBIG;
    if (one->kind == ENTRY_DIR) {
        buf_addc(&w->path, '/');
        return enter(w, from, to, len);
    }
    struct change c = {.status = status_of(old, new),
                       .path = w->path.data,
                       .old_kind = old ? old->kind : one->kind,
                       .new_kind = new ? new->kind : one->kind,
                       .old_oid = *from,
                       .new_oid = *to};
    int r = w->each(&c, w->arg);
    cut_path(w, len);
    return r;
}

/* Takes the next entry, or leaves the directory. */
static int step(struct walk *w)
{
    struct level *l = &w->levels.v[w->levels.n - 1];
    struct side *a = &l->old, *b = &l->new;

    if (a->at == a->n && b->at == b->n) {
        leave(w);
        return 0;
    }
    int c = a->at == a->n   ? 1
            : b->at == b->n ? -1
                            : tree_entry_compare_git(a->v[a->at], b->v[b->at]);
    const struct tree_entry *old = c <= 0 ? a->v[a->at++] : NULL;
    const struct tree_entry *new = c >= 0 ? b->v[b->at++] : NULL;
    return take_pair(w, old, new);
}

int diff_changes(struct repo *repo, const struct oid *from, const struct oid *to,
                 int (*each)(const struct change *c, void *arg), void *arg)
{
    _cleanup_(walk_done) struct walk w = {.repo = repo, .each = each, .arg = arg};
    int r = oid_equal(from, to) ? 0 : enter(&w, from, to, 0);

    while (r == 0 && w.levels.n)
        r = step(&w);
    return r;
}

/* ---- patches ---- */

/* The least that a patch has of a file, besides its path twice: for one of which only the mode has
 * changed. */
#define PATCH_LEAST 46

/* What a patch will be about. libgit2 compares two trees by walking through all of both, so it is
 * told which paths differ; and one that would be too long is not begun. */
struct plan {
    struct repo *repo;
    const char *under; /* what the paths of changes are below; "" is the root */
    size_t least, limit;
    VEC(char *) paths;
};

static void plan_done(struct plan *p)
{
    vec_foreach (path, &p->paths)
        free(*path);
    free(p->paths.v);
}

/* Lines cost many times their bytes while they are compared. */
static int count_lines(struct repo *repo, const struct oid *oid)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    int r = blob_load(repo, oid, &blob);

    return r < 0 ? r : blob_lines(blob) > BLOB_LINES_MOST ? -EFBIG : 0;
}

static int fits(struct plan *p, enum entry_kind kind, const struct oid *oid)
{
    uint64_t size = 0;
    int r = oid_is_zero(oid) || kind == ENTRY_MODULE ? 0 : blob_size(p->repo, oid, &size);

    if (r < 0)
        return r;
    if (size > DIFF_FILE_MOST)
        return -EFBIG;
    return size > BLOB_LINES_MOST ? count_lines(p->repo, oid) : 0;
}

static int plan_change(const struct change *c, void *arg)
{
    struct plan *p = arg;
    char *path = xasprintf("%s%s%s", p->under, *p->under && *c->path ? "/" : "", c->path);

    *VEC_ADD(&p->paths) = path;
    p->least += 2 * strlen(path) + PATCH_LEAST;
    if (p->paths.n > DIFF_FILES_MOST || p->least > p->limit)
        return -EFBIG;
    int r = fits(p, c->old_kind, &c->old_oid);
    return r < 0 ? r : fits(p, c->new_kind, &c->new_oid);
}

/* What is at `path`; zero if nothing is. */
static int find_at(struct repo *repo, const struct oid *root, const char *path,
                   struct tree_entry *ret)
{
    int r = oid_is_zero(root) ? -ENOENT : tree_walk_path(repo, root, path, &ret->kind, &ret->oid);

    if (r == -ENOENT || r == -ENOTDIR) {
        *ret = (struct tree_entry){0};
        return 0;
    }
    return r;
}

/* A file, a symlink or a submodule; a directory counts as nothing. */
static void keep_file(struct tree_entry *e)
{
    if (e->kind == ENTRY_DIR)
        *e = (struct tree_entry){0};
}

static void keep_directory(struct tree_entry *e)
{
    if (e->kind != ENTRY_DIR)
        *e = (struct tree_entry){0};
}

static int plan_path(struct plan *p, const struct oid *from, const struct oid *to, const char *path)
{
    struct tree_entry old, new;
    int r = find_at(p->repo, from, path, &old);

    if (r == 0)
        r = find_at(p->repo, to, path, &new);
    if (r < 0 || (oid_equal(&old.oid, &new.oid) && old.kind == new.kind))
        return r;
    struct tree_entry a = old, b = new;
    keep_file(&a);
    keep_file(&b);
    p->under = path;
    if (!oid_is_zero(&a.oid) || !oid_is_zero(&b.oid))
        r = plan_change(&(struct change){.path = "",
                                         .old_kind = a.kind,
                                         .new_kind = b.kind,
                                         .old_oid = a.oid,
                                         .new_oid = b.oid},
                        p);
    keep_directory(&old);
    keep_directory(&new);
    return r < 0 ? r : diff_changes(p->repo, &old.oid, &new.oid, plan_change, p);
}

static int make_plan(struct plan *p, const struct oid *from, const struct oid *to,
                     const char *const *paths, size_t npaths)
{
    int r = npaths ? 0 : plan_path(p, from, to, "");

    for (size_t i = 0; r == 0 && i < npaths; i++) {
        _cleanup_free_ char *path = xstrdup(paths[i]);
        for (size_t len = strlen(path); len && path[len - 1] == '/'; len--)
            path[len - 1] = 0;
        r = plan_path(p, from, to, path);
    }
    return r == -ENOENT ? -EIO : r;
}

struct patch {
    struct buf *out;
    size_t limit;
};

static int add_line(const git_diff_delta *delta, const git_diff_hunk *hunk,
                    const git_diff_line *line, void *arg)
{
    struct patch *p = arg;
    bool marked = line->origin == GIT_DIFF_LINE_CONTEXT || line->origin == GIT_DIFF_LINE_ADDITION ||
                  line->origin == GIT_DIFF_LINE_DELETION;

    if (line->content_len + marked > p->limit)
        return -EFBIG;
    p->limit -= line->content_len + marked;
    if (marked)
        buf_addc(p->out, line->origin);
    buf_add(p->out, line->content, line->content_len);
    return 0;
}

static int lookup(struct handle *h, const struct oid *oid, git_tree **ret)
{
    *ret = NULL;
    return oid_is_zero(oid) ? 0 : git_tree_lookup(ret, h->git, oid_git(oid));
}

static int make_diff(struct handle *h, const struct oid *from, const struct oid *to,
                     const struct plan *plan, git_diff **ret)
{
    git_diff_options opts = GIT_DIFF_OPTIONS_INIT;
    git_tree *old = NULL, *new = NULL;
    int code = lookup(h, from, &old);

    if (code == 0)
        code = lookup(h, to, &new);
    opts.flags = GIT_DIFF_DISABLE_PATHSPEC_MATCH | GIT_DIFF_SHOW_BINARY;
    opts.id_abbrev = OID_HEX;
    opts.pathspec.strings = plan->paths.v;
    opts.pathspec.count = plan->paths.n;
    if (code == 0)
        code = git_diff_tree_to_tree(ret, h->git, old, new, &opts);
    git_tree_free(old);
    git_tree_free(new);
    return code;
}

int diff_patch(struct repo *repo, const struct oid *from, const struct oid *to,
               const char *const *paths, size_t npaths, size_t limit, struct buf *out)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    _cleanup_(plan_done) struct plan plan = {.repo = repo, .limit = limit};
    struct patch p = {out, limit};
    git_diff *diff = NULL;
    size_t len = out->len;
    int r = make_plan(&plan, from, to, paths, npaths);

    if (r < 0 || !plan.paths.n)
        return r;
    r = handle_borrow(repo, &h, NULL);
    if (r < 0)
        return r;
    int code = make_diff(h, from, to, &plan, &diff);
    if (code == 0)
        code = git_diff_print(diff, GIT_DIFF_FORMAT_PATCH, add_line, &p);
    git_diff_free(diff);
    if (code == 0)
        return 0;
    if (out->data)
        out->data[out->len = len] = 0;
    if (code == -EFBIG)
        return -EFBIG;
    return giterr_errno(code) == -ENOMEM ? -ENOMEM : -EIO;
}
