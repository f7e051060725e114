/* A buffer for the reply that a thread is working on. Allocated anew for each reply, one of 128 KiB
 * would be mapped, filled with zeros page by page and unmapped again each time. */
#ifndef ONWARD_MOUNT_SCRATCH_H
#define ONWARD_MOUNT_SCRATCH_H

#include <stddef.h>

/* `size` bytes, the thread's own until it asks again or ends. NULL: there is no memory. */
void *scratch(size_t size);

#endif
