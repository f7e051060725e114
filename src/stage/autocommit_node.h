/* The file `.onward/autocommit` of a workspace: reads `off` or a duration; written, it is that. */
#ifndef ONWARD_STAGE_AUTOCOMMIT_NODE_H
#define ONWARD_STAGE_AUTOCOMMIT_NODE_H

#include "stage/workspace.h"
#include "tree/node.h"

/* Referenced. `root`: the workspace's root, which it keeps. */
struct node *autocommit_node_get(struct workspace *ws, struct node *root, uint64_t ino);

#endif
