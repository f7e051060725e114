/* The directory `proposals/`: one directory for each open proposal, by number. */
#ifndef ONWARD_STAGE_PROPOSAL_NODE_H
#define ONWARD_STAGE_PROPOSAL_NODE_H

#include "stage/proposals.h"
#include "tree/node.h"

/* The directory, referenced; it keeps the proposals. */
struct node *proposals_dir_new(struct proposals *s, uint64_t ino);

#endif
