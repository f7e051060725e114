#include "ledger/timeline.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- one --------------------------------------------------------------------------------------
 */

static void timeline_free(struct timeline *t)
{
    vec_foreach (h, &t->heads)
        free(h->ref);
    free(t->heads.v);
    free(t->v);
    free(t->site);
    free(t);
}

size_t timeline_find(const struct timeline *t, uint64_t generation)
{
    size_t low = 0, high = t->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->v[middle].generation > generation)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where `t` began to read this chain; zero: it was not there. */
static struct oid find_head(const struct timeline *t, const char *ref)
{
    vec_foreach (h, &t->heads)
        if (!strcmp(h->ref, ref))
            return h->oid;
    return (struct oid){0};
}

/* Whether all that the cursors have still to give is what `t` begins with. */
static bool has_reached(const struct cursors *c, const struct timeline *t)
{
    vec_foreach (k, c) {
        struct oid head = find_head(t, k->ref);
        if (!oid_equal(&k->next, &head))
            return false;
    }
    return true;
}

static void add_moments(struct timeline *t, const struct timeline *older)
{
    vec_foreach (m, older)
        *VEC_ADD(t) = *m;
}

/* Reads a new one; `before` (may be NULL) is an older one of the site, read to its end. */
static struct timeline *timeline_read(struct cursors *c, const struct timeline *before)
{
    struct timeline *t = NEW(struct timeline);
    const struct record *record = NULL;

    t->site = xstrdup(c->site);
    vec_foreach (k, c)
        *VEC_ADD(&t->heads) = (struct head){xstrdup(k->ref), k->next};
    while (!before || !has_reached(c, before)) {
        t->error = cursors_next(c, &record, NULL);
        if (t->error < 0 || !record)
            return t;
        *VEC_ADD(t) = (struct moment){record->generation, record->oid};
    }
    add_moments(t, before);
    return t;
}

static bool is_current(const struct timeline *t, const struct cursors *c)
{
    return t->heads.n == c->n && has_reached(c, t);
}

/* ---- those that are kept ----------------------------------------------------------------------
 */

void timelines_init(struct timelines *all)
{
    *all = (struct timelines){0};
    pthread_mutex_init(&all->lock, NULL);
}

static void unref(struct timeline *t)
{
    if (t && --t->refs == 0)
        timeline_free(t);
}

void timelines_done(struct timelines *all)
{
    for (size_t i = 0; i < TIMELINES_MOST; i++)
        unref(all->kept[i]);
    pthread_mutex_destroy(&all->lock);
}

/* Takes the site's out of the row: its reference becomes the caller's. */
static struct timeline *take(struct timelines *all, const char *site)
{
    for (size_t i = 0; i < TIMELINES_MOST && all->kept[i]; i++) {
        struct timeline *t = all->kept[i];
        if (strcmp(t->site, site) != 0)
            continue;
        memmove(&all->kept[i], &all->kept[i + 1], (TIMELINES_MOST - i - 1) * sizeof(t));
        all->kept[TIMELINES_MOST - 1] = NULL;
        return t;
    }
    return NULL;
}

/* Lets go of those that were not used for longest, as many as are too many. */
static void trim(struct timelines *all)
{
    size_t moments = 0;

    for (size_t i = 0; i < TIMELINES_MOST && all->kept[i]; i++) {
        moments += all->kept[i]->n;
        if (i && moments > MOMENTS_MOST) {
            unref(all->kept[i]);
            memmove(&all->kept[i], &all->kept[i + 1],
                    (TIMELINES_MOST - i - 1) * sizeof(all->kept[0]));
            all->kept[TIMELINES_MOST - 1] = NULL;
            i--;
        }
    }
}

/* Puts it first, referenced, in the place of another one of its site. */
static void keep(struct timelines *all, struct timeline *t)
{
    unref(take(all, t->site));
    unref(all->kept[TIMELINES_MOST - 1]);
    memmove(&all->kept[1], &all->kept[0], (TIMELINES_MOST - 1) * sizeof(t));
    all->kept[0] = t;
    t->refs++;
    trim(all);
}

struct timeline *timelines_get(struct timelines *all, struct cursors *cursors)
{
    pthread_mutex_lock(&all->lock);
    struct timeline *before = take(all, cursors->site);
    if (before)
        keep(all, before); /* and still ours */
    pthread_mutex_unlock(&all->lock);
    if (before && is_current(before, cursors))
        return before;

    struct timeline *t = timeline_read(cursors, before);
    t->refs = 1;
    pthread_mutex_lock(&all->lock);
    unref(before);
    if (!t->error)
        keep(all, t);
    pthread_mutex_unlock(&all->lock);
    return t;
}

void timelines_give_back(struct timelines *all, struct timeline *t)
{
    pthread_mutex_lock(&all->lock);
    unref(t);
    pthread_mutex_unlock(&all->lock);
}
