/* A file of a workspace's control directory that is read and written in place: the node, which the
 * kinds of such files (message.c, autocommit_node.c) give their operations. */
#ifndef ONWARD_STAGE_WORKSPACE_FILE_H
#define ONWARD_STAGE_WORKSPACE_FILE_H

#include "stage/workspace.h"
#include "tree/node.h"

/* Referenced; the same for the same kind and workspace as long as it lives. `root`: the workspace's
 * root, which it keeps, and with it the workspace. */
struct node *workspace_file_get(const struct node_ops *kind, struct workspace *ws,
                                struct node *root, uint64_t ino);
/* Whose file it is: borrowed. */
struct workspace *workspace_file_of(struct node *file);

#endif
