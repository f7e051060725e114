/* Who asks: the user and group of the process behind a request, as the kernel says. */
#ifndef ONWARD_TREE_CALLER_H
#define ONWARD_TREE_CALLER_H

#include <sys/types.h>

struct caller {
    uid_t uid;
    gid_t gid;
    mode_t umask;
};

#endif
