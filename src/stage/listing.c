#include "stage/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define COOKIE_BITS 62 /* what every reader of directories can carry, even as a signed number */

void listing_add(struct listing *l, const char *name, mode_t type, uint64_t ino)
{
    uint64_t cookie = hash_bytes(name, strlen(name), 0) >> (64 - COOKIE_BITS);

    *VEC_ADD(l) = (struct listing_entry){xstrdup(name), type, ino, cookie ? cookie : 1};
}

static int by_cookie(const void *a, const void *b)
{
    const struct listing_entry *x = a, *y = b;

    if (x->cookie != y->cookie)
        return x->cookie < y->cookie ? -1 : 1;
    return strcmp(x->name, y->name);
}

void listing_finish(struct listing *l)
{
    if (l->n)
        qsort(l->v, l->n, sizeof(*l->v), by_cookie);
    for (size_t i = 1; i < l->n; i++)
        if (l->v[i].cookie <= l->v[i - 1].cookie)
            l->v[i].cookie = l->v[i - 1].cookie + 1;
}

bool listing_emit(const struct listing *l, uint64_t cookie, struct dir_sink *sink)
{
    size_t lo = 0, hi = l->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->v[mid].cookie <= cookie)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < l->n; lo++) {
        const struct listing_entry *e = &l->v[lo];
        if (sink->add(sink, e->name, e->type, e->ino, e->cookie, true))
            return false;
    }
    return true;
}

void listing_done(struct listing *l)
{
    vec_foreach (e, l)
        free(e->name);
    free(l->v);
    *l = (struct listing){0};
}
