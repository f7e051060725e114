/* What the threads that take requests from the kernel are about: which of them waits, and how
 * (vigil.h); which has a page of a mapping in hand that the kernel has just written back.
 *
 * A request is in nobody's books between the moment when the kernel hands it to a thread and the
 * moment when its handler begins. So the reads from /dev/fuse go through intake_read(), which notes
 * before and after, for each thread, what it is about. Only a thread that sleeps in its read has
 * certainly nothing in hand; the kernel says of each whether it does (/proc/self/task). */
#ifndef ONWARD_MOUNT_INTAKE_H
#define ONWARD_MOUNT_INTAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct intake;

struct intake *intake_new(void);
/* When no thread reads any more. NULL is allowed. */
void intake_free(struct intake *in);

/* read(2) of a request; what the thread did before is done. -1 with EINTR: try again. */
ssize_t intake_read(struct intake *in, int fd, void *buf, size_t len);

/* The number by which the kernel knows the request that the thread took last; 0: none. */
uint64_t intake_unique(struct intake *in);

/* Waits until every page that the kernel had handed over when this was called has been written.
 * `mine(id, arg)`: those of this node are of interest. Not in a thread that reads. */
void intake_wait_stores(struct intake *in, bool (*mine)(uint64_t id, void *arg), void *arg);

#endif
