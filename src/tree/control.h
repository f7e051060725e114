/* A control file: write-only, one command a line. Lines may come in pieces (shells send each line,
 * and each 4 KiB, as a write of its own): a write that ends without a newline at a multiple of
 * CONTROL_PIECE bytes of the file is a piece, kept for each user until its newline comes or the
 * user opens the file anew to write (`>` truncates). One that ends elsewhere is a whole command, so
 * that `printf why > commit` is not lost. A command that fails fails the write with its errno, and
 * so does a file that begins with nothing but empty lines (-EINVAL): somebody thinks that it said
 * something. */
#ifndef ONWARD_TREE_CONTROL_H
#define ONWARD_TREE_CONTROL_H

#include "tree/node.h"

#define CONTROL_LINE_MOST 65536 /* longer lines: -EMSGSIZE */
#define CONTROL_PIECE     4096

/* `command` gets each line that is not empty, without its newline; what it returns (0 or -errno) is
 * what the write returns, and a failure skips the rest of the write. `mode`: 0200 or 0220. Runs in
 * a slow thread. `refused` (or NULL) is told why of what is no line to give to `command`: too long,
 * with a NUL, or nothing. uid, gid: the owner, (uid_t)-1 for the mount's. The same `ino` gives the
 * same node as long as it lives. */
struct control_config {
    mode_t mode;
    uid_t uid;
    gid_t gid;
    int64_t mtime;
    int (*command)(void *ctx, const struct caller *who, const char *line);
    void (*refused)(void *ctx, const struct caller *who, const char *why);
    void *ctx;
    struct node *holder; /* referenced as long as the node lives: keeps ctx alive; may be NULL */
};
struct node *control_node_get(struct node_table *table, uint64_t ino,
                              const struct control_config *config);

#endif
