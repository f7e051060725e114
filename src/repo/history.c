#include "repo/history.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "repo/oidset.h"
#include "repo/revision.h"

/* Commits to look at, newest first, and what is known of each: reached from `new`, from `old`, or
 * both. A commit that both reach has nothing more to tell; when only such are left, the walk is
 * over. No commit on a path from `new` to `old` can be reached from `old`, so wrong clocks cost
 * time only. */
struct walk {
    struct repo *repo;
    VEC(struct step {
        struct oid oid;
        int64_t time;
    });
    struct oidset from_new, from_old;
    bool shallow;
};

static void walk_done(struct walk *w)
{
    free(w->v);
    oidset_done(&w->from_new);
    oidset_done(&w->from_old);
}

/* The list of commits whose parents were left out is a file that exists only in a shallow clone. */
static bool is_shallow(const struct repo *repo)
{
    _cleanup_free_ char *path = xasprintf("%s/shallow", repo_common_dir(repo));
    struct stat st;

    return stat(path, &st) == 0 && st.st_size > 0;
}

/* A parent that is missing is where a shallow clone ends, and damage anywhere else. */
static int missing_parent(const struct repo *repo)
{
    return is_shallow(repo) ? 0 : -EIO;
}

static void sift_up(struct walk *w, size_t at)
{
    while (at && w->v[(at - 1) / 2].time < w->v[at].time) {
        struct step t = w->v[at];
        w->v[at] = w->v[(at - 1) / 2];
        at = (at - 1) / 2;
        w->v[at] = t;
    }
}

static struct step pop(struct walk *w)
{
    struct step top = w->v[0], last = w->v[--w->n];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < w->n) {
        if (child + 1 < w->n && w->v[child + 1].time > w->v[child].time)
            child++;
        if (w->v[child].time <= last.time)
            break;
        w->v[at] = w->v[child];
        at = child;
    }
    w->v[at] = last;
    return top;
}

/* Marks and queues it if a mark is new to it. */
static int reach(struct walk *w, const struct oid *oid, bool by_new, bool by_old)
{
    struct revision_brief brief;
    bool news = by_new && oidset_add(&w->from_new, oid);

    news |= by_old && oidset_add(&w->from_old, oid);
    if (!news)
        return 0;
    int r = revision_brief(w->repo, oid, &brief);
    if (r == -ENOENT)
        return missing_parent(w->repo);
    if (r < 0)
        return r;
    struct step *s = VEC_ADD(w);
    s->oid = *oid;
    s->time = brief.time;
    sift_up(w, w->n - 1);
    return 0;
}

static bool is_open(const struct walk *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (!oidset_has(&w->from_old, &w->v[i].oid))
            return true;
    return false;
}

static int walk_step(struct walk *w)
{
    _cleanup_(revision_freep) struct revision *rev = NULL;
    struct step s = pop(w);
    bool by_new = oidset_has(&w->from_new, &s.oid), by_old = oidset_has(&w->from_old, &s.oid);
    int r = revision_load(w->repo, &s.oid, &rev);

    for (size_t i = 0; r == 0 && i < rev->nparents; i++)
        r = reach(w, &rev->parents[i], by_new, by_old);
    return r;
}

int history_is_ancestor(struct repo *repo, const struct oid *old, const struct oid *new)
{
    _cleanup_(walk_done) struct walk w = {.repo = repo};
    struct revision_brief brief;
    int r = revision_brief(repo, old, &brief);

    if (r == 0)
        r = revision_brief(repo, new, &brief);
    if (r == 0)
        r = reach(&w, new, true, false);
    /* The usual answer lies a step or two back: `old` is walked from only when it does not. */
    for (int near = 0; r == 0 && near < 2 && w.n && !oidset_has(&w.from_new, old); near++)
        r = walk_step(&w);
    if (r == 0 && !oidset_has(&w.from_new, old))
        r = reach(&w, old, false, true);
    while (r == 0 && !oidset_has(&w.from_new, old) && is_open(&w))
        r = walk_step(&w);
    return r < 0 ? r : oidset_has(&w.from_new, old);
}

struct distance {
    const struct oid *old;
    int steps, most;
};

static int count_step(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    struct distance *d = arg;

    if (oid_equal(rev, d->old))
        return 1;
    return ++d->steps > d->most ? -ENOENT : 0;
}

int history_distance(struct repo *repo, const struct oid *tip, const struct oid *old, int most)
{
    struct distance d = {.old = old, .most = most};
    int r = history_first_parents(repo, tip, count_step, &d);

    if (r < 0)
        return r;
    return r == 1 ? d.steps : -ENOENT;
}

int history_first_parents(struct repo *repo, const struct oid *tip,
                          int (*each)(const struct oid *rev, const struct oid *tree, int64_t time,
                                      void *arg),
                          void *arg)
{
    struct revision_brief brief;
    struct oid at = *tip;
    int r = revision_brief(repo, &at, &brief);

    while (r == 0) {
        r = each(&at, &brief.tree, brief.time, arg);
        if (r || oid_is_zero(&brief.parent))
            return r;
        at = brief.parent;
        r = revision_brief(repo, &at, &brief);
        if (r == -ENOENT)
            return missing_parent(repo);
    }
    return r;
}
