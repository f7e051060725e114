/* Says what happened, once each: a line in the log, an event for `.onward/events`, a metric. */
#ifndef ONWARD_DEPLOY_JOURNAL_H
#define ONWARD_DEPLOY_JOURNAL_H

#include "base/json.h"
#include "ledger/record.h"

/* Where events go; `event` may be NULL, and takes the reference. */
struct journal {
    void (*event)(json_t *event, void *arg);
    void *arg;
};

/* A record that is now in the ledger. */
void journal_record(const struct journal *j, const struct record *r);
/* The mainline is now at `head`. */
void journal_head(const struct journal *j, const struct oid *head);
/* Something keeps everything from moving, or (NULL) no longer does. */
void journal_problem(const struct journal *j, const char *problem);

#endif
