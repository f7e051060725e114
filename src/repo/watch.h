/* Tells when refs may have changed, by whatever program, without polling: inotify on HEAD,
 * packed-refs and everything below refs/ (and the same of a linked worktree). */
#ifndef ONWARD_REPO_WATCH_H
#define ONWARD_REPO_WATCH_H

#include "repo/repo.h"

struct watch;

/* Calls changed(arg) from a thread of its own, once within about 5 ms after a burst of events has
 * begun and again after it has ended; never two at once. If it answers less than 0, the news could
 * not be taken in and it is called again, a little later each time. It is a hint: load the refs
 * and compare. Watching is complete when this returns, so that refs loaded afterwards miss nothing.
 */
int watch_new(struct repo *repo, int (*changed)(void *arg), void *arg, struct watch **ret,
              struct diag *reterr);
/* Returns when no call is running and none will come. */
void watch_free(struct watch *w);

#endif
