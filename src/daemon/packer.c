#include "daemon/packer.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "repo/packing.h"

#define LOOK_AFTER NS_PER_SEC          /* from news to a look: more news comes meanwhile */
#define FAIL_AFTER (3600 * NS_PER_SEC) /* after a failure, which is unlikely to pass soon */
/* After a run, so many times as long as it took: the more comes, the more is packed at once. */
#define REST_TIMES 9
#define REST_MOST  (10 * NS_PER_SEC)

struct packer {
    struct repo *repo;
    pthread_t thread;
    int stop_fd; /* readable: git stops */

    pthread_mutex_t lock;
    pthread_cond_t news;
    bool woken, ending;
};

/* Until `until` (mono), or it is to end. Called with the lock. */
static void rest(struct packer *p, int64_t until)
{
    struct timespec t = clock_timespec(until);

    while (!p->ending && pthread_cond_timedwait(&p->news, &p->lock, &t) != ETIMEDOUT)
        ;
}

/* Returns how long to rest then. */
static int64_t pack(struct packer *p)
{
    _cleanup_(diag_done) struct diag why = {0};
    int64_t begin = clock_mono();

    if (!packing_is_due(p->repo))
        return 0;
    int r = packing_run(p->repo, p->stop_fd, &why);
    if (r < 0) {
        log_warn("packing-failed", "reason=\"%s\" what=\"see PACKING in man 8 onwardfs\"",
                 diag_text(&why, r));
        return FAIL_AFTER;
    }
    int64_t took = clock_mono() - begin;
    log_info("packed", "took_ms=%lld", (long long)(took / NS_PER_MS));
    return took * REST_TIMES < REST_MOST ? took * REST_TIMES : REST_MOST;
}

static void *run(void *arg)
{
    struct packer *p = arg;

    pthread_setname_np(pthread_self(), "packer");
    pthread_mutex_lock(&p->lock);
    while (!p->ending) {
        while (!p->woken && !p->ending)
            pthread_cond_wait(&p->news, &p->lock);
        rest(p, clock_mono() + LOOK_AFTER);
        p->woken = false;
        if (p->ending)
            break;
        pthread_mutex_unlock(&p->lock);
        int64_t pause = pack(p);
        pthread_mutex_lock(&p->lock);
        rest(p, clock_mono() + pause);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void packer_free(struct packer *p)
{
    closep(&p->stop_fd);
    pthread_cond_destroy(&p->news);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

int packer_start(struct repo *repo, struct packer **ret, struct diag *reterr)
{
    struct packer *p = NEW(struct packer);

    p->repo = repo;
    pthread_mutex_init(&p->lock, NULL);
    clock_cond_init(&p->news);
    p->woken = true; /* there may be much from before */
    p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = p->stop_fd < 0 ? -errno : -pthread_create(&p->thread, NULL, run, p);
    if (r < 0) {
        packer_free(p);
        return diag_fail(reterr, r, "cannot start a thread: %s", strerrordesc_np(-r));
    }
    *ret = p;
    return 0;
}

void packer_wake(struct packer *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->woken = true;
    pthread_cond_signal(&p->news);
    pthread_mutex_unlock(&p->lock);
}

void packer_stop(struct packer *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_signal(&p->news);
    pthread_mutex_unlock(&p->lock);
    eventfd_write(p->stop_fd, 1);
    pthread_join(p->thread, NULL);
    packer_free(p);
}
