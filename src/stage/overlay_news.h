/* What the kernel has to be told of a workspace's files when the daemon itself moves the workspace.
 *
 * Whatever users do to a workspace passes through the kernel, so it may keep names, attributes and
 * content of the files as long as the workspace stays on its upper. A commit or rebase moves it to
 * another; the end of a workspace takes everything. Then each node that the kernel may know is
 * brought up to date at once, and the kernel is told:
 *   - of every node: its attributes, as unchanged files show the time of their base;
 *   - of one whose content may be another, or a directory: its pages, or its list;
 *   - of one that is not behind its name any more: the name. New names need no telling: the kernel
 *     does not keep that something is not there, and lists directories anew.
 *
 * That happens after the move, without a lock, and before anybody learns of its success. It costs
 * what the kernel knows of the workspace, not what there is. */
#ifndef ONWARD_STAGE_OVERLAY_NEWS_H
#define ONWARD_STAGE_OVERLAY_NEWS_H

#include "stage/overlay_node.h"

/* The node is among those that the kernel may know, until it is freed. With the workspace's lock
 * for reading, so that no move is under way. */
void overlay_news_add(struct overlay_node *n);
void overlay_news_drop(struct overlay_node *n);

/* The workspace is on another upper as of now: what the kernel may know keeps its inode number.
 * Called with all locks. */
void overlay_news_keep_numbers(struct workspace *ws);
/* Makes the kernel forget what is not true after a move, or after the end. The caller holds no
 * lock, and its own request none of the kernel's for a directory of the workspace. */
void overlay_news_moved(struct workspace *ws);
/* The same; for who has removed the workspace, and may hold its root. */
void overlay_news_ended(struct workspace *ws);

#endif
