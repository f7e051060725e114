#include "stage/autocommit.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "stage/commit.h"

#define THREADS 4 /* commits at once, without those that wait for commands */

struct autocommit {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool ending, ended;
    struct {
        VEC(struct workspace *);
    } armed; /* each once, referenced; ws->armed is set */
    struct pool *pool;
};

/* When the workspace is due; negative: never. */
static int64_t due(struct workspace *ws)
{
    int64_t after = ws->autocommit, at;

    if (ws->ended || after == 0)
        return -1;
    return __builtin_add_overflow(ws->changed_at, after, &at) ? INT64_MAX : at;
}

static void run(void *arg)
{
    struct workspace *ws = arg;

    commit_by_itself(ws);
    workspace_unref(ws);
}

/* Takes the workspaces out of the list whose time has come, and says when the next one's will (0:
 * there is none). From here on a write arms it anew. */
static int64_t start_due(struct autocommit *a)
{
    int64_t now = clock_mono(), next = 0;

    for (size_t i = 0; i < a->armed.n;) {
        struct workspace *ws = a->armed.v[i];
        int64_t at = due(ws);
        if (at > now) {
            next = next == 0 || at < next ? at : next;
            i++;
            continue;
        }
        a->armed.v[i] = a->armed.v[--a->armed.n];
        ws->armed = false;
        if (at < 0)
            workspace_unref(ws);
        else
            pool_submit(a->pool, run, ws);
    }
    return next;
}

static void *wait_for_due(void *arg)
{
    struct autocommit *a = arg;

    pthread_mutex_lock(&a->lock);
    while (!a->ending) {
        int64_t next = start_due(a);
        struct timespec at = clock_timespec(next);
        if (next)
            pthread_cond_timedwait(&a->changed, &a->lock, &at);
        else
            pthread_cond_wait(&a->changed, &a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

int autocommit_new(struct autocommit **ret)
{
    struct autocommit *a = NEW(struct autocommit);

    pthread_mutex_init(&a->lock, NULL);
    clock_cond_init(&a->changed);
    a->pool = pool_new("autocommit", THREADS);
    int r = -pthread_create(&a->thread, NULL, wait_for_due, a);
    if (r < 0) {
        a->ended = true;
        autocommit_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

void autocommit_end(struct autocommit *a)
{
    if (!a || a->ended)
        return;
    pthread_mutex_lock(&a->lock);
    a->ending = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    a->ended = true;
    pool_free(a->pool);
    a->pool = NULL;
}

void autocommit_free(struct autocommit *a)
{
    if (!a)
        return;
    autocommit_end(a);
    pool_free(a->pool);
    vec_foreach (ws, &a->armed)
        workspace_unref(*ws);
    free(a->armed.v);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void autocommit_arm(struct autocommit *a, struct workspace *ws)
{
    ws->changed_at = clock_mono();
    if (!a || ws->autocommit == 0 || atomic_exchange(&ws->armed, true))
        return;
    pthread_mutex_lock(&a->lock);
    if (a->ending) {
        ws->armed = false;
    } else {
        *VEC_ADD(&a->armed) = workspace_ref(ws);
        pthread_cond_signal(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
}

void autocommit_rearm(struct autocommit *a, struct workspace *ws)
{
    autocommit_arm(a, ws);
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}
