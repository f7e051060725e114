/* Tells the kernel, from a thread of its own, that what it keeps of nodes is out of date.
 *
 * Why a thread. A notification may have to wait: for a page that a READ in flight has locked, for
 * the answer to a WRITE. Inside a request that would be waiting for oneself. So whoever has
 * something to tell queues it here and, if the next step depends on it, waits for this thread,
 * which holds nothing.
 *
 * Replies that are under way. What a reply says of a node that is new to the kernel was true when
 * its attributes were read, but a notification cannot reach a node that the kernel does not know
 * yet; it would then keep, for ever, what was out of date when it came. So replies that bring nodes
 * are written between notifier_enter() and notifier_leave(), and say "keep nothing" if anything was
 * told since their attributes were read. Nothing else may be done in between: it is held against
 * the notifier's thread.
 *
 * Ending. notifier_stop() must come while requests are still answered (or when the connection is
 * gone): a notification that waits for a page would else wait for ever. */
#ifndef ONWARD_MOUNT_NOTIFIER_H
#define ONWARD_MOUNT_NOTIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include "tree/table.h"

struct notifier;

/* `drop(notice, arg)` makes the kernel drop what the notice says; it ignores ids that the kernel
 * does not know. -EAGAIN if no thread can be started. */
int notifier_new(void (*drop)(const struct node_notice *notice, void *arg), void *arg,
                 struct notifier **ret);
/* Returns when the kernel knows all `count` of them, or when the notifier has been stopped. No
 * reply overtakes it, even if there are none. */
void notifier_tell(struct notifier *n, const struct node_notice *notices, size_t count);
/* The same, but does not wait. */
void notifier_queue(struct notifier *n, const struct node_notice *notices, size_t count);
/* Of one node, with its content; does not wait. */
void notifier_post(struct notifier *n, uint64_t id);

/* How much has been told so far: to be read before attributes are. */
uint64_t notifier_epoch(struct notifier *n);
/* Holds notifications back until notifier_leave(). Is all that was read since `epoch` still true?
 */
bool notifier_enter(struct notifier *n, uint64_t epoch);
void notifier_leave(struct notifier *n);

/* Tells nothing any more, and waits for what is being told. */
void notifier_stop(struct notifier *n);
/* Stops it, if need be. NULL is allowed. */
void notifier_free(struct notifier *n);

#endif
