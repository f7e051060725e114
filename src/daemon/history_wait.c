#include "daemon/history_wait.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOK_EVERY (100 * NS_PER_MS)
#define LINE_EVERY (5 * NS_PER_SEC) /* where a line cannot be written over */

static void show(const struct history_progress *p, bool terminal)
{
    fprintf(stderr, "%sonwardfs: reading the history: %u of %u revisions (%u%%)%s",
            terminal ? "\r" : "", p->done, p->total, p->total ? 100u * p->done / p->total : 0,
            terminal ? "" : "\n");
    fflush(stderr);
}

static bool ended_by_signal(void)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGHUP);
    return sigtimedwait(&ends, NULL, &(struct timespec){0}) > 0;
}

int history_wait(struct history_index *ix, struct diag *reterr)
{
    bool terminal = isatty(STDERR_FILENO), shown = false;
    int64_t next = 0;
    struct history_progress p;
    int r;

    while ((r = history_index_wait(ix, LOOK_EVERY)) == -EAGAIN) {
        if (ended_by_signal())
            return diag_fail(reterr, -EINTR, "ended by a signal while reading the history");
        history_index_progress(ix, &p);
        if (!p.total || clock_mono() < next)
            continue;
        show(&p, terminal);
        shown = true;
        next = clock_mono() + (terminal ? LOOK_EVERY : LINE_EVERY);
    }
    history_index_progress(ix, &p);
    if (shown) {
        show(&p, terminal);
        fputs(terminal ? "\n" : "", stderr);
    }
    return r < 0 ? diag_fail(reterr, r, "cannot read the history: %s",
                             *p.problem ? p.problem : strerror(-r))
                 : 0;
}
