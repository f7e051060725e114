/* Keeps what the kernel makes us remember within bounds. Every name that somebody has looked at is
 * a node of ours until the kernel forgets it, which it does when it is short of memory itself, and
 * so perhaps never: a walk over a tree of billions of files would fill ours. When there are too
 * many nodes, or generated files hold too many bytes (node_weigh), the kernel is told to let go of
 * those that it has known longest; what somebody has open or works in stays. What it lets go, it
 * asks for again when somebody looks.
 *
 * The kernel can be told since Linux 6.18 (FUSE_NOTIFY_PRUNE). An older one refuses; then this does
 * nothing any more, and the kernel alone decides. What it keeps of a node is several times larger
 * than what we do.
 *
 * A thread of its own tells, which holds nothing: the kernel may have to write pages back before it
 * can let go. So evictor_stop() must come while requests are still answered, or when the connection
 * is gone. */
#ifndef ONWARD_MOUNT_EVICTOR_H
#define ONWARD_MOUNT_EVICTOR_H

#include "tree/table.h"

struct evictor;

/* prune(ids, n, arg) tells the kernel of n nodes; -errno if it cannot be told. -EAGAIN: no thread
 * can be started. */
int evictor_new(struct node_table *table, const struct node_bounds *bounds,
                int (*prune)(const uint64_t *ids, size_t n, void *arg), void *arg,
                struct evictor **ret);
/* There may be too many. Does not wait. */
void evictor_wake(struct evictor *e);
/* Tells nothing any more, and waits for what is being told. */
void evictor_stop(struct evictor *e);
/* Stops it, if need be. NULL is allowed. */
void evictor_free(struct evictor *e);

#endif
