/* Makes the kernel hand over what processes have stored in shared mappings of files: dirty pages
 * reach a FUSE daemon only when they are written back.
 *
 * Why a process of its own. What makes the kernel write back, syncfs(2), needs an open file of the
 * mount, and opening one may wait for our own answers. A thread of ours that waits for them when we
 * are killed would keep /dev/fuse open: the connection would never be aborted, and the thread never
 * be let go. The helper has nothing of ours but a socket; it ends when that is closed.
 *
 * How it waits. syncfs(2) begins the write-back of exactly the dirty files, of which only the
 * kernel knows, and returns when all WRITEs are queued, not when they are answered. So the helper
 * then reads `file` past the page cache (O_DIRECT). That READ is queued behind the WRITEs (all are
 * what the kernel calls background requests, a queue in order); when it is answered, every WRITE
 * has been handed to one of our threads. The rest is up to intake_wait_stores(). Not waited for: a
 * file that another process truncates, allocates, closes or syncs at that very moment, whose WRITEs
 * the kernel may hold back until that is done.
 *
 * Threads: any. Flushes that are asked for while one runs share the next one. */
#ifndef ONWARD_MOUNT_FLUSHER_H
#define ONWARD_MOUNT_FLUSHER_H

struct flusher;

/* Starts the helper: before there is anything that it should not inherit, if it can be had. `file`:
 * absolute; a file of the mount that is never empty and quickly read. */
int flusher_new(const char *file, struct flusher **ret);
/* Returns when the WRITEs of all that was stored before have been handed over. -ESHUTDOWN: it has
 * been stopped; -errno: the file cannot be opened or read, or there is no helper. */
int flusher_run(struct flusher *f);
/* Lets those go who wait in flusher_run(). */
void flusher_stop(struct flusher *f);
/* When nothing can keep the helper waiting: the connection is gone. NULL is allowed. */
void flusher_free(struct flusher *f);

#endif
