#include <errno.h>

#include "base/clock.h"
#include "repo/history.h"
#include "view/context.h"

/* How the views ask the history index: for the mainline as it is now, and for the place of a
 * revision on it. */

/* First parents of a revision beside the mainline that are looked at. */
#define BESIDE_MOST 4096

static bool holds_head(struct view *v, const struct oid *head)
{
    struct history_index *ix = v->config.history;
    struct history_revision newest;
    uint32_t n;

    return history_index_count(ix, &n) == 0 && n > 0 && history_index_at(ix, n - 1, &newest) == 0 &&
           oid_equal(&newest.oid, head);
}

/* The refs are read before the index is told of them. Who looks in between must not be given an
 * older list under the newer time of the refs, because the kernel would keep it. */
int view_index_wait(struct view *v, int64_t timeout)
{
    int64_t end = clock_mono() + timeout;
    struct oid head;

    if (!v->config.history)
        return -ENOENT;
    for (;;) {
        int r = mainline_head(v->config.mainline, &head);
        int64_t left = end - clock_mono();
        if (r == 0)
            r = history_index_wait(v->config.history, left > 0 ? left : 0);
        if (r < 0 || holds_head(v, &head))
            return r;
        if (left <= 0)
            return -EAGAIN;
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    }
}

struct beside {
    struct history_index *index;
    int steps;
    struct history_revision found;
};

static int look_beside(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    struct beside *b = arg;

    if (history_index_find(b->index, rev, &b->found) == 0)
        return 1;
    return ++b->steps < BESIDE_MOST ? 0 : -ENOENT;
}

int view_anchor(struct view *v, const struct oid *revision, int64_t timeout, uint32_t *ret)
{
    struct beside b = {.index = v->config.history};

    if (!v->config.history)
        return -ENOENT;
    int r = history_index_find(b.index, revision, &b.found);
    if (r == -ENOENT || r == -EAGAIN) {
        r = view_index_wait(v, timeout);
        if (r == 0)
            r = history_first_parents(v->config.repo, revision, look_beside, &b);
        if (r == 0)
            return -ENOENT;
    }
    if (r < 0)
        return r;
    *ret = b.found.pos;
    return 0;
}
