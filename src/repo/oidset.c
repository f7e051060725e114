#include "repo/oidset.h"

#include <stdlib.h>

#include "base/alloc.h"

/* Where `oid` is, or the free slot where it belongs. */
static struct oid *find(const struct oidset *s, const struct oid *oid)
{
    size_t at = oid_slot(oid, s->nslots);

    while (!oid_is_zero(&s->slots[at]) && !oid_equal(&s->slots[at], oid))
        at = (at + 1) & (s->nslots - 1);
    return &s->slots[at];
}

static void grow(struct oidset *s)
{
    struct oidset bigger = {.nslots = s->nslots ? s->nslots * 2 : 64, .n = s->n};

    bigger.slots = xcalloc(bigger.nslots, sizeof(*bigger.slots));
    for (size_t i = 0; i < s->nslots; i++)
        if (!oid_is_zero(&s->slots[i]))
            *find(&bigger, &s->slots[i]) = s->slots[i];
    free(s->slots);
    *s = bigger;
}

bool oidset_add(struct oidset *s, const struct oid *oid)
{
    if (s->n * 2 >= s->nslots)
        grow(s);
    struct oid *slot = find(s, oid);
    if (!oid_is_zero(slot))
        return false;
    *slot = *oid;
    s->n++;
    return true;
}

bool oidset_has(const struct oidset *s, const struct oid *oid)
{
    return s->n && !oid_is_zero(find(s, oid));
}

void oidset_done(struct oidset *s)
{
    free(s->slots);
    *s = (struct oidset){0};
}
