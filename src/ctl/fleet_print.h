/* The fleet for people: as a table, as a picture that fits a window, as lines of what changed. */
#ifndef ONWARD_CTL_FLEET_PRINT_H
#define ONWARD_CTL_FLEET_PRINT_H

#include "ctl/fleet_table.h"

/* What is to be known of the whole, and all sites. */
void fleet_print(const struct fleet_table *t, const struct paint *p, FILE *out);
/* The same in about `lines` lines: with how many sites are in which state, and, when not all fit,
 * only those that are not in sync. */
void fleet_print_short(const struct fleet_table *t, int lines, const struct paint *p, FILE *out);
/* A line for each site that is in another state, or at another revision, than it was, and for each
 * line about the whole that is new. */
void fleet_print_changes(const struct fleet_table *was, const struct fleet_table *is,
                         const struct paint *p, FILE *out);

#endif
