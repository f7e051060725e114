/* The state directory: what onwardfs keeps outside the repository (uncommitted workspaces, events).
 * One for each repository, used by one process at a time. */
#ifndef ONWARD_DAEMON_STATE_DIR_H
#define ONWARD_DAEMON_STATE_DIR_H

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

#endif
