/* Writes records on top of a chain. Private to the ledger.
 *
 * The tree of a commit holds one record a site, and what is in no tree is not kept by Git: so the
 * n-th record of each site goes into the n-th of a row of commits, and the ref moves over all of
 * them at once: all are there or none. */
#ifndef ONWARD_LEDGER_APPEND_H
#define ONWARD_LEDGER_APPEND_H

#include "base/map.h"
#include "ledger/chain.h"

struct append {
    struct repo *repo;
    const struct chain *chain; /* not changed */
    const char *host;
    struct record *const *records; /* in order; previous, host, oid are set in each */
    size_t n;

    /* the result */
    struct map newest;    /* site -> its newest record (struct record *, borrowed) */
    struct oid tip, root; /* of the last commit */

    struct batch *batch;
    int *rounds;            /* of each record: in which commit it goes */
    struct record *settled; /* of each record: what is written */
};

/* Writes the commits; moves no ref. Call append_done() when a ref leads to them, or none ever will:
 * until then nothing takes them away. What it is told of may be done again on another chain. */
int append_write(struct append *a, struct diag *reterr);
void append_done(struct append *a);

#endif
