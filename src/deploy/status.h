/* From a plan to what is shown: makes a fleet snapshot of the roster, and keeps since when each
 * site is in its state. */
#ifndef ONWARD_DEPLOY_STATUS_H
#define ONWARD_DEPLOY_STATUS_H

#include "deploy/plan.h"
#include "deploy/roster.h"
#include "deploy/targets.h"
#include "site/fleet.h"

/* The fleet as `plan` (made of this roster, outside a transaction) sees it; yours. `problem` (may
 * be NULL) becomes the fleet's problem if the targets have none. Also sets METRIC_SITES. */
struct fleet *status_fleet(struct roster *roster, const struct targets *targets,
                           const struct plan *plan, const char *problem);

#endif
