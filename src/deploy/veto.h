/* A person's word that something stays where it is: a hold of a site, a pause of all rollouts; and
 * the one line that tells it. A zeroed one is nobody's. */
#ifndef ONWARD_DEPLOY_VETO_H
#define ONWARD_DEPLOY_VETO_H

#include <stdbool.h>

#include "ledger/record.h"

struct veto {
    char *by, *why; /* may be NULL: the record does not say */
    char *text;     /* "by Ann since 2026-11-23T14:00:00Z: new shelves"; NULL: nobody's */
};

void veto_done(struct veto *v);
/* A copy that owns its strings. */
void veto_copy(const struct veto *v, struct veto *ret);
/* Becomes that of the record. */
void veto_set(struct veto *v, const struct record *r);
/* Whether it is this person's, for this reason. Without a reason (NULL), nobody can tell. */
bool veto_is(const struct veto *v, const char *by, const char *why);

#endif
