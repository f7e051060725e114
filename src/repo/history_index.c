#include "repo/history_index.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "repo/history_build.h"
#include "repo/history_snapshot.h"
#include "repo/history_store.h"

/* A new store begins as much above the one before it as no mainline is ever rewritten. */
#define EPOCH_STEP (1 << 20)

/* The thread alone opens, extends and closes the store. A question takes part in it (`asking`)
 * from its begin to its end; to close it, the thread takes `store` away, so that no new question
 * comes, and waits for those that are under way.
 *
 * Each follow() is numbered (`asked`); an attempt of the thread answers all that were made before
 * it began (`answered`). The first number stands for the opening itself. */
struct history_index {
    struct repo *repo;
    char *dir;
    pthread_t thread;

    pthread_mutex_t lock; /* for moments only; guards: */
    pthread_cond_t changed;
    struct history_store *store; /* NULL: not open */
    unsigned asking;
    uint64_t asked, answered;
    struct oid wanted; /* zero: nothing yet */
    int outcome;       /* of the last attempt */
    uint32_t done, total;
    uint32_t epoch; /* where that of this store begins */
    char problem[256];

    atomic_bool ending;
    atomic_bool damaged; /* a question has found it so */
    atomic_bool newer;   /* there was a follow() since the attempt began */
    atomic_uint count;   /* revisions in the store */
};

/* ---- the thread ---- */

static struct history_store *store_take(struct history_index *ix)
{
    pthread_mutex_lock(&ix->lock);
    struct history_store *store = TAKE(ix->store);
    while (store && ix->asking)
        pthread_cond_wait(&ix->changed, &ix->lock);
    pthread_mutex_unlock(&ix->lock);
    return store;
}

static int store_put(struct history_index *ix, struct history_store *store)
{
    _cleanup_(history_snapshot_endp) struct history_snapshot *s = NULL;
    struct history_line line = {0};
    int r = history_snapshot_begin(store, &s);

    if (r == 0)
        r = history_snapshot_line(s, &line);
    atomic_store(&ix->count, line.count);
    pthread_mutex_lock(&ix->lock);
    ix->store = store;
    ix->done = line.count;
    ix->epoch += line.count ? 0 : EPOCH_STEP;
    pthread_mutex_unlock(&ix->lock);
    return r;
}

/* Opens what is there, and a new one in its place if that is damaged. */
static int store_reopen(struct history_index *ix, bool remove, struct diag *reterr)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct history_store *store;

    history_store_close(store_take(ix));
    int r = remove ? -EUCLEAN : history_store_open(ix->dir, &store, &why);
    if (r == -EUCLEAN) {
        log_warn("history-index-damaged", "remedy=\"it is made anew\" reason=\"%s\"",
                 remove ? "a question or a change met damage" : diag_text(&why, r));
        r = history_store_remove(ix->dir, reterr);
        if (r == 0)
            r = history_store_open(ix->dir, &store, reterr);
    } else if (r < 0) {
        diag_fail(reterr, r, "%s", diag_text(&why, r));
    }
    return r < 0 ? r : store_put(ix, store);
}

static bool should_stop(void *arg)
{
    struct history_index *ix = arg;

    return atomic_load(&ix->ending) || atomic_load(&ix->damaged);
}

/* A newer head is turned to after a batch, not at once: however often it moves, something is done
 * for each. */
static bool note_progress(void *arg, uint32_t done, uint32_t total)
{
    struct history_index *ix = arg;

    atomic_store(&ix->count, done);
    pthread_mutex_lock(&ix->lock);
    ix->done = done;
    ix->total = total;
    pthread_mutex_unlock(&ix->lock);
    return !atomic_load(&ix->newer);
}

