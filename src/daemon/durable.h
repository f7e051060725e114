/* Whether what fsync(2) says of a directory's files can be relied on: filesystems in memory lose
 * them with the power, and those that somebody else keeps promise what he does. */
#ifndef ONWARD_DAEMON_DURABLE_H
#define ONWARD_DAEMON_DURABLE_H

/* Why not, in words that name the directory, yours; NULL: it can. Both are looked at: workspaces
 * are in the one, commits in the other. `state_dir` may be NULL. */
char *durable_doubt(const char *state_dir, const char *repository);

#endif
