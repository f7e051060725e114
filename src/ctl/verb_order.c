/* onward retry, hold, release, pause, resume, accept: orders that are in force when they return,
 * and have nothing to show. */
#include "ctl/fleet_order.h"

int verb_order(const struct call *call, struct diag *reterr)
{
    return fleet_order_give(call, NULL, NULL, reterr);
}