static int bring_to(struct history_index *ix, const struct oid *head, struct diag *reterr)
{
    struct history_build b = {.repo = ix->repo,
                              .store = ix->store,
                              .stop = should_stop,
                              .progress = note_progress,
                              .arg = ix};
    uint32_t before = ix->done;
    int64_t start = clock_mono();
    int r = oid_is_zero(head) ? 0 : history_build(&b, head, reterr);

    if (clock_mono() - start > NS_PER_SEC)
        log_info("history-index", "revisions=%u of=%u added=%u ms=%lld", ix->done, ix->total,
                 ix->done > before ? ix->done - before : 0,
                 (long long)((clock_mono() - start) / NS_PER_MS));
    return r;
}

/* One attempt: opens the store if it must be, and extends it. Damage that is met on the way is
 * mended once. */
static int attempt(struct history_index *ix, const struct oid *head, struct diag *reterr)
{
    int r = 0;

    for (int remedies = 0; remedies < 2; remedies++) {
        bool damaged = atomic_exchange(&ix->damaged, false) || r == -EUCLEAN;
        if (!ix->store || damaged || r == -ESTALE)
            r = store_reopen(ix, damaged, reterr);
        if (r == 0)
            r = bring_to(ix, head, reterr);
        if (r != -EUCLEAN && r != -ESTALE && !(r == -ECANCELED && atomic_load(&ix->damaged)))
            break;
    }
    if (r < 0 && !reterr->text)
        diag_fail(reterr, r, "%s: %s", ix->dir, strerror(-r));
    return r;
}

/* Under `lock`. Says a problem once, as long as it stays the same. */
static void note_outcome(struct history_index *ix, int r, const struct diag *why)
{
    char problem[sizeof(ix->problem)] = "";

    if (r < 0)
        snprintf(problem, sizeof(problem), "%s", diag_text(why, r));
    if (r < 0 && strcmp(problem, ix->problem))
        log_error("history-index", "reason=\"%s\"", problem);
    memcpy(ix->problem, problem, sizeof(problem));
    ix->outcome = r;
}

static void *run(void *arg)
{
    struct history_index *ix = arg;

    pthread_setname_np(pthread_self(), "history");
    pthread_mutex_lock(&ix->lock);
    while (!atomic_load(&ix->ending)) {
        if (ix->answered == ix->asked) {
            pthread_cond_wait(&ix->changed, &ix->lock);
            continue;
        }
        _cleanup_(diag_done) struct diag why = {0};
        uint64_t answers = ix->asked;
        struct oid head = ix->wanted;
        atomic_store(&ix->newer, false);
        pthread_mutex_unlock(&ix->lock);
        int r = attempt(ix, &head, &why);
        pthread_mutex_lock(&ix->lock);
        if (r == -ECANCELED)
            continue;
        note_outcome(ix, r, &why);
        ix->answered = answers;
        pthread_cond_broadcast(&ix->changed);
    }
    pthread_mutex_unlock(&ix->lock);
    return NULL;
}

/* ---- beginning, following, ending ---- */

int history_index_open(struct repo *repo, const char *dir, struct history_index **ret,
                       struct diag *reterr)
{
    int r = io_make_dirs(AT_FDCWD, dir, 0700);

    if (r < 0)
        return diag_fail(reterr, r, "cannot make %s: %s", dir, strerror(-r));
    struct history_index *ix = NEW(struct history_index);
    ix->repo = repo;
    ix->dir = xstrdup(dir);
    ix->asked = 1;
    pthread_mutex_init(&ix->lock, NULL);
    clock_cond_init(&ix->changed);
    r = -pthread_create(&ix->thread, NULL, run, ix);
    if (r < 0) {
        atomic_store(&ix->ending, true);
        ix->thread = pthread_self();
        history_index_free(ix);
        return diag_fail(reterr, r, "cannot start a thread: %s", strerror(-r));
    }
    *ret = ix;
    return 0;
}

void history_index_free(struct history_index *ix)
{
    if (!ix)
        return;
    pthread_mutex_lock(&ix->lock);
    atomic_store(&ix->ending, true);
    pthread_cond_broadcast(&ix->changed);
    pthread_mutex_unlock(&ix->lock);
    if (!pthread_equal(ix->thread, pthread_self()))
        pthread_join(ix->thread, NULL);
    history_store_close(ix->store);
    pthread_mutex_destroy(&ix->lock);
    pthread_cond_destroy(&ix->changed);
    free(ix->dir);
    free(ix);
}

