/* A transaction of the reconciler: records that go into the ledger together, the changes to the
 * roster that they stand for, and what happens once they are there. What cannot be recorded has not
 * happened: transaction_write() has taken everything back then.
 *
 * One thread at a time; one transaction of a roster at a time. */
#ifndef ONWARD_DEPLOY_TRANSACTION_H
#define ONWARD_DEPLOY_TRANSACTION_H

#include "deploy/attempt.h"
#include "deploy/journal.h"
#include "deploy/roster.h"

struct transaction {
    struct roster *roster;
    VEC(struct record) records;
    VEC(struct attempt *) starts; /* call apply once the records are in */
    VEC(struct attempt *) over;   /* nothing more is to be done for them then */
};

/* Adds a record of a site, and lets its track take it in. Takes what `record` holds; fills site,
 * at and, unless it is there, by. */
void transaction_add(struct transaction *b, struct roster_site *s, struct record *record);
/* A record of that kind which repeats the newest generation: for transaction_add(). */
struct record transaction_of_newest(const struct roster_site *s, enum record_kind kind);
/* Adds a record of the whole fleet. */
void transaction_add_fleet(struct transaction *b, struct record *record);
/* The attempt begins. */
void transaction_start(struct transaction *b, struct roster_site *s, struct attempt *a);
/* The site's attempt, which runs no call (or whose call has ended), is over: what its end is. */
void transaction_end(struct transaction *b, struct roster_site *s,
                     const struct plan_outcome *outcome);
/* An observation is over, which has found what is new or not. */
void transaction_observed(struct transaction *b, struct roster_site *s);

/* Appends the records to the ledger. 0: they are durable; then transaction_clear() is due. Else
 * everything is as it was before. */
int transaction_write(struct transaction *b, struct ledger *ledger, struct diag *reterr);
/* Tells what was recorded, and empties it. The caller has taken `starts`. */
void transaction_clear(struct transaction *b, const struct journal *journal);
void transaction_free(struct transaction *b);

#endif
