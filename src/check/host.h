/* One check of the host: a command that the host's configuration names, over one tree. Private to
 * this folder; man/onwardfs-config.5 has what a command can count on. */
#ifndef ONWARD_CHECK_HOST_H
#define ONWARD_CHECK_HOST_H

#include <stdint.h>

#include "base/diag.h"
#include "base/finding.h"
#include "check/check.h"

struct host_check {
    struct repo *repo;
    const struct check_config *config;
    const struct check_input *input;
    const char *trees;        /* as in checks_config */
    const char *const *paths; /* the changed files that match: sorted, relative, in the tree */
    size_t npaths;
    int stop_fd; /* readable: the daemon ends */
};

/* Runs it to its end. 0, and what it objects to was added; *ret_until: how long that holds, as in
 * results_finish(). That it took too long or could not be started is a finding, too, which does not
 * hold at all. -ECANCELED: it was stopped. */
int host_check_run(const struct host_check *h, struct findings *ret, int64_t *ret_until,
                   struct diag *reterr);

#endif
