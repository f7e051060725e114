/* Gives the kernel the content of files before it asks: when the files of a directory are read one
 * after the other, those behind are pushed into the page cache, which saves a request each.
 *
 * What counts as one after the other. The nodes that a listing tells of have ids in a row
 * (node_table_gap), so the file behind a file is the next id. Of each sequence of reads that is
 * going on (a stream) it is remembered which file would go on with it:
 *
 *     BEGUN      nothing is pushed
 *     PUSHING    three files in a row were read, with few other reads between them: a window of the
 *                files behind is pushed, 8 at first, twice as many each time
 *
 * The file behind a window is not pushed: that it is read shows that the window was of use, and
 * begins the next one. A read inside a window whose file has been pushed shows that the kernel did
 * not keep it: back to BEGUN. One whose file has not been pushed yet means that the reader is
 * faster: the worker goes on behind it.
 *
 * A walk through a tree reads many small directories. When directories have been read in sequence
 * (`trust`), another one whose first file is read is PUSHING at once, until too many such windows
 * were followed by nothing. Listing alone, and reads here and there, push nothing.
 *
 * Pushed are files with NODE_PREFETCH of 1 byte to PREFETCH_SIZE, whole: the kernel takes a page
 * for complete only if it reaches the end of the file. One thread does it. While it pushes it holds
 * a node, but no lock: a push waits for a READ of the same file that is under way. So
 * prefetch_stop() must come while requests are still answered, or when the connection is gone. */
#ifndef ONWARD_MOUNT_PREFETCH_H
#define ONWARD_MOUNT_PREFETCH_H

#include "tree/table.h"

#define PREFETCH_SIZE                                                                              \
    (128u << 10) /* of the largest file that is pushed: one READ of the kernel's */

struct prefetch;

/* `push(id, data, len, arg)` stores a whole file in the page cache; -ENOENT: the kernel does not
 * know the node. -EAGAIN if no thread can be started. */
int prefetch_new(struct node_table *table,
                 int (*push)(uint64_t id, const void *data, size_t len, void *arg), void *arg,
                 struct prefetch **ret);
/* The kernel has asked for the beginning of this node, whose id is `id`. */
void prefetch_saw_read(struct prefetch *p, struct node *node, uint64_t id);
/* Pushes nothing any more, and waits for what is being pushed. */
void prefetch_stop(struct prefetch *p);
/* Stops it, if need be. NULL is allowed. */
void prefetch_free(struct prefetch *p);

#endif
