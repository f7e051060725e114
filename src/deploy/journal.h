/* Says what happened, once each: a line in the log, an event for `.onward/events`, a metric. */
#ifndef ONWARD_DEPLOY_JOURNAL_H
#define ONWARD_DEPLOY_JOURNAL_H

#include "base/json.h"
#include "ledger/record.h"
#include "site/fleet.h"

/* Where events go; `event` may be NULL, and takes the reference. */
struct journal {
    void (*event)(json_t *event, void *arg);
    void *arg;
};

/* The beginning of each event: when (real), what. The reference is yours. */
json_t *journal_event(const char *name, int64_t at);

/* A record that is now in the ledger. */
void journal_record(const struct journal *j, const struct record *r);
/* The mainline is now at `head`. */
void journal_head(const struct journal *j, const struct oid *head);
/* Where rollouts are now, as far as it is not where they were: waves that move, soak or have
 * stopped since, rollouts that have come to their end. */
void journal_rollouts(const struct journal *j, const struct fleet *before, const struct fleet *now);
/* Something keeps everything from moving, or (NULL) no longer does. */
void journal_problem(const struct journal *j, const char *problem);

#endif