void history_index_follow(struct history_index *ix, const struct oid *head)
{
    pthread_mutex_lock(&ix->lock);
    /* A commit that is told of twice, by its maker and by the watch, is looked at once. */
    if (!oid_equal(&ix->wanted, head) || ix->outcome < 0) {
        ix->wanted = *head;
        ix->asked++;
        atomic_store(&ix->newer, true);
        pthread_cond_broadcast(&ix->changed);
    }
    pthread_mutex_unlock(&ix->lock);
}

int history_index_wait(struct history_index *ix, int64_t timeout)
{
    struct timespec until = clock_timespec(clock_mono() + timeout);
    int r = 0;

    pthread_mutex_lock(&ix->lock);
    uint64_t asked = ix->asked;
    while (r == 0 && ix->answered < asked)
        r = timeout ? -pthread_cond_timedwait(&ix->changed, &ix->lock, &until) : -EAGAIN;
    if (r == 0)
        r = ix->outcome;
    pthread_mutex_unlock(&ix->lock);
    return r == -ETIMEDOUT ? -EAGAIN : r;
}

void history_index_progress(struct history_index *ix, struct history_progress *ret)
{
    pthread_mutex_lock(&ix->lock);
    *ret = (struct history_progress){
        .done = ix->done,
        .total = ix->total,
        .current = ix->answered == ix->asked && ix->outcome == 0,
    };
    memcpy(ret->problem, ix->problem, sizeof(ret->problem));
    pthread_mutex_unlock(&ix->lock);
}

/* ---- questions ---- */

static void leave(struct history_index *ix)
{
    pthread_mutex_lock(&ix->lock);
    if (--ix->asking == 0 && !ix->store)
        pthread_cond_broadcast(&ix->changed);
    pthread_mutex_unlock(&ix->lock);
}

static int ask(struct history_index *ix, struct history_snapshot **ret)
{
    int r = -EAGAIN;

    pthread_mutex_lock(&ix->lock);
    struct history_store *store = atomic_load(&ix->count) ? ix->store : NULL;
    ix->asking += !!store;
    pthread_mutex_unlock(&ix->lock);
    if (!store)
        return r;
    r = history_snapshot_begin(store, ret);
    if (r < 0)
        leave(ix);
    return r;
}

/* Ends a question, whose result is passed through. */
static int answer(struct history_index *ix, struct history_snapshot *s, int r)
{
    history_snapshot_end(s);
    leave(ix);
    if (r != -EUCLEAN)
        return r;
    pthread_mutex_lock(&ix->lock);
    if (!atomic_exchange(&ix->damaged, true))
        ix->asked++;
    pthread_cond_broadcast(&ix->changed);
    pthread_mutex_unlock(&ix->lock);
    return -EIO;
}

static uint32_t first_epoch(struct history_index *ix)
{
    pthread_mutex_lock(&ix->lock);
    uint32_t epoch = ix->epoch;
    pthread_mutex_unlock(&ix->lock);
    return epoch;
}

/* Asks a function of history_snapshot.h and returns its result. */
#define ASK(ix, question, ...)                                                                     \
    ({                                                                                             \
        struct history_snapshot *snapshot_;                                                        \
        int r_ = ask(ix, &snapshot_);                                                              \
        r_ < 0 ? r_ : answer(ix, snapshot_, question(snapshot_, __VA_ARGS__));                     \
    })

static int read_epoch(struct history_snapshot *s, uint32_t *ret)
{
    struct history_line line;
    int r = history_snapshot_line(s, &line);

    if (r == 0)
        *ret = line.epoch;
    return r;
}

/* What the store counts is read like all else, so it belongs to what is read before and after. */
uint32_t history_index_epoch(struct history_index *ix)
{
    uint32_t before, after, own;

    do {
        own = 0;
        before = first_epoch(ix);
        ASK(ix, read_epoch, &own);
        after = first_epoch(ix);
    } while (before != after);
    return before + own;
}

