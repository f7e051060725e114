/* When a supervisor (supervisor.h) starts the next worker, and when it gives up.
 *
 * A worker fails that does not come to serve, or ends too soon: within RESPAWN_LIFE_KILLED if it
 * was killed, within RESPAWN_LIFE if it ended in another way, by a crash for example, which may
 * well come from something that the next one meets, too. After the first failure the next is
 * started at once, after each further one in a row later; after RESPAWN_FAILURES there is no next
 * one. Whoever lives longer ends the row, as does one that was ended for an upgrade. */
#ifndef ONWARD_DAEMON_RESPAWN_H
#define ONWARD_DAEMON_RESPAWN_H

#include <stdbool.h>

#include "base/clock.h"

#define RESPAWN_LIFE_KILLED NS_PER_SEC
#define RESPAWN_LIFE        (60 * NS_PER_SEC)
#define RESPAWN_FAILURES    8

struct respawn {
    int failures; /* in a row */
};

/* How a worker ended. */
struct respawn_end {
    bool killed;   /* by SIGKILL */
    bool asked;    /* …and by us, for an upgrade */
    bool served;   /* it came to that */
    int64_t lived; /* ns */
};

/* How long to wait for the next one, in ns; -1: there is to be none. */
int64_t respawn_after(struct respawn *r, const struct respawn_end *end);

#endif
