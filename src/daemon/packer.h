/* The thread that packs the repository when there is enough to pack (repo/packing.h). It looks when
 * refs have moved, some time after, and never otherwise. */
#ifndef ONWARD_DAEMON_PACKER_H
#define ONWARD_DAEMON_PACKER_H

#include "base/diag.h"
#include "repo/repo.h"

struct packer;

int packer_start(struct repo *repo, struct packer **ret, struct diag *reterr);
/* Refs have moved: there are new objects. From any thread; NULL is allowed. */
void packer_wake(struct packer *p);
/* Stops what it does. NULL is allowed. */
void packer_stop(struct packer *p);

#endif
