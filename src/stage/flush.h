/* Makes the kernel write back what programs have stored through shared mappings of a workspace's
 * files. It tells nobody of such stores until it feels like it; a commit is to have those that were
 * made before it.
 *
 * Dirty pages can only be where the kernel has pages at all, so only files count whose content it
 * has been given (flush_mark), and that nothing has taken out of its cache since. */
#ifndef ONWARD_STAGE_FLUSH_H
#define ONWARD_STAGE_FLUSH_H

#include "stage/overlay_node.h"

/* The kernel has pages of this file. */
void flush_mark(struct overlay_node *n);
/* The node is about to be freed. */
void flush_forget(struct overlay_node *n);
/* Returns when everything that was stored before has arrived. No lock may be held: it arrives as
 * ordinary writes. -ECANCELED: after flush_end(). */
int flush_workspace(struct workspace *ws, struct diag *reterr);
/* Waits for those under way, while the mount still answers them; there are none from now on. */
void flush_end(struct stage_env *env);

#endif
