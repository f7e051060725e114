/* The host's configuration: what this host may run and how much of everything, from
 * /etc/onwardfs/config.yaml or --config FILE. Every key is one row of the tables in config.c;
 * defaults stand in config_init(), BACKEND_DEFAULTS and CHECK_DEFAULTS only. What comes from the
 * command line is laid over it by main.c. Keys of DESIGN that this version does not support are
 * findings, never silence. */
#ifndef ONWARD_DAEMON_CONFIG_H
#define ONWARD_DAEMON_CONFIG_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/finding.h"
#include "check/check_config.h"
#include "deploy/backend_config.h"

#define CONFIG_SIZE (1 << 20) /* bytes that the file may have */

/* Who a user is in Git's words. */
struct identity {
    uid_t uid;
    char *name, *email;
};

struct config {
    char *repository, *mountpoint; /* absolute; NULL: not given */
    char *branch;                  /* NULL: see repo/mainline.h */
    char *state;                   /* absolute; NULL: see daemon/state_dir.h */
    VEC(struct backend_config) backends;
    VEC(struct check_config) checks;
    VEC(struct identity) identities;
    int most_workspaces;
    int most_inodes; /* that the kernel is to know at a time: mount/evictor.h */
    uint64_t most_file_size, most_workspace_size;
    uint64_t cache; /* bytes of memory for objects of the repository: repo_cache_limit() */
};

/* The defaults. */
void config_init(struct config *c);
void config_done(struct config *c);

/* Reads the file over the defaults. -EINVAL: it is wrong, and all that is wrong with it was added
 * to `findings` (check "config", path as given); -ENOENT and other errors of reading it, with
 * `reterr`. `ret` is set on success only. */
int config_load(const char *path, struct config *ret, struct findings *findings,
                struct diag *reterr);
/* Adds the configuration in force as YAML that config_load() reads as the same. There are no
 * secrets in it. */
void config_render(const struct config *c, struct buf *out);

#endif
