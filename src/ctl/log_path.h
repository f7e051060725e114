/* onward log -- PATH: at which revisions of the mainline a path changed, newest first. */
#ifndef ONWARD_CTL_LOG_PATH_H
#define ONWARD_CTL_LOG_PATH_H

#include "ctl/verb.h"

/* Of call->path. As a verb: VERB_YES or -errno. */
int log_path(const struct call *call, struct diag *reterr);

#endif
