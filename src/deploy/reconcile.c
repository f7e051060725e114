/* The thread that decides (decider.h), and its mailbox.
 *
 * Locking: `lock` guards the mailbox (what other threads left for this one). The decider belongs to
 * the thread. */
#include "deploy/reconcile.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "deploy/decider.h"

/* An operator's command, on the stack of the thread that waits for it. */
struct letter {
    struct letter *next;
    struct command command;
    int result;
    bool done;
};

struct reconcile {
    struct reconcile_config config;
    struct decider *decider;
    pthread_t thread;

    /* the mailbox */
    pthread_mutex_t lock;
    pthread_cond_t news;    /* for the thread */
    pthread_cond_t answers; /* for those who wait for a command */
    bool refs_changed, ending;
    int64_t end_at; /* mono: when calls that still run are stopped */
    struct attempt *ended;
    struct letter *letters;
};

/* ---- passes ---------------------------------------------------------------------------------- */

static int refuse(const struct command *c)
{
    return diag_fail(c->reterr, -ESHUTDOWN, "onwardfs is ending");
}

/* Waits for news, or until `until` (mono). Leaves the lock held. */
static void wait_for_news(struct reconcile *r, int64_t until)
{
    struct timespec t = clock_timespec(until);

    pthread_mutex_lock(&r->lock);
    while (!r->refs_changed && !r->ended && !r->letters && !r->ending) {
        int e = until == INT64_MAX ? pthread_cond_wait(&r->news, &r->lock)
                                   : pthread_cond_timedwait(&r->news, &r->lock, &t);
        if (e == ETIMEDOUT)
            break;
    }
}

static void answer(struct reconcile *r, struct letter *letters)
{
    pthread_mutex_lock(&r->lock);
    for (struct letter *l = letters, *next; l; l = next) {
        next = l->next; /* once done, it is gone */
        l->done = true;
    }
    pthread_cond_broadcast(&r->answers);
    pthread_mutex_unlock(&r->lock);
}

/* One pass: news in, decision out. Returns when the next one is due. */
static int64_t pass(struct reconcile *r, int64_t due)
{
    struct decider *d = r->decider;

    wait_for_news(r, due);
    bool refs_changed = r->refs_changed, ending = r->ending;
    struct letter *letters = TAKE(r->letters);
    struct attempt *ended = TAKE(r->ended);
    r->refs_changed = false;
    pthread_mutex_unlock(&r->lock);

    d->dirty |= clock_mono() >= due; /* what waited for that time looks different now */
    decider_take_in(d, ended);
    if (refs_changed && !ending)
        ending = decider_follow_refs(d) < 0;
    for (struct letter *l = letters; l; l = l->next)
        l->result = ending ? refuse(&l->command) : decider_obey(d, &l->command);
    if (!ending)
        due = decider_decide(d);
    answer(r, letters);
    return due;
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* Waits until a call has ended, or until `until`; takes in those that have. */
static void collect_ended(struct reconcile *r, int64_t until)
{
    struct timespec t = clock_timespec(until);
    int e = 0;

    pthread_mutex_lock(&r->lock);
    while (!r->ended && e != ETIMEDOUT)
        e = until == INT64_MAX ? pthread_cond_wait(&r->news, &r->lock)
                               : pthread_cond_timedwait(&r->news, &r->lock, &t);
    struct attempt *ended = TAKE(r->ended);
    pthread_mutex_unlock(&r->lock);
    decider_take_in(r->decider, ended);
}

/* Lets calls end, then stops them, and records each attempt's end; starts nothing. */
static void wind_up(struct reconcile *r)
{
    bool stopped = false;

    pass(r, 0); /* answers those who still wait for a command */
    decider_ask_last(r->decider);
    while (r->decider->calls) {
        if (!stopped && clock_mono() >= r->end_at) {
            stopped = true;
            decider_stop_calls(r->decider);
        }
        collect_ended(r, stopped ? INT64_MAX : r->end_at);
        if (!stopped)
            decider_ask_last(r->decider);
    }
    decider_wind_up(r->decider);
}

static void *run(void *reconcile)
{
    struct reconcile *r = reconcile;
    int64_t due = clock_mono();

    pthread_setname_np(pthread_self(), "reconcile");
    while (!__atomic_load_n(&r->decider->cancel, __ATOMIC_ACQUIRE))
        due = pass(r, due);
    wind_up(r);
    return NULL;
}

/* ---- from other threads ---------------------------------------------------------------------- */

static void call_ended(struct attempt *a, void *reconcile)
{
    struct reconcile *r = reconcile;

    pthread_mutex_lock(&r->lock);
    a->next = r->ended;
    r->ended = a;
    pthread_cond_signal(&r->news);
    pthread_mutex_unlock(&r->lock);
}

static void reconcile_free(struct reconcile *r)
{
    if (r->decider)
        decider_free(r->decider);
    pthread_cond_destroy(&r->news);
    pthread_cond_destroy(&r->answers);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static void init_mailbox(struct reconcile *r)
{
    pthread_mutex_init(&r->lock, NULL);
    clock_cond_init(&r->news);
    pthread_cond_init(&r->answers, NULL);
    r->refs_changed = true; /* the first pass takes in everything */
}

int reconcile_start(const struct reconcile_config *config, struct reconcile **ret,
                    struct diag *reterr)
{
    struct reconcile *r = NEW(struct reconcile);

    r->config = *config;
    init_mailbox(r);
    int err = decider_new(&r->config, &r->decider, reterr);
    if (err == 0) {
        r->decider->ended = call_ended;
        r->decider->ended_arg = r;
        err = -pthread_create(&r->thread, NULL, run, r);
        if (err < 0)
            diag_fail(reterr, err, "cannot start a thread: %s", strerror(-err));
    }
    if (err < 0) {
        reconcile_free(r);
        return err;
    }
    *ret = r;
    return 0;
}

void reconcile_wake(struct reconcile *r)
{
    pthread_mutex_lock(&r->lock);
    r->refs_changed = true;
    pthread_cond_signal(&r->news);
    pthread_mutex_unlock(&r->lock);
}

static int send_letter(struct reconcile *r, struct letter *l)
{
    pthread_mutex_lock(&r->lock);
    if (r->ending) {
        pthread_mutex_unlock(&r->lock);
        return refuse(&l->command);
    }
    struct letter **last = &r->letters;
    while (*last)
        last = &(*last)->next;
    *last = l;
    pthread_cond_signal(&r->news);
    while (!l->done)
        pthread_cond_wait(&r->answers, &r->lock);
    pthread_mutex_unlock(&r->lock);
    return l->result;
}

int reconcile_order(struct reconcile *r, const char *who, const struct order *order,
                    struct diag *reterr)
{
    struct letter l = {.command = {.who = who, .order = order, .reterr = reterr}};

    return send_letter(r, &l);
}

void reconcile_stop(struct reconcile *r, int64_t grace)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    r->end_at = clock_mono() + grace;
    __atomic_store_n(&r->decider->cancel, true, __ATOMIC_RELEASE);
    pthread_cond_signal(&r->news);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    reconcile_free(r);
}
