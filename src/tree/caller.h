/* Who asks: the user and group of the process behind a request, as the kernel says. */
#ifndef ONWARD_TREE_CALLER_H
#define ONWARD_TREE_CALLER_H

#include <sys/types.h>

struct caller {
    uid_t uid;
    gid_t gid;
};

/* The caller of the request that this thread is answering. Ops that change something are given
 * theirs; this is for the few reads that depend on who asks (an outcome is read by the user whose
 * it is). */
struct caller caller_current(void);
/* Set by the FUSE front before it calls an op. */
void caller_set_current(const struct caller *who);

#endif
