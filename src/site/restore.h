/* Restoring: the tree in which some sites take again what they took at an older revision. Head's
 * tree, but for the source and the include paths of those sites, which are as they were there. It
 * goes nowhere: who asked for it makes a revision of it.
 *
 * What comes back has been proven, by asking the new tree itself:
 *   R1  the inputs (site_inputs) of each site that was named equal those at the older revision;
 *   R2  those of every other site that follows the mainline equal those at head.
 * Where that cannot be, the reason says what is in the way. onward.yaml is left alone (but for
 * sites whose source is the root): what a site's declaration says must be the same already. */
#ifndef ONWARD_SITE_RESTORE_H
#define ONWARD_SITE_RESTORE_H

#include "base/diag.h"
#include "repo/batch.h"
#include "repo/oid.h"
#include "repo/repo.h"

struct restore {
    struct repo *repo;
    struct batch *batch; /* what the tree is made of; to be held until a ref leads there */
    struct oid head;     /* revision that it is to follow */
    struct oid to;       /* the older one */
    const char *const *sites;
    size_t n;
};

/* Writes the tree; durable on return. Else, with the reason:
 *   -ENOENT   a site that is not declared at head, or was not at the older revision
 *   -EINVAL   onward.yaml is wrong in one of them, or says another thing of a site; a pinned site
 *   -EBUSY    other sites would change
 *   -ENODATA  the sites' inputs at head are those already */
int restore_tree(const struct restore *what, struct oid *ret, struct diag *reterr);

/* A restored tree, made for the tree `base`, was merged with what came after. 0: every site that it
 * moves (but those with a pin) takes from `merged` what it restored; -EBUSY: one does not. */
int restore_survives(struct repo *repo, const struct oid *base, const struct oid *restored,
                     const struct oid *merged, struct diag *reterr);

#endif
