/* A transaction of the reconciler: records that go into the ledger together, the changes to the
 * roster that they stand for, and what happens once they are there. What cannot be recorded has not
 * happened: batch_drop() takes everything back.
 *
 * One thread at a time; one batch of a roster at a time. */
#ifndef ONWARD_DEPLOY_BATCH_H
#define ONWARD_DEPLOY_BATCH_H

#include "deploy/attempt.h"
#include "deploy/journal.h"
#include "deploy/roster.h"

struct batch {
    struct roster *roster;
    VEC(struct record) records;
    VEC(struct attempt *) starts; /* call apply once the records are in */
    VEC(struct attempt *) over;   /* nothing more is to be done for them then */
};

/* Adds a record of a site, and lets its track take it in. Takes what `record` holds; fills site,
 * at, and, unless they are there, by and what the newest generation says (batch_of_newest). */
void batch_add(struct batch *b, struct roster_site *s, struct record *record);
/* A record of that kind which repeats the newest generation: for batch_add(). */
struct record batch_of_newest(const struct roster_site *s, enum record_kind kind);
/* Adds a record of the whole fleet. */
void batch_add_fleet(struct batch *b, struct record *record);
/* The attempt begins. */
void batch_start(struct batch *b, struct roster_site *s, struct attempt *a);
/* The site's attempt, which runs no call (or whose call has ended), is over: what its end is. */
void batch_end(struct batch *b, struct roster_site *s, const struct plan_outcome *outcome);
/* An observation is over, which has found what is new or not. */
void batch_observed(struct batch *b, struct roster_site *s);

/* Appends the records to the ledger. 0: they are durable; then batch_done_with() is due. Else
 * everything is as it was before. */
int batch_write(struct batch *b, struct ledger *ledger, struct diag *reterr);
/* Tells what was recorded, and empties the batch. The caller has taken `starts`. */
void batch_clear(struct batch *b, const struct journal *journal);
void batch_free(struct batch *b);

#endif
