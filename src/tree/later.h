/* A generated file whose size is known before its text is: looking at it (`ls -l`) costs the size,
 * the text is made when somebody reads it, and kept until all of it has been read: then the kernel
 * has it. Should it ask again, the text is made again, and must be the same. */
#ifndef ONWARD_TREE_LATER_H
#define ONWARD_TREE_LATER_H

#include "base/buf.h"
#include "tree/node.h"

struct later_config {
    const void *key; /* bytes that say all that the text depends on, the inode number included */
    size_t key_len;
    uint64_t ino, size;
    int64_t mtime; /* real ns */
    /* Adds the text, exactly `size` bytes of it (else the reader gets EIO); one thread at a
     * time, which it may keep for long. When it fails, the next read calls it again. */
    int (*make)(void *ctx, struct buf *out);
    void (*free)(void *ctx);
    void *ctx; /* becomes the node's */
};

/* The file with this key, referenced, if it is known; or NULL. */
struct node *later_node_find(struct node_table *table, const void *key, size_t len);
/* The file with the configuration's key, referenced: the one that is known, or a new one. */
struct node *later_node_get(struct node_table *table, const struct later_config *config);

#endif
