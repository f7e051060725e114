/* `onwardfs --upgrade MOUNTPOINT`: asks the supervisor of a mount to have it served by the program
 * as it is on disk now. */
#ifndef ONWARD_DAEMON_UPGRADE_H
#define ONWARD_DAEMON_UPGRADE_H

#include "base/diag.h"

/* Returns when the mount is served by another process than before. -ENOENT: there is no mount of
 * ours at that path; -EOPNOTSUPP: it has no supervisor; -ENOEXEC: that program does not serve, and
 * the one that it was mounted with goes on; -ETIMEDOUT. */
int upgrade_run(const char *mountpoint, struct diag *reterr);

#endif
