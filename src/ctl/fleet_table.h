/* The file `fleet` of the mount, taken apart: a line a site, in columns. */
#ifndef ONWARD_CTL_FLEET_TABLE_H
#define ONWARD_CTL_FLEET_TABLE_H

#include "ctl/mountpoint.h"
#include "ctl/paint.h"

enum fleet_column {
    FLEET_SITE,
    FLEET_TEAM,
    FLEET_STATE,
    FLEET_DEPLOYED,
    FLEET_DESIRED,
    FLEET_SINCE,
    FLEET_COLUMNS
};

struct fleet_table {
    struct columns columns; /* the first row is the heading */
    struct buf notes;       /* lines that say what is wrong with the whole */
};

/* Takes the text of `fleet` apart. */
void fleet_table_parse(const char *text, struct fleet_table *ret);
void fleet_table_done(struct fleet_table *t);
size_t fleet_table_sites(const struct fleet_table *t);
/* A cell of site `i`. Borrowed. */
const char *fleet_table_cell(const struct fleet_table *t, size_t i, enum fleet_column c);

#endif