static int count_revisions(struct history_snapshot *s, uint32_t *ret)
{
    struct history_line line;
    int r = history_snapshot_line(s, &line);

    if (r == 0)
        *ret = line.count;
    return r;
}

int history_index_count(struct history_index *ix, uint32_t *ret)
{
    return ASK(ix, count_revisions, ret);
}

int history_index_at(struct history_index *ix, uint32_t pos, struct history_revision *ret)
{
    return ASK(ix, history_snapshot_at, pos, ret);
}

/* The revision at a position that another question of the same snapshot has found. */
static int revision_found(struct history_snapshot *s, int r, uint32_t pos,
                          struct history_revision *ret)
{
    if (r == 0)
        r = history_snapshot_at(s, pos, ret);
    return r;
}

static int find_revision(struct history_snapshot *s, const struct oid *rev,
                         struct history_revision *ret)
{
    uint32_t pos = 0;
    int r = history_snapshot_find(s, rev, &pos);

    return revision_found(s, r, pos, ret);
}

static int find_abbrev(struct history_snapshot *s, const char *hex, struct history_revision *ret)
{
    uint32_t pos = 0;
    int r = history_snapshot_find_abbrev(s, hex, &pos);

    return revision_found(s, r, pos, ret);
}

static int find_at_time(struct history_snapshot *s, int64_t time, struct history_revision *ret)
{
    uint32_t pos = 0;
    int r = history_snapshot_at_time(s, time, &pos);

    return revision_found(s, r, pos, ret);
}

int history_index_find(struct history_index *ix, const struct oid *rev,
                       struct history_revision *ret)
{
    return ASK(ix, find_revision, rev, ret);
}

int history_index_find_abbrev(struct history_index *ix, const char *hex,
                              struct history_revision *ret)
{
    return ASK(ix, find_abbrev, hex, ret);
}

int history_index_at_time(struct history_index *ix, int64_t time, struct history_revision *ret)
{
    return ASK(ix, find_at_time, time, ret);
}

int history_index_revisions(struct history_index *ix, uint32_t pos,
                            int (*each)(const struct history_revision *rev, void *arg), void *arg)
{
    return ASK(ix, history_snapshot_revisions, pos, each, arg);
}

int history_index_child(struct history_index *ix, path_id dir, const char *name, path_id *ret)
{
    return ASK(ix, history_snapshot_child, dir, name, ret);
}

static int find_path(struct history_snapshot *s, const char *path, path_id *ret)
{
    char name[NAME_MOST + 1];
    path_id id = PATH_ROOT;
    int r = 0;

    while (r == 0 && *(path += strspn(path, "/"))) {
        size_t len = strcspn(path, "/");
        if (len > NAME_MOST)
            return -ENOENT;
        memcpy(name, path, len);
        name[len] = 0;
        path += len;
        r = history_snapshot_child(s, id, name, &id);
    }
    if (r == 0)
        *ret = id;
    return r;
}

int history_index_path(struct history_index *ix, const char *path, path_id *ret)
{
    return ASK(ix, find_path, path, ret);
}

int history_index_children(struct history_index *ix, path_id dir, path_id after,
                           int (*each)(path_id id, const char *name, void *arg), void *arg)
{
    return ASK(ix, history_snapshot_children, dir, after, each, arg);
}

int history_index_last_change(struct history_index *ix, path_id path, uint32_t pos,
                              struct history_change *ret)
{
    return ASK(ix, history_snapshot_last_change, path, pos, ret);
}

int history_index_changes(struct history_index *ix, path_id path, uint32_t pos,
                          int (*each)(const struct history_change *change, void *arg), void *arg)
{
    return ASK(ix, history_snapshot_changes, path, pos, each, arg);
}

int history_index_changes_back(struct history_index *ix, path_id path, uint32_t pos,
                               int (*each)(const struct history_change *change, void *arg),
                               void *arg)
{
    return ASK(ix, history_snapshot_changes_back, path, pos, each, arg);
}
