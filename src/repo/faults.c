#include "repo/faults.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/metric.h"
#include "repo/oidset.h"

/* So many objects are remembered as already said. */
#define SAID_MOST 10000
/* So many faults wait for a listener. */
#define WAITING_MOST 100

struct waiting {
    char *id, *why; /* id: NULL for a pack */
};

struct faults {
    pthread_mutex_t lock;
    struct oidset bad;    /* objects whose failure was said */
    struct oidset hiding; /* trees whose hidden entries were said */
    VEC(struct waiting) waiting;
    repo_fault_fn *fault;
    void *arg;
};

struct faults *faults_new(void)
{
    struct faults *f = NEW(struct faults);

    pthread_mutex_init(&f->lock, NULL);
    return f;
}

static void drop_waiting(struct faults *f)
{
    vec_foreach (w, &f->waiting) {
        free(w->id);
        free(w->why);
    }
    free(f->waiting.v);
    memset(&f->waiting, 0, sizeof(f->waiting));
}

void faults_free(struct faults *f)
{
    if (!f)
        return;
    drop_waiting(f);
    oidset_done(&f->bad);
    oidset_done(&f->hiding);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static void tell(repo_fault_fn *fault, void *arg, const char *id, const char *why)
{
    fault(&(struct repo_fault){id ? "bad-object" : "bad-pack", id, why}, arg);
}

/* Tells the listener, or keeps it for who comes. Under the lock, so that a listener that has left
 * is not called. */
static void publish(struct faults *f, const char *id, const char *why)
{
    pthread_mutex_lock(&f->lock);
    if (f->fault)
        tell(f->fault, f->arg, id, why);
    else if (f->waiting.n < WAITING_MOST)
        *VEC_ADD(&f->waiting) = (struct waiting){id ? xstrdup(id) : NULL, xstrdup(why)};
    pthread_mutex_unlock(&f->lock);
}

void faults_listen(struct faults *f, repo_fault_fn *fault, void *arg)
{
    pthread_mutex_lock(&f->lock);
    f->fault = fault;
    f->arg = arg;
    if (fault) {
        vec_foreach (w, &f->waiting)
            tell(fault, arg, w->id, w->why);
        drop_waiting(f);
    }
    pthread_mutex_unlock(&f->lock);
}

static bool first_time(struct faults *f, struct oidset *said, const struct oid *oid)
{
    pthread_mutex_lock(&f->lock);
    bool first = said->n < SAID_MOST && oidset_add(said, oid);
    pthread_mutex_unlock(&f->lock);
    return first;
}

void faults_object(struct faults *f, const struct oid *oid, const char *why)
{
    char hex[OID_HEX + 1];

    if (!first_time(f, &f->bad, oid))
        return;
    metric_add(METRIC_OBJECT_ERRORS, NULL, 1);
    log_error("bad-object", "id=%s reason=\"%s\"", oid_hex(oid, hex), why);
    publish(f, hex, why);
}

void faults_pack(struct faults *f, const char *why)
{
    metric_add(METRIC_PACK_ERRORS, NULL, 1);
    log_error("bad-pack", "reason=\"%s\"", why);
    publish(f, NULL, why);
}

bool faults_first_hiding(struct faults *f, const struct oid *tree)
{
    return first_time(f, &f->hiding, tree);
}
