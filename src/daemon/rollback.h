/* The order `rollback SITE… --to REVISION --reason TEXT`: makes the tree in which the sites take
 * what they took at that revision (site/restore.h), and lands it as a commit of the operator's,
 * which is checked, and reviewed, as every other (stage/staging.h).
 *
 * The proof is of the tree that lands: when somebody else's commit comes first, the tree is made
 * anew on top of that. Where head asks for approvals, it is of the proposal as it was made. */
#ifndef ONWARD_DAEMON_ROLLBACK_H
#define ONWARD_DAEMON_ROLLBACK_H

#include "deploy/order.h"
#include "repo/mainline.h"
#include "site/fleet.h"
#include "stage/staging.h"

/* All borrowed. */
struct rollback {
    struct repo *repo;
    struct mainline *mainline;
    struct staging *staging; /* NULL: nothing can be committed here */
    struct fleet_board *board;
    const struct signature *author;
    const struct order *order;
};

/* 0 when it is durable; `answer` gets "revision ID" or "proposal N: …", and a line for each site
 * that something keeps where it is. Else nothing has happened: errors as of restore_tree() and
 * staging_land(), -ENOENT for a name that is no revision, -EINVAL for one that the mainline never
 * had, -EROFS. From a thread that staging_land() may be called from. */
int rollback_run(const struct rollback *b, struct buf *answer, struct diag *reterr);

#endif
