/* What the host's configuration says of one backend: filled by daemon/config.c, used by deploy/. */
#ifndef ONWARD_DEPLOY_BACKEND_CONFIG_H
#define ONWARD_DEPLOY_BACKEND_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"

enum backend_kind { BACKEND_EXEC, BACKEND_DIRECTORY, BACKEND_HTTP };

struct retry {
    int limit;     /* attempts in all, at least 1 */
    int64_t first; /* ns before the second attempt */
    double factor; /* of each following wait */
    int64_t longest;
};

struct backend_config {
    char *name;
    enum backend_kind kind;
    VEC(char *) command; /* exec: the first is a path (absolute, or found in PATH) */
    bool privileges;     /* exec: it may start programs that gain some (sudo) */
    char *directory;     /* directory: absolute, "{site}" "{team}" are replaced */
    int keep;            /* directory: versions kept, at least 1 */
    char *url;           /* http: "{site}" "{team}" are replaced */
    char *secret_file;   /* http: absolute; read for each call, see secret.h */
    int64_t timeout;     /* ns, of one verb */
    int concurrency;     /* attempts at once */
    struct retry retry;
    int64_t observe_every; /* ns; 0: never */
};

/* Defaults of everything but name, kind and what the kind needs. */
#define BACKEND_DEFAULTS                                                                           \
    {                                                                                              \
        .keep = 3, .timeout = 600 * INT64_C(1000000000), .concurrency = 4,                         \
        .retry = {.limit = 5,                                                                      \
                  .first = 5 * INT64_C(1000000000),                                                \
                  .factor = 2,                                                                     \
                  .longest = 300 * INT64_C(1000000000)},                                           \
    }

#endif
