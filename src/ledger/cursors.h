/* Reads the records of one site from the chains of all hosts as one history, newest first. Private
 * to the ledger; one thread. */
#ifndef ONWARD_LEDGER_CURSORS_H
#define ONWARD_LEDGER_CURSORS_H

#include "base/alloc.h"
#include "ledger/record.h"
#include "repo/repo.h"

/* Where one chain is being read. */
struct cursor {
    char *ref;
    struct record record; /* the next one to give out; site NULL: not read yet */
    struct oid next;      /* its id, zero: at the end */
};

struct cursors {
    struct repo *repo;
    const char *site; /* borrowed */
    VEC(struct cursor);
    struct record given; /* what cursors_next() gave last */
    const char *given_ref;
};

/* Adds a chain, from its record `newest` on. */
void cursors_add(struct cursors *c, const char *ref, const struct oid *newest);
/* The next older record, NULL at the end of all; good until the next call. Generations grow over
 * all hosts, so they decide before clocks do. -EIO with a reason. */
int cursors_next(struct cursors *c, const struct record **ret, struct diag *reterr);
/* -EPROTONOSUPPORT, for the record that was given last. */
int cursors_too_new(const struct cursors *c, struct diag *reterr);
void cursors_done(struct cursors *c);

#endif
