/* From a plan to what is shown: makes a fleet snapshot of the roster, and keeps what was shown of
 * each site: since when it is in its state, and a status to show again while nothing changes. */
#ifndef ONWARD_DEPLOY_STATUS_H
#define ONWARD_DEPLOY_STATUS_H

#include "deploy/plan.h"
#include "deploy/roster.h"
#include "deploy/targets.h"
#include "site/fleet.h"

struct status_source {
    struct roster *roster;
    const struct targets *targets;
    const struct plan *plan; /* made of this roster, outside a transaction */
    const char *problem;     /* of the ledger; NULL: none */
    const char *paused;      /* who paused rollouts, and why; NULL: nobody */
};

/* The fleet as the plan sees it; yours. Also sets METRIC_SITES and
 * METRIC_ROLLOUTS. */
struct fleet *status_fleet(const struct status_source *source);

#endif
