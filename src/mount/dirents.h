/* The entries of a directory on their way to the kernel: one READDIR or READDIRPLUS reply. */
#ifndef ONWARD_MOUNT_DIRENTS_H
#define ONWARD_MOUNT_DIRENTS_H

#include "mount/requests.h"

/* What the kernel asks for: entries of the node `dir`, whose id is `id`, behind `cookie`, at most
 * `size` bytes of them; `plus`: with attributes, wherever they are to be had. */
struct dirents_asked {
    struct node *dir;
    uint64_t id, cookie;
    size_t size;
    bool plus;
};
void dirents_reply(fuse_req_t req, const struct dirents_asked *asked);

#endif
