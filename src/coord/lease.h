/* A lease: which process may act on a repository's sites. This one is embedded: a lock file in the
 * repository, held by flock(2) for as long as the process lives, so it needs no clean-up after a
 * crash and guards one host. */
#ifndef ONWARD_COORD_LEASE_H
#define ONWARD_COORD_LEASE_H

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/diag.h"

struct lease;

/* Takes the lease in the file `path` (made if absent). `note` is one line for others to read (who
 * holds it). -EBUSY with the holder's note in `reterr`; -EROFS, -EACCES when the file cannot be
 * written. */
int lease_take(const char *path, const char *note, struct lease **ret, struct diag *reterr);
/* The same, but waits for a holder that is about to end: half a second for any (one that was
 * unmounted a moment ago may not know it yet), LEASE_PATIENCE for one that has said so. */
#define LEASE_PATIENCE (20 * NS_PER_SEC)
int lease_wait(const char *path, const char *note, struct lease **ret, struct diag *reterr);
/* A lease that a predecessor of ours held in this file, which is still open: it is ours from now
 * on, and the lease_take() that finds it gives it out. Takes the descriptor. Before there are
 * threads. */
void lease_inherit(int fd);
/* For a successor. */
int lease_fd(const struct lease *l);
/* Says to others that the holder is about to end. */
void lease_ending(struct lease *l);
void lease_free(struct lease *l);
DEFINE_CLEANUP(struct lease *, lease_free)

#endif
