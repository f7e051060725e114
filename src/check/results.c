#include "check/results.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"

struct entry {
    bool running;
    int64_t until;
    uint64_t used; /* counts up with each use; of what runs, meaningless */
    struct findings findings;
};

struct results {
    pthread_mutex_t lock;
    pthread_cond_t finished; /* some entry is no longer running */
    struct map entries;
    size_t most;
    uint64_t uses;
};

static void entry_free(void *p)
{
    struct entry *e = p;

    findings_done(&e->findings);
    free(e);
}

struct results *results_new(size_t most)
{
    struct results *r = NEW(struct results);

    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->finished, NULL);
    r->most = most;
    return r;
}

void results_free(struct results *r)
{
    map_done(&r->entries, entry_free);
    pthread_cond_destroy(&r->finished);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* A new one that runs, in the place of one that is too old (NULL: there is none). */
static void start(struct results *r, const char *key, struct entry *old)
{
    struct entry *e = NEW(struct entry);

    e->running = true;
    map_put(&r->entries, key, e);
    if (old)
        entry_free(old);
}

enum result results_begin(struct results *r, const char *key, bool wait, struct findings *ret)
{
    enum result result = RESULT_UNKNOWN;
    bool waited = false;
    struct entry *e;

    pthread_mutex_lock(&r->lock);
    for (; (e = map_get(&r->entries, key)) && e->running && wait; waited = true)
        pthread_cond_wait(&r->finished, &r->lock);
    if (e && !e->running && (waited || clock_mono() < e->until)) {
        e->used = ++r->uses;
        findings_append(ret, &e->findings);
        result = RESULT_KNOWN;
    } else if (wait) {
        start(r, key, e);
        result = RESULT_MINE;
    }
    pthread_mutex_unlock(&r->lock);
    return result;
}

/* Makes room for one by forgetting the one that was not used for longest. */
static void evict(struct results *r)
{
    const char *oldest = NULL;
    uint64_t used = UINT64_MAX;
    size_t kept = 0;

    map_foreach (it, &r->entries) {
        const struct entry *e = it->value;
        kept += !e->running;
        if (!e->running && e->used < used) {
            used = e->used;
            oldest = it->key;
        }
    }
    if (kept >= r->most)
        entry_free(map_del(&r->entries, oldest));
}

void results_finish(struct results *r, const char *key, const struct findings *findings,
                    int64_t until)
{
    pthread_mutex_lock(&r->lock);
    struct entry *e = map_get(&r->entries, key);
    if (!findings) {
        map_del(&r->entries, key);
        entry_free(e);
    } else {
        evict(r);
        e->running = false;
        e->until = until;
        e->used = ++r->uses;
        findings_append(&e->findings, findings);
    }
    pthread_cond_broadcast(&r->finished);
    pthread_mutex_unlock(&r->lock);
}
