/* A change that comes from no workspace, on its way into the mainline: what the fleet's side of the
 * daemon makes for an operator. Others see it through staging_land(). */
#ifndef ONWARD_STAGE_DIRECT_H
#define ONWARD_STAGE_DIRECT_H

#include "base/buf.h"
#include "stage/workspace.h"

/* As staging_land() says. */
int direct_land(struct stage_env *env, const struct staging_change *change,
                struct staging_landed *ret, struct buf *reasons);

#endif
