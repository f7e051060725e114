/* A symlink whose target may move: the kernel looks its name up each time, so it is fresh. */
#ifndef ONWARD_TREE_LINK_H
#define ONWARD_TREE_LINK_H

#include "tree/node.h"

/* A link to `target` (taken), as of this lookup: names of links are never kept by the kernel, so a
 * new lookup makes a new node with the new target. `mtime`: real ns. */
struct node *link_node_new(struct node_table *table, uint64_t ino, char *target, int64_t mtime);

#endif
