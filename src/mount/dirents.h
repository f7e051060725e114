/* The entries of a directory on their way to the kernel: one READDIR or READDIRPLUS reply. */
#ifndef ONWARD_MOUNT_DIRENTS_H
#define ONWARD_MOUNT_DIRENTS_H

#include "mount/requests.h"

/* Answers with the entries behind `cookie`, at most `size` bytes of them; `plus`: with attributes,
 * wherever they are to be had. */
void dirents_reply(fuse_req_t req, struct node *dir, uint64_t cookie, size_t size, bool plus);

#endif
