/* What the process that serves a mount gives up for good, before it has opened anything.
 *
 * Only what cannot harm the programs that it starts, which inherit the rest: backends are whatever
 * the host runs to reach its sites. So there is no Landlock, no seccomp and no giving up of
 * capabilities in here: they belong to the service (onwardfs(8), SECURITY). Gaining privileges is
 * given up command by command (base/command.h). */
#ifndef ONWARD_DAEMON_CONFINE_H
#define ONWARD_DAEMON_CONFINE_H

/* No other process of the same user can read or change our memory (ptrace, /proc/PID/mem), and none
 * of it is left in a core file. Programs that we start are not concerned. */
void confine_memory(void);
/* Closes what the process that started us has left open behind standard error, such as its locks:
 * we would hold them for as long as we are mounted. When nothing of ours is open yet. */
void confine_descriptors(void);

#endif
