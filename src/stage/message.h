/* The file `.onward/message` of a workspace: an ordinary small file that holds a commit's message
 * while it is being written. It is always there; a commit that takes it empties it. */
#ifndef ONWARD_STAGE_MESSAGE_H
#define ONWARD_STAGE_MESSAGE_H

#include "stage/workspace.h"
#include "tree/node.h"

/* Referenced. `root`: the workspace's root, which it keeps. */
struct node *message_node_get(struct workspace *ws, struct node *root, uint64_t ino);

#endif
