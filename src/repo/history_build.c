#include "repo/history_build.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "repo/history.h"
#include "repo/history_batch.h"
#include "repo/history_scan.h"
#include "repo/history_snapshot.h"

/* A batch ends with the first of these that it reaches. The first bounds memory: a change waits in
 * 40 bytes, and may need a page of 4 KiB in the end. Larger ones are not faster. */
#define BATCH_CHANGES   (16 << 10)
#define BATCH_REVISIONS (16 << 10)
#define BATCH_TIME      NS_PER_SEC
/* Ten times the files of Linux; less than the trees of a few KB that claim billions. */
#define REVISION_CHANGES (1 << 20)

struct step {
    struct oid oid, tree;
    int64_t time;
};

struct work {
    const struct history_build *b;
    VEC(struct step) steps; /* to be added; newest first, taken from the end */
    struct history_line line;
    uint32_t keep;    /* how many of the revisions in the store stay */
    struct oid *base; /* root tree of the last one, NULL: none */
    struct oid base_tree;

    struct history_snapshot *snapshot; /* while steps are looked for */
    struct history_batch *batch;
    size_t before; /* changes in the batch before this revision */
    int64_t until;
};

static void work_done(struct work *w)
{
    if (w->snapshot)
        history_snapshot_end(w->snapshot);
    history_batch_abort(w->batch);
    free(w->steps.v);
}

/* ---- what there is to do ---- */

static int add_step(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    struct work *w = arg;
    uint32_t pos;
    int r = history_snapshot_find(w->snapshot, rev, &pos);

    if (r == 0)
        w->keep = pos + 1;
    if (r != -ENOENT)
        return r == 0 ? 1 : r;
    if (w->b->stop(w->b->arg))
        return -ECANCELED;
    *VEC_ADD(&w->steps) = (struct step){*rev, *tree, time};
    return 0;
}

/* The tree of the last revision that stays is what the root became when it last changed. */
static int find_base(struct work *w)
{
    struct history_change change;

    if (!w->keep)
        return 0;
    int r = history_snapshot_last_change(w->snapshot, PATH_ROOT, w->keep - 1, &change);
    if (r < 0)
        return r == -ENOENT ? -EUCLEAN : r;
    w->base_tree = change.oid;
    w->base = &w->base_tree;
    return 0;
}

static int plan(struct work *w, const struct oid *head, struct diag *reterr)
{
    char hex[OID_HEX + 1];
    int r = history_snapshot_begin(w->b->store, &w->snapshot);

    if (r == 0)
        r = history_snapshot_line(w->snapshot, &w->line);
    if (r < 0)
        return r;
    r = history_first_parents(w->b->repo, head, add_step, w);
    if (r < 0 && r != -ECANCELED && r != -EUCLEAN)
        return diag_fail(reterr, r, "history behind revision %s cannot be read: %s",
                         oid_hex(head, hex), strerror(-r));
    if (r >= 0)
        r = find_base(w);
    history_snapshot_end(TAKE(w->snapshot));
    return r;
}

/* ---- doing it ---- */

static int take_path(void *arg, path_id dir, const char *name, path_id *ret)
{
    struct work *w = arg;

    return history_batch_path(w->batch, dir, name, ret);
}

static int take_change(void *arg, path_id path, const struct history_change *change)
{
    struct work *w = arg;

    history_batch_change(w->batch, path, change);
    if (history_batch_size(w->batch) - w->before > REVISION_CHANGES)
        return -E2BIG;
    return w->b->stop(w->b->arg) ? -ECANCELED : 0;
}

static int add_revision(struct work *w, struct diag *reterr)
{
    const struct scan_sink sink = {.path = take_path, .change = take_change, .arg = w};
    const struct step *s = &w->steps.v[w->steps.n - 1];
    char hex[OID_HEX + 1];

    w->before = history_batch_size(w->batch);
    int r = history_scan(w->b->repo, w->base, &s->tree, &sink);
    if (r == 0)
        r = history_batch_revision(w->batch, &s->oid, s->time);
    if (r == -E2BIG)
        return diag_fail(reterr, r, "revision %s changes more than %d paths", oid_hex(&s->oid, hex),
                         REVISION_CHANGES);
    if (r < 0)
        return diag_fail(reterr, r, "revision %s cannot be taken in: %s", oid_hex(&s->oid, hex),
                         strerror(-r));
    w->base_tree = s->tree;
    w->base = &w->base_tree;
    w->steps.n--;
    return 0;
}

static bool batch_full(const struct work *w, uint32_t first)
{
    uint32_t most = w->b->batch ? w->b->batch : BATCH_REVISIONS;

    return history_batch_size(w->batch) >= BATCH_CHANGES || clock_mono() >= w->until ||
           history_batch_line(w->batch)->count - first >= most;
}

/* When a revision cannot be taken in, those before it are kept. */
static int end_batch(struct work *w, int r)
{
    int e = r < 0 ? history_batch_undo(w->batch) : 0;

    w->line = *history_batch_line(w->batch);
    if (e == 0 && r != -EUCLEAN && r != -ESTALE)
        e = history_batch_commit(TAKE(w->batch));
    return e < 0 ? e : r;
}

static int run_batch(struct work *w, struct diag *reterr)
{
    int r = history_batch_begin(w->b->store, &w->batch);

    w->until = clock_mono() + BATCH_TIME;
    if (r == 0 && w->line.count > w->keep)
        r = history_batch_cut(w->batch, w->keep);
    if (r < 0)
        return r;
    uint32_t first = history_batch_line(w->batch)->count;
    while (r == 0 && w->steps.n && !batch_full(w, first))
        r = w->b->stop(w->b->arg) ? -ECANCELED : add_revision(w, reterr);
    r = end_batch(w, r);
    w->keep = w->line.count;
    bool more = w->b->progress(w->b->arg, w->line.count, w->line.count + w->steps.n);
    return r == 0 && !more && w->steps.n ? -ECANCELED : r;
}

int history_build(const struct history_build *b, const struct oid *head, struct diag *reterr)
{
    _cleanup_(work_done) struct work w = {.b = b};
    int r = plan(&w, head, reterr);

    if (r == 0)
        b->progress(b->arg, w.line.count, w.keep + w.steps.n);
    while (r == 0 && (w.steps.n || w.line.count > w.keep))
        r = run_batch(&w, reterr);
    return r;
}
