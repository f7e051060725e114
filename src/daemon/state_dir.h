/* The state directory: what onwardfs keeps outside the repository (uncommitted workspaces, events).
 * One for each repository, used by one process at a time. */
#ifndef ONWARD_DAEMON_STATE_DIR_H
#define ONWARD_DAEMON_STATE_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "coord/lease.h"

/* Where state lives when nothing is configured: /var/lib/onwardfs for root, else
 * $XDG_STATE_HOME/onwardfs or ~/.local/state/onwardfs. Yours. -ENOENT without a home. */
int state_dir_default(char **ret, struct diag *reterr);

/* Makes and locks <base>/<name>-<hash> for the repository whose common directory is `repository`.
 * `note` says who holds it, for others. Both results are yours; the lock goes with the lease.
 * -EBUSY with a line that says who has it and what to do. */
int state_dir_open(const char *base, const char *repository, const char *note, char **ret_dir,
                   struct lease **ret_lock, struct diag *reterr);

/* Has the host been started anew since this was last called for the directory? Then `*ret_since` is
 * when that was (real ns). Notes this start of the host. False the first time. For who holds the
 * lock. */
bool state_dir_after_boot(const char *dir, int64_t *ret_since);

#endif
