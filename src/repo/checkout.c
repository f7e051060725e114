#include "repo/checkout.h"

#include <errno.h>
#include <git2.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/odb.h"

#define PATHS_SHOWN 5

struct checkouts {
    VEC(git_repository *);
};

void checkouts_free(struct checkouts *c)
{
    if (!c)
        return;
    vec_foreach (git, c)
        git_repository_free(*git);
    free(c->v);
    free(c);
}

/* Work trees of `repo` with `ref` checked out. */
struct search {
    struct repo *repo;
    const char *ref;
    struct checkouts *found;
};

static bool has_checked_out(git_repository *git, const char *ref)
{
    git_reference *head = NULL;

    if (git_repository_is_bare(git) || git_reference_lookup(&head, git, "HEAD") < 0)
        return false;
    const char *target = git_reference_symbolic_target(head);
    bool yes = target && !strcmp(target, ref);
    git_reference_free(head);
    return yes;
}

/* Takes `git` over. */
static void consider(struct search *s, git_repository *git)
{
    if (has_checked_out(git, s->ref) && odb_give(s->repo, git) == 0)
        *VEC_ADD(s->found) = git;
    else
        git_repository_free(git);
}

static void consider_linked(struct search *s, git_repository *main, const char *name)
{
    git_worktree *tree = NULL;
    git_repository *git = NULL;

    if (git_worktree_lookup(&tree, main, name) == 0 && git_worktree_validate(tree) == 0 &&
        git_repository_open_from_worktree(&git, tree) == 0)
        consider(s, git);
    git_worktree_free(tree);
}

int checkouts_find(struct repo *repo, const char *ref, struct checkouts **ret, struct diag *reterr)
{
    _cleanup_(checkouts_freep) struct checkouts *c = NEW(struct checkouts);
    struct search s = {repo, ref, c};
    git_repository *main = NULL;
    git_strarray names = {0};
    int code =
        git_repository_open_ext(&main, repo->common_dir, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);

    if (code < 0)
        return giterr_fail(code, reterr, "cannot open %s", repo->common_dir);
    if (git_worktree_list(&names, main) == 0)
        for (size_t i = 0; i < names.count; i++)
            consider_linked(&s, main, names.strings[i]);
    git_strarray_dispose(&names);
    consider(&s, main);
    *ret = c->n ? TAKE(c) : NULL;
    return 0;
}

/* Paths in the way, for the reason. */
struct in_the_way {
    struct buf paths;
    size_t n;
};

static int note_conflict(git_checkout_notify_t why, const char *path, const git_diff_file *baseline,
                         const git_diff_file *target, const git_diff_file *workdir, void *arg)
{
    struct in_the_way *w = arg;

    if (w->n++ < PATHS_SHOWN) {
        if (w->paths.len)
            buf_adds(&w->paths, ", ");
        buf_add_escaped(&w->paths, path);
    }
    return 0;
}

/* The tree of the commit `oid`, NULL for zero. */
static int commit_tree(git_repository *git, const struct oid *oid, git_tree **ret)
{
    git_commit *commit = NULL;

    *ret = NULL;
    if (oid_is_zero(oid))
        return 0;
    int code = git_commit_lookup(&commit, git, oid_git(oid));
    if (code == 0)
        code = git_commit_tree(ret, commit);
    git_commit_free(commit);
    return code;
}

/* `strategy` is dry or real; the code is libgit2's. */
static int check_out(git_repository *git, const struct oid *from, const struct oid *to,
                     unsigned strategy, struct in_the_way *w)
{
    git_checkout_options opts = GIT_CHECKOUT_OPTIONS_INIT;
    git_tree *old = NULL, *new = NULL;
    git_index *none = NULL;
    int code = commit_tree(git, from, &old);

    if (code == 0)
        code = commit_tree(git, to, &new);
    if (code == 0 && !old)
        code = git_index_new(&none);
    opts.checkout_strategy = strategy;
    opts.baseline = old;
    opts.baseline_index = none;
    opts.notify_flags = GIT_CHECKOUT_NOTIFY_CONFLICT;
    opts.notify_cb = note_conflict;
    opts.notify_payload = w;
    if (code == 0)
        code = git_checkout_tree(git, (git_object *)new, &opts);
    git_index_free(none);
    git_tree_free(old);
    git_tree_free(new);
    return code;
}

static int try_one(git_repository *git, const struct oid *from, const struct oid *to,
                   struct diag *reterr)
{
    struct in_the_way w = {0};
    struct stat st;
    const char *top = git_repository_workdir(git);
    _cleanup_free_ char *lock = xasprintf("%sindex.lock", git_repository_path(git));

    if (stat(lock, &st) == 0)
        return diag_fail(reterr, -EBUSY, "a git program is at work in %s; if not: rm %s", top,
                         lock);
    int code = check_out(git, from, to, GIT_CHECKOUT_SAFE | GIT_CHECKOUT_DRY_RUN, &w);
    _cleanup_(buf_done) struct buf paths = w.paths;
    if (code == GIT_ECONFLICT || w.n)
        return diag_fail(reterr, -EBUSY,
                         "the work tree %s has local changes that are in the way: %s%s; put them "
                         "away with `git stash -u` or discard them there",
                         top, buf_str(&paths), w.n > PATHS_SHOWN ? ", …" : "");
    return code < 0 ? giterr_fail(code, reterr, "cannot update the work tree %s", top) : 0;
}

int checkouts_try(struct checkouts *c, const struct oid *from, const struct oid *to,
                  struct diag *reterr)
{
    int r = 0;

    for (size_t i = 0; c && i < c->n && r == 0; i++)
        r = try_one(c->v[i], from, to, reterr);
    return r;
}

void checkouts_follow(struct checkouts *c, const struct oid *from, const struct oid *to)
{
    if (!c)
        return;
    vec_foreach (git, c) {
        struct in_the_way w = {0};
        if (check_out(*git, from, to, GIT_CHECKOUT_SAFE, &w) < 0)
            log_warn("work-tree-behind", "path=\"%s\" reason=\"%s\"", git_repository_workdir(*git),
                     giterr_text());
        buf_done(&w.paths);
    }
}
