/* Runs one command to its end, whatever it does: hang, flood, fork away, close its input, ignore
 * TERM. What is run and what its end means is its caller's business.
 *
 * The command gets a process group of its own, the given environment and working directory, its
 * input as a file that can be read in any way or not at all, and no descriptor of ours. Its
 * standard output and standard error are kept together, in the order in which they came, the last
 * `keep` bytes of them. When the command itself has ended, what is left of its process group is
 * killed.
 *
 * It is not our child but the keeper's (keeper.h), which brings it to its end when we are killed.
 */
#ifndef ONWARD_BASE_COMMAND_H
#define ONWARD_BASE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/diag.h"

struct command {
    const char *path;        /* absolute */
    const char *const *argv; /* NULL-terminated */
    const char *const *envp; /* NULL-terminated */
    const char *cwd;
    const void *input;
    size_t input_len;
    size_t keep;        /* bytes of output */
    int64_t timeout;    /* ns from its start until TERM goes to the process group */
    int64_t kill_after; /* ns from TERM to KILL */
    int stop_fd;        /* readable: as if the timeout had come; -1: none */
    bool privileges;    /* it may gain some by starting a program that is setuid (sudo, ping) */
    bool alone;         /* not before those that a killed daemon started have ended */
};

struct command_end {
    int status;     /* exit status, or 128 + signal */
    bool timed_out; /* TERM was sent because the time was over… */
    bool stopped;   /* …or because of stop_fd */
    struct buf output;
};

/* -errno: it could not be started (-ENOENT: the program or the working directory is not there);
 * nothing is returned. Else 0, however it ended; `ret->output` is yours. */
int command_run(const struct command *c, struct command_end *ret, struct diag *reterr);

/* What every command of ours finds in PATH, and where names without a slash are looked up: never in
 * the caller's PATH, nor in what is deployed or checked. */
#define COMMAND_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Arguments or variables being put together; each is its own, and a NULL comes last. */
struct command_strings {
    VEC(char *);
};
void command_strings_done(struct command_strings *s);
/* Adds what the environment of every command begins with: PATH, HOME, LANG. Nothing of ours is
 * inherited. */
void command_strings_clean(struct command_strings *env, const char *home);

/* Where the program is: an absolute path as given, a name found in COMMAND_PATH; NULL if it is not
 * there. Yours. */
char *command_find(const char *name);
/* The home directory of the daemon's user; "/" if there is none. Yours. */
char *command_home(void);
/* "exit status 1", "killed by SIGTERM": a command_end's status in words. Yours. */
char *command_status(int status);

#endif
