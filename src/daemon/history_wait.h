/* Waiting for the history index while the daemon starts, with progress on standard error. */
#ifndef ONWARD_DAEMON_HISTORY_WAIT_H
#define ONWARD_DAEMON_HISTORY_WAIT_H

#include "base/diag.h"
#include "repo/history_index.h"

/* Returns when the index holds the newest head. On a terminal there is one line that counts, else a
 * line now and then; none when it takes no time. SIGTERM, SIGINT and SIGHUP, which must be blocked,
 * end it: -EINTR. -errno: the index cannot be made. */
int history_wait(struct history_index *ix, struct diag *reterr);

#endif
