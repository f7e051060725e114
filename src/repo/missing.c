#include "repo/missing.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"
#include "repo/oidset.h"

#define MISSING_MOST (128u << 10) /* 5 MB */

struct missing {
    VEC(char *) packs; /* the directories of packs */
    pthread_mutex_t lock;
    struct oidset ids;
    uint64_t state; /* of the directories when the first of `ids` was asked for */
    int64_t since;  /* that time */
};

struct missing *missing_new(const struct odb_dirs *dirs)
{
    struct missing *m = NEW(struct missing);

    pthread_mutex_init(&m->lock, NULL);
    vec_foreach (dir, dirs)
        *VEC_ADD(&m->packs) = xasprintf("%s/pack", *dir);
    return m;
}

void missing_free(struct missing *m)
{
    if (!m)
        return;
    vec_foreach (dir, &m->packs)
        free(*dir);
    free(m->packs.v);
    oidset_done(&m->ids);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct missing_stamp take_stamp(const struct missing *m)
{
    struct missing_stamp stamp = {.taken = clock_real()};
    struct stat st;

    vec_foreach (dir, &m->packs) {
        struct {
            int64_t changed;
            uint64_t dev, ino;
        } state = {0};
        if (stat(*dir, &st) == 0) {
            state.changed = st.st_mtim.tv_sec * NS_PER_SEC + st.st_mtim.tv_nsec;
            state.dev = st.st_dev;
            state.ino = st.st_ino;
        }
        if (stamp.changed < state.changed)
            stamp.changed = state.changed;
        stamp.state = hash_bytes(&state, sizeof(state), stamp.state);
    }
    return stamp;
}

/* Whether what is remembered still holds. */
static bool is_current(const struct missing *m, const struct missing_stamp *now)
{
    return now->state == m->state && now->taken >= m->since &&
           now->taken - m->since < MISSING_SECONDS * NS_PER_SEC;
}

bool missing_has(struct missing *m, const struct oid *oid, struct missing_stamp *ret_asked)
{
    *ret_asked = take_stamp(m);
    pthread_mutex_lock(&m->lock);
    bool has = is_current(m, ret_asked) && oidset_has(&m->ids, oid);
    pthread_mutex_unlock(&m->lock);
    return has;
}

void missing_add(struct missing *m, const struct oid *oid, const struct missing_stamp *asked)
{
    if (asked->taken - asked->changed < NS_PER_SEC)
        return;
    pthread_mutex_lock(&m->lock);
    if (!is_current(m, asked) || m->ids.n >= MISSING_MOST) {
        oidset_done(&m->ids);
        m->state = asked->state;
        m->since = asked->taken;
    }
    oidset_add(&m->ids, oid);
    pthread_mutex_unlock(&m->lock);
}
