/* What a new revision of the mainline moves, as the fleet shows it a moment later. */
#ifndef ONWARD_CTL_MOVED_H
#define ONWARD_CTL_MOVED_H

#include "ctl/mountpoint.h"

/* The names of the sites that revision `rev` (full id) moves, as an array: those that the daemon
 * has decided on within half a second. Yours. */
json_t *moved_sites(const struct mountpoint *m, const char *rev);
/* Adds the line "moves SITE…", a newline before it, unless there are none. */
void moved_text(const json_t *sites, struct buf *out);
/* The first full id in the text; yours. NULL when there is none. */
char *moved_revision(const char *text);

#endif
