/* The process that starts commands for us, and brings them to an end when we are gone.
 *
 * Why a process of its own. A command belongs to who may stop it at its deadline; when that one is
 * killed, nobody is left to do so, and the next daemon would start the same command beside it. The
 * keeper is not killed with us: it has nothing of ours but sockets, and learns of our end by their
 * being closed. Every command of ours that runs then gets TERM for its process group and,
 * `kill_after` later, KILL; when the last of them is gone, the keeper ends.
 *
 * How the next one waits for that. A keeper that starts commands which must be alone holds a lock
 * on a file until it ends. The next daemon's keeper waits for that lock with such commands, and
 * meanwhile starts only the others.
 *
 * What it is. A program of its own (daemon/commands.c): each command is a fork of the keeper, which
 * costs three times as much when the keeper is a fork of us, with all the libraries that we have
 * mapped. Where there is no such program, it is that.
 *
 * The other side, the keeper itself, is keeping.h. There is one in a process; it is started when it
 * is first needed, and again when it died. Threads: any. */
#ifndef ONWARD_BASE_KEEPER_H
#define ONWARD_BASE_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"

/* Starts it now: before there is anything that it should not inherit, if it can be had. `lock`: the
 * file for commands that must be alone, made if it is not there; NULL: they need not. `program`:
 * the file of the program; NULL, or one that cannot be run: a fork of us. */
int keeper_begin(const char *lock, const char *program, struct diag *reterr);
/* Ends it. Of commands that still run it lets go, as if we were killed. */
void keeper_end(void);

/* What is to be started; everything is borrowed for the call. */
struct keeper_order {
    const char *path, *cwd;
    const char *const *argv, *const *envp;
    int in, out;        /* its standard input; its standard output and error, a pipe… */
    int said;           /* …whose other end this is: so that it can tidy up when we are gone */
    int64_t kill_after; /* ns from TERM to KILL when we are gone */
    bool privileges;    /* it may gain some */
    bool alone;         /* not before those of a daemon that was killed are gone */
};

/* What comes of it, each as a message through the socket that keeper_start() returns: STARTED and
 * then ENDED; or FAILED and perhaps ENDED. When the socket is closed instead, the keeper died. */
enum keeper_what {
    KEEPER_STARTED, /* value: its pid, which is its process group's, too */
    KEEPER_FAILED,  /* value: errno */
    KEEPER_ENDED,   /* value: exit status or 128 + signal; its group was killed */
};
struct keeper_news {
    int32_t what, value;
};

/* Has a command started. `*ret` is yours: a socket that reads struct keeper_news, without waiting,
 * and takes signal numbers, a byte each, for its process group; one that waits is not started then
 * (FAILED, ECANCELED). Closing it before the command has ended ends the command as our own end
 * would. */
int keeper_start(const struct keeper_order *order, int *ret, struct diag *reterr);

#endif
