/* The daemon: opens everything, wires it together, serves the mount until it ends, and takes it
 * apart in the opposite order. The one place that knows every part. */
#ifndef ONWARD_DAEMON_DAEMON_H
#define ONWARD_DAEMON_DAEMON_H

#include "base/diag.h"
#include "base/park.h"
#include "daemon/config.h"
#include "daemon/options.h"

/* What has started us. */
struct daemon_start {
    const struct park *park; /* of our supervisor; NULL: we have none */
    bool upgraded;           /* …which has started this program for an upgrade */
    const char *commands; /* the program that starts commands (base/keeper.h); NULL: look for it */
    /* Called once the mount answers. */
    void (*ready)(void *arg);
    void *arg;
};

/* Runs in the calling process. `options` and `config` are those of the command line and the
 * file; the mount point and the repository are absolute in `config`. SIGTERM, SIGINT and SIGHUP
 * must be blocked. Returns when the mount has ended. */
int daemon_run(const struct options *options, const struct config *config,
               const struct daemon_start *start, struct diag *reterr);

#endif
