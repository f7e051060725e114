/* A pool of threads that run jobs in the order in which they came. Threads are started when there
 * is work for them, up to `threads`, and kept.
 *
 * A job that waits for something that may itself need the pool (a command that looks at the mount)
 * says so: while it waits, another thread may run in its place, so that jobs that wait can never
 * keep all others from running. Who lets jobs wait bounds how many. */
#ifndef ONWARD_BASE_POOL_H
#define ONWARD_BASE_POOL_H

struct pool;

/* `name` is the threads' name (at most 15 bytes). */
struct pool *pool_new(const char *name, int threads);
/* Queues fn(arg). Never blocks, never fails. Who submits bounds how much. */
void pool_submit(struct pool *p, void (*fn)(void *arg), void *arg);
/* Around such a wait; nothing happens in a thread that belongs to no pool. Not nested. */
void pool_wait_begin(void);
void pool_wait_end(void);
/* Runs what is queued, waits for all of it, ends the threads. NULL is allowed. */
void pool_free(struct pool *p);

#endif
