#include "repo/diff.h"

#include <errno.h>
#include <git2.h>

#include "base/alloc.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/object_write.h"

/* No filesystem could show a path that is deeper: names and slashes make 4096 bytes. */
#define DEPTH_MOST 2048

struct walk {
    struct repo *repo;
    int (*each)(const struct change *c, void *arg);
    void *arg;
    struct buf path;
    int depth;
};

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

static int walk_trees(struct walk *w, const struct oid *from, const struct oid *to);

/* Entries of one name, of which one may be NULL, both directories or both not. */
static int walk_pair(struct walk *w, const struct tree_entry *old, const struct tree_entry *new)
{
    static const struct oid none;
    const struct tree_entry *one = old ? old : new;
    const struct oid *from = old ? &old->oid : &none, *to = new ? &new->oid : &none;
    size_t len = w->path.len;
    int r;

    if (old && new && old->kind == new->kind && oid_equal(from, to))
        return 0;
    buf_adds(&w->path, one->name);
    if (one->kind == ENTRY_DIR) {
        buf_addc(&w->path, '/');
        r = walk_trees(w, from, to);
    } else {
        struct change c = {.status = status_of(old, new),
                           .path = w->path.data,
                           .old_kind = old ? old->kind : one->kind,
                           .new_kind = new ? new->kind : one->kind,
                           .old_oid = *from,
                           .new_oid = *to};
        r = w->each(&c, w->arg);
    }
    w->path.len = len;
    w->path.data[len] = 0;
    return r;
}

static int walk_trees(struct walk *w, const struct oid *from, const struct oid *to)
{
    _cleanup_(side_done) struct side a = {0}, b = {0};
    int r = w->depth++ < DEPTH_MOST ? side_load(w->repo, from, &a) : -ENAMETOOLONG;

    if (r == 0)
        r = side_load(w->repo, to, &b);
    while (r == 0 && (a.at < a.n || b.at < b.n)) {
        int c = a.at == a.n ? 1 : b.at == b.n ? -1 : tree_entry_compare_git(a.v[a.at], b.v[b.at]);
        const struct tree_entry *old = c <= 0 ? a.v[a.at++] : NULL;
        const struct tree_entry *new = c >= 0 ? b.v[b.at++] : NULL;
        r = walk_pair(w, old, new);
    }
    w->depth--;
    return r;
}

int diff_changes(struct repo *repo, const struct oid *from, const struct oid *to,
                 int (*each)(const struct change *c, void *arg), void *arg)
{
    struct walk w = {.repo = repo, .each = each, .arg = arg};
    int r = oid_equal(from, to) ? 0 : walk_trees(&w, from, to);

    buf_done(&w.path);
    return r;
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
                     const char *const *paths, size_t npaths, git_diff **ret)
{
    git_diff_options opts = GIT_DIFF_OPTIONS_INIT;
    git_tree *old = NULL, *new = NULL;
    int code = lookup(h, from, &old);

    if (code == 0)
        code = lookup(h, to, &new);
    opts.flags = GIT_DIFF_DISABLE_PATHSPEC_MATCH | GIT_DIFF_SHOW_BINARY;
    opts.id_abbrev = OID_HEX;
    opts.pathspec.strings = (char **)paths;
    opts.pathspec.count = npaths;
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
    struct patch p = {out, limit};
    git_diff *diff = NULL;
    size_t len = out->len;
    int r = handle_borrow(repo, &h, NULL);

    if (r < 0)
        return r;
    int code = make_diff(h, from, to, paths, npaths, &diff);
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
