/* The `rollout:` of onward.yaml. Private to this folder. */
#ifndef ONWARD_SITE_ROLLOUT_H
#define ONWARD_SITE_ROLLOUT_H

#include "base/decode.h"
#include "site/declaration.h"

/* Reads the list `waves` (NULL: not given) into `ret`. Sites must be there already: waves name
 * them. */
void rollout_read(struct decode *d, const struct yaml_node *waves, struct declaration *ret);
void rollout_done(struct declaration *d);

#endif
