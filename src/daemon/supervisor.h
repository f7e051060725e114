/* The supervisor: the process that keeps a mount while those that serve it come and go.
 *
 * It starts a worker, a fork of itself, which opens everything and mounts. What the worker leaves
 * in the park (mount/takeover.h) lives as long as the supervisor, the connection with the kernel
 * among it. So when the worker dies, nobody who uses the mount gets an error: they wait until the
 * next worker has taken over.
 *
 *                       dies, park is full: after a delay
 *                      ┌───────────────┐
 *                      ▼               │
 *    supervisor_run ─▶ worker runs ────┤ dies, park is empty (it never mounted, or has unmounted):
 *                      ▲               └─▶ the supervisor ends with its status
 *                      │ SIGUSR2: killed, and the program is started as it is on disk now
 *                      └───────────────┘
 *
 * How long it waits, and after how many workers that failed it says so and ends, and with it the
 * mount, is in respawn.h. A program on disk that fails, or does not come to serve, is given up for
 * the one that the supervisor itself is.
 *
 * When a worker is past. One that is killed may leave threads behind, in the kernel, that cannot
 * die before a request is answered which only the next worker can answer: those that tell the
 * kernel what it shall not keep (mount/notifier.h). Then waitpid(2) never returns and its locks
 * stay; nor does a pidfd say anything (a PIDFD_THREAD one neither, since Linux 6.15). So the
 * supervisor looks twenty times a second whether its first thread is dead and no others than those
 * are left, and the locks are handed on as open files, with the rest. Processes that the worker had
 * started for itself (base/keeper.h, mount/flusher.h) have nothing of it but sockets, and end when
 * its last thread is gone; the next one's keeper waits for them.
 *
 * Invariants
 *   S1  It does nothing but wait, start, log and pass signals on: no files, no threads, nothing
 *       that the repository or a user could reach.
 *   S2  One worker at a time does anything: the next is started when the last is dead, but for
 *       threads that only wait to tell the kernel something.
 *   S3  A worker does not outlive its supervisor (PR_SET_PDEATHSIG): kill -9 of the process that
 *       was started ends the mount, as ever.
 *
 * SIGTERM, SIGINT and SIGHUP are passed on to the worker, which unmounts. */
#ifndef ONWARD_DAEMON_SUPERVISOR_H
#define ONWARD_DAEMON_SUPERVISOR_H

#include "base/clock.h"
#include "base/diag.h"
#include "base/park.h"

#define SUPERVISOR_NAME "onwardfs-super" /* of the process, for ps(1) */

/* How long a program that an upgrade has started has to come to serve. */
#define SUPERVISOR_PATIENCE (60 * NS_PER_SEC)

struct supervised {
    /* In the worker: serves the mount; its exit status. */
    int (*work)(const struct park *park, void *arg);
    /* In the supervisor, each time that a worker has been started. */
    void (*started)(void *arg);
    void *arg;
    char *const *argv;      /* of the program */
    const char *mountpoint; /* absolute */
};

/* The exit status of the whole. Before there are threads. */
int supervisor_run(const struct supervised *s, struct diag *reterr);

/* Is this process a worker that a supervisor has started from disk? Then what it was given. */
bool supervisor_inherit(struct park *ret, const char **ret_mountpoint);

#endif
