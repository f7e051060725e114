/* A growing log: lines are appended, readers follow with `tail -f`. Kept in a file of the daemon's
 * own, so it outlives a restart; when the file has become large, it starts again and the one before
 * is kept beside it with the suffix ".1". */
#ifndef ONWARD_TREE_STREAM_H
#define ONWARD_TREE_STREAM_H

#include "base/diag.h"
#include "tree/node.h"

#define STREAM_MOST (16u << 20) /* bytes; checked when it is opened */

/* Opens or makes the file `path`. The reference is yours. */
int stream_node_new(struct node_table *table, uint64_t ino, const char *path, struct node **ret,
                    struct diag *reterr);
/* Appends whole lines. Errors are logged: an event is a copy of what is recorded elsewhere. */
void stream_append(struct node *node, const char *lines, size_t len);

#endif
