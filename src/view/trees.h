/* `.onward/trees/<id>/`: any tree of the repository by its id, also one that no revision has. Not
 * listed. What checks look at: the tree that a commit is about to become. */
#ifndef ONWARD_VIEW_TREES_H
#define ONWARD_VIEW_TREES_H

#include "view/view.h"

/* The directory, referenced. `ino`: its inode number. */
struct node *trees_node(struct view *v, uint64_t ino);

#endif
