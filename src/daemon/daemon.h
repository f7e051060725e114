/* The daemon: opens everything, wires it together, serves the mount until it ends, and takes it
 * apart in the opposite order. The one place that knows every part. */
#ifndef ONWARD_DAEMON_DAEMON_H
#define ONWARD_DAEMON_DAEMON_H

#include "base/diag.h"
#include "daemon/config.h"
#include "daemon/options.h"

/* Runs in the calling process. `options` and `config` are those of the command line and the file;
 * the mount point and the repository are absolute in `config`. Calls ready(arg) once the mount
 * answers. SIGTERM, SIGINT and SIGHUP must be blocked. Returns when the mount has ended. */
int daemon_run(const struct options *options, const struct config *config, void (*ready)(void *arg),
               void *arg, struct diag *reterr);

#endif
