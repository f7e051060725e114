#include "ledger/cursors.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/chain.h"

void cursors_add(struct cursors *c, const char *ref, const struct oid *newest)
{
    struct cursor *k = VEC_ADD(c);

    k->ref = xstrdup(ref);
    k->next = *newest;
}

void cursors_done(struct cursors *c)
{
    vec_foreach (k, c) {
        record_done(&k->record);
        free(k->ref);
    }
    free(c->v);
    record_done(&c->given);
}

static bool is_newer(const struct record *a, const struct record *b)
{
    if (a->generation != b->generation)
        return a->generation > b->generation;
    return a->at > b->at;
}

static int fill(const struct cursors *c, struct cursor *k, struct diag *reterr)
{
    _cleanup_(diag_done) struct diag why = {0};
    char hex[OID_HEX + 1];

    if (k->record.site)
        return 0;
    int r = chain_read(c->repo, &k->next, c->site, &k->record, &why);
    if (r < 0)
        diag_fail(reterr, r, "record %s of %s: %s", oid_hex(&k->next, hex), k->ref,
                  diag_text(&why, r));
    return r;
}

int cursors_next(struct cursors *c, const struct record **ret, struct diag *reterr)
{
    struct cursor *newest = NULL;

    vec_foreach (k, c) {
        if (oid_is_zero(&k->next))
            continue;
        int r = fill(c, k, reterr);
        if (r < 0)
            return r;
        if (!newest || is_newer(&k->record, &newest->record))
            newest = k;
    }
    record_done(&c->given);
    *ret = NULL;
    if (!newest)
        return 0;
    c->given = newest->record;
    c->given_ref = newest->ref;
    newest->record = (struct record){0};
    newest->next = c->given.previous;
    *ret = &c->given;
    return 0;
}

int cursors_too_new(const struct cursors *c, struct diag *reterr)
{
    char hex[OID_HEX + 1];

    return diag_fail(reterr, -EPROTONOSUPPORT,
                     "record %s of %s has format %d, and this onwardfs knows up to %d: update it",
                     oid_hex(&c->given.oid, hex), c->given_ref, c->given.format, RECORD_FORMAT);
}
