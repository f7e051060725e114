/* Room: how many bytes a workspace takes, held to the limit `workspace_size`.
 *
 * Whatever the upper has a name for counts, with ROOM_LEAST at least: so it is a limit of inodes,
 * too. Directories, links and whiteouts count that much; a file counts with its size, holes
 * included (in a commit they are bytes), or with what fallocate(2) has reserved behind its end
 * (overlay_entry.reserved), whichever is most. What is as the base has it counts nothing; to
 * remove it takes a whiteout, and perhaps directories above it.
 *
 *   used   what has a name. Not known until somebody asks for room; then counted once, and
 *          kept up by whoever changes a size. The same after a restart.
 *   held   files that are open but have lost their name. They count apart, since the kernel says
 *          late that it has closed one, and room that was made by removing files shall be there at
 *          once. So a workspace takes `workspace_size`, and for a while up to as much again.
 *
 * Who writes asks first, with the workspace locked for names or data: the growth of one file is
 * asked for by one writer at a time (the kernel sees to that), and given back when it was not
 * needed. A write is taken or refused as the kernel hands it over, in pieces of up to 1 MiB. */
#ifndef ONWARD_STAGE_ROOM_H
#define ONWARD_STAGE_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#define ROOM_LEAST 4096

struct workspace;

struct room {
    _Atomic int64_t used; /* -1: not counted yet */
    _Atomic int64_t held;
};

/* Asks for room for `bytes` more in what has a name (or, `held`, has none any more):
 * -EDQUOT. Negative gives room back and does not fail. */
int room_take(struct workspace *ws, bool held, int64_t bytes);
/* Of something of that many bytes, which has lost its name but is open. */
void room_hold(struct workspace *ws, int64_t bytes);
/* The workspace is on another upper, to be counted anew. */
void room_forget(struct workspace *ws);
/* How much may be asked for; INT64_MAX without a limit. -errno: it cannot be counted. */
int64_t room_left(struct workspace *ws);

#endif
