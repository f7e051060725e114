/* What the kernel is told of a node: its attributes, and the entry that gives it a node id. */
#ifndef ONWARD_MOUNT_ENTRY_H
#define ONWARD_MOUNT_ENTRY_H

#include "mount/requests.h"

/* Seconds that the kernel may keep the node's attributes and pages: for ever, or 0. */
double entry_attr_timeout(const struct node *node);
/* Attributes, complete: what the node does not say is the mount's. */
int entry_stat(const struct front *f, struct node *node, struct stat *st);
/* Where the node was found; `st` is not used. */
struct node_place;
/* Fills `e` and counts one lookup by the kernel, to be taken back with node_table_forget() if the
 * kernel does not get the reply. */
int entry_fill(struct front *f, struct node *node, const struct node_place *place,
               struct fuse_entry_param *e);
/* Answers a request with the entry of `node`, found after `epoch` (notifier.h); `opened`: and how
 * it was opened, or NULL. */
void entry_reply(fuse_req_t req, struct node *node, const struct node_place *place, uint64_t epoch,
                 const struct fuse_file_info *opened);
/* Answers with its attributes. `keep`: the kernel may keep them, if it may at all. */
void entry_reply_attr(fuse_req_t req, struct node *node, bool keep);

#endif
