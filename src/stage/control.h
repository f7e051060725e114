/* The hidden directory `.onward` of a workspace: what is read about it, and what is told to it. */
#ifndef ONWARD_STAGE_CONTROL_H
#define ONWARD_STAGE_CONTROL_H

#include "stage/workspace.h"
#include "tree/node.h"

#define CONTROL_NAME ".onward"

/* The directory, referenced; `root` is the workspace's root. */
struct node *control_menu(struct workspace *ws, struct node *root);

#endif
