#include "site/depends.h"

#include <stdlib.h>
#include <string.h>

void depends_init(struct depends *d, size_t n)
{
    *d = (struct depends){.v = xcalloc(n, sizeof(*d->v)), .n = n};
}

void depends_done(struct depends *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->v[i].on.v);
        free(d->v[i].back.v);
    }
    free(d->v);
    *d = (struct depends){0};
}

void depends_add(struct depends *d, size_t who, size_t on)
{
    *VEC_ADD(&d->v[who].on) = on;
    *VEC_ADD(&d->v[on].back) = who;
    d->v[who].waits++;
}

/* Settles `first` and everything that then waits for nothing more. */
static void settle(struct depends *d, size_t first)
{
    VEC(size_t) ready = {0};

    d->v[first].settled = 1;
    *VEC_ADD(&ready) = first;
    while (ready.n) {
        struct depends_node *node = &d->v[ready.v[--ready.n]];
        vec_foreach (who, &node->back)
            if (!--d->v[*who].waits && !d->v[*who].settled) {
                d->v[*who].settled = 1;
                *VEC_ADD(&ready) = *who;
            }
    }
    free(ready.v);
}

/* Something that `who`, itself not settled, waits for. */
static size_t blocker(const struct depends *d, size_t who)
{
    vec_foreach (on, &d->v[who].on)
        if (!d->v[*on].settled)
            return *on;
    abort(); /* a node that waits for nothing has been settled */
}

size_t depends_circle(struct depends *d, size_t **ret)
{
    VEC(size_t) circle = {0};
    size_t at;

    for (size_t i = 0; !d->started && i < d->n; i++)
        if (!d->v[i].settled && !d->v[i].waits)
            settle(d, i);
    d->started = 1;
    while (d->next < d->n && d->v[d->next].settled)
        d->next++;
    if (d->next == d->n)
        return 0;
    /* From a node that waits, blockers lead into a circle: the first node met twice is in it. */
    d->searches++;
    for (at = d->next; d->v[at].seen != d->searches; at = blocker(d, at))
        d->v[at].seen = d->searches;
    size_t first = at;
    do {
        *VEC_ADD(&circle) = at;
        at = blocker(d, at);
    } while (at != first);
    for (size_t i = 0; i < circle.n; i++)
        if (!d->v[circle.v[i]].settled)
            settle(d, circle.v[i]);
    *ret = circle.v;
    return circle.n;
}
