/* An order: what the command line has the daemon do to the fleet, one line for `.onward/ctl`:
 * "hold SITE… --reason TEXT". The daemon answers the write when the order is in force, and says
 * more in `.onward/outcome`. */
#ifndef ONWARD_CTL_FLEET_ORDER_H
#define ONWARD_CTL_FLEET_ORDER_H

#include "ctl/verb.h"

/* Gives the order that the call's verb is named for, of its operands, with its --to (as the id
 * `to`; NULL: none) and --reason. 0, and the answer ("done", or what there is to know) is added to
 * `answer` unless that is NULL. VERB_USAGE for what no line can say; -errno with the daemon's
 * reason, and nothing was done. */
int fleet_order_give(const struct call *call, const char *to, struct buf *answer,
                     struct diag *reterr);

#endif
