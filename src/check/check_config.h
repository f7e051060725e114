/* What the host's configuration says of one check: filled by daemon/config.c, used by this folder.
 */
#ifndef ONWARD_CHECK_CHECK_CONFIG_H
#define ONWARD_CHECK_CHECK_CONFIG_H

#include <stdint.h>

#include "base/alloc.h"

struct check_config {
    char *name;
    VEC(char *) command; /* the first is a path (absolute, or found in COMMAND_PATH) */
    VEC(char *) paths; /* globs (base/glob.h) of the files that it looks at; none: the whole tree */
    int64_t timeout;   /* ns, of all its runs for one tree */
};

/* Defaults of everything but name and command. */
#define CHECK_DEFAULTS                                                                             \
    {                                                                                              \
        .timeout = 60 * INT64_C(1000000000),                                                       \
    }

#endif
