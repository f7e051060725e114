/* Bringing work trees along when the branch that they have checked out moves.
 * Inside src/repo only. */
#ifndef ONWARD_REPO_CHECKOUT_H
#define ONWARD_REPO_CHECKOUT_H

#include "base/diag.h"
#include "repo/oid.h"
#include "repo/repo.h"

/* The work trees (the main one, linked ones) that have a branch checked out. */
struct checkouts;

/* Finds those of the branch `ref` ("refs/heads/main"); NULL in `ret` when there are none. */
int checkouts_find(struct repo *repo, const char *ref, struct checkouts **ret, struct diag *reterr);
void checkouts_free(struct checkouts *c);
DEFINE_CLEANUP(struct checkouts *, checkouts_free)

/* Whether all of them could go from the commit `from` (zero: unborn) to `to`: 0, or -EBUSY with the
 * reason, when local changes are in the way. Changes nothing. NULL is allowed. */
int checkouts_try(struct checkouts *c, const struct oid *from, const struct oid *to,
                  struct diag *reterr);
/* Brings them along. The branch has moved already, so what fails is logged. NULL is allowed. */
void checkouts_follow(struct checkouts *c, const struct oid *from, const struct oid *to);

#endif
