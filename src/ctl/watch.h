/* Waiting until something has changed in the mount: until the time of its `.onward` has, at which
 * is looked five times a second, which costs the daemon nothing. Between two looks nothing in the
 * mount is held open, so a watch keeps nobody from unmounting it. There is one watch in a process:
 * it takes its signals. */
#ifndef ONWARD_CTL_WATCH_H
#define ONWARD_CTL_WATCH_H

#include "ctl/mountpoint.h"

struct watch {
    struct mountpoint *mount; /* open while something is to be read */
    dev_t device;             /* another one: it has ended */
    struct timespec seen;
};

/* Begins with what there is now, and leaves the working directory, which may be in the mount. */
int watch_begin(struct mountpoint *mount, struct watch *ret, struct diag *reterr);
/* Waits. 1: something has changed, or the window of the terminal has another size, and the mount is
 * open to be read; 0: somebody has interrupted it; -ENODEV: the mount has ended; other errors as
 * reading the mount gives them. */
int watch_next(struct watch *w, struct diag *reterr);

#endif
