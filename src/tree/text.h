/* A generated file: text that was made when the name was looked up and never changes afterwards.
 * Each version is a node of its own (same inode number), so a reader sees one version whole,
 * however long it reads; the next lookup of the name makes the next version. */
#ifndef ONWARD_TREE_TEXT_H
#define ONWARD_TREE_TEXT_H

#include "base/buf.h"
#include "tree/node.h"

/* Takes the content of `text`. `mtime`: real ns. The reference is yours. */
struct node *text_node_new(struct node_table *table, uint64_t ino, struct buf *text, int64_t mtime);

/* Its content, borrowed; NULL if the node is of another kind. */
const struct buf *text_node_content(const struct node *node);

#endif
