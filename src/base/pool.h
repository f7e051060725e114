/* A pool of threads that run jobs in the order in which they came. Threads are started when there
 * is work for them, up to `threads`, and kept. */
#ifndef ONWARD_BASE_POOL_H
#define ONWARD_BASE_POOL_H

struct pool;

/* `name` is the threads' name (at most 15 bytes). */
struct pool *pool_new(const char *name, int threads);
/* Queues fn(arg). Never blocks, never fails. Who submits bounds how much. */
void pool_submit(struct pool *p, void (*fn)(void *arg), void *arg);
/* Runs what is queued, waits for all of it, ends the threads. NULL is allowed. */
void pool_free(struct pool *p);

#endif
