/* The daemon's command line: as every FUSE filesystem's. */
#ifndef ONWARD_DAEMON_OPTIONS_H
#define ONWARD_DAEMON_OPTIONS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/diag.h"

struct options {
    char *repository, *mountpoint; /* NULL: from the configuration */
    char *config;                  /* NULL: the default file, if it is there */
    char *branch, *state;          /* NULL: from the configuration */
    char *mtime;                   /* "revision" "change"; NULL: not given */
    bool foreground, verbose, read_only, no_reconcile, allow_other, default_permissions;
    bool supervise;
    char *upgrade; /* a mount point: nothing else is to be done */
    bool help, version;
    struct buf fuse; /* options that are passed on, comma-separated */
};

/* -EINVAL: a line that says which argument is wrong. */
int options_parse(int argc, char **argv, struct options *ret, struct diag *reterr);
void options_done(struct options *o);
/* What --help prints, made from the same table. */
void options_usage(struct buf *out);

#endif
