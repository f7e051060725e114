/* What the two ways to find a site's desired revision share. Private to this folder. */
#ifndef ONWARD_SITE_INPUTS_H
#define ONWARD_SITE_INPUTS_H

#include "site/declaration.h"

/* Whether the two declare the same inputs: all that site_inputs() takes from a declaration is
 * equal. */
bool inputs_declared_same(const struct site *a, const struct site *b);

#endif
