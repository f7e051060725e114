/* Requests of the kernel, answered by nodes: the table of operations that libfuse calls. */
#ifndef ONWARD_MOUNT_REQUESTS_H
#define ONWARD_MOUNT_REQUESTS_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "base/pool.h"
#include "mount/evictor.h"
#include "mount/flusher.h"
#include "mount/intake.h"
#include "mount/notifier.h"
#include "mount/once.h"
#include "mount/prefetch.h"
#include "tree/table.h"

/* The session's user data. */
struct front {
    struct fuse_session *session;
    struct node_table *table;
    struct pool *slow;         /* for NODE_SLOW */
    struct notifier *notifier; /* of nodes; waits for pages at most */
    struct notifier *names;    /* of entries; waits for requests that hold their directory */
    struct prefetch *prefetch;
    struct evictor *evictor;
    struct flusher *flusher; /* NULL: nothing can be written */
    struct intake *intake;
    struct once *once; /* NULL: nobody comes after us */
    uid_t uid;         /* owner of what has no owner of its own */
    gid_t gid;
    void (*ready)(void *arg); /* called at INIT */
    void *ready_arg;
};

extern const struct fuse_lowlevel_ops requests;

#endif
