/* Taking a mount over from a process that has died, while others use it.
 *
 * Whoever mounts with a successor in mind (mount_config.succession) leaves, when the kernel is
 * answered for the first time, in a park (base/park.h) that outlives it: the connection
 * (/dev/fuse), what has been agreed with the kernel and which requests are done (once.h), and what
 * the kernel knows (tree/legacy.h). A successor who finds that there
 *   1. plays the kernel's first request (INIT) to libfuse again, and keeps the answer to itself, if
 *      it is the same as then;
 *   2. has the kernel send again what was taken and not answered (FUSE_NOTIFY_RESEND, Linux 6.9);
 *   3. makes the kernel ask again for all that it keeps until it is told otherwise, because nobody
 *      knows what the dead one still had to tell.
 * While nobody serves, the kernel keeps everybody waiting.
 *
 * Without the kernel's help (2) nothing is left in the park, and the mount ends with its process.
 *
 * Lost with a process: files that were removed and are still open (-ESTALE), pieces of unfinished
 * command lines, and commands that were running (-ECONNABORTED). */
#ifndef ONWARD_MOUNT_TAKEOVER_H
#define ONWARD_MOUNT_TAKEOVER_H

#include <sys/uio.h>

#include "base/diag.h"
#include "mount/mount.h"
#include "mount/requests.h"
#include "tree/legacy.h"

struct takeover;

int takeover_new(const struct succession *s, struct takeover **ret, struct diag *reterr);
void takeover_free(struct takeover *t);
/* The connection that has been found; -1: there was none, we are the first. */
int takeover_fd(const struct takeover *t);
struct once *takeover_once(struct takeover *t);
struct legacy *takeover_legacy(struct takeover *t);

/* 1 and 2: before the loop. -EPROTO: we would not have agreed to the same. */
int takeover_begin(struct takeover *t, struct fuse_session *session, struct diag *reterr);
/* 3. Tells of everything, by and by. */
void takeover_tell(struct takeover *t, struct front *f);

/* All reads and writes of the session pass here. True: it was answered here, with `*ret` as of
 * read(2), writev(2). */
bool takeover_read(struct takeover *t, void *buf, size_t len, ssize_t *ret);
bool takeover_write(struct takeover *t, const struct iovec *iov, int count, ssize_t *ret);
/* What has been read. True: it was the kernel's first request, sent again, because the first
 * process died in the moment when it had left everything and had not yet answered it. It is
 * answered now; the next is to be read. */
bool takeover_saw_read(struct takeover *t, const void *buf, ssize_t len);
/* What is about to be written: with the first answer, the first process leaves everything. */
void takeover_sees_write(struct takeover *t, int fd, const struct iovec *iov, int count);

/* Nobody is to come after us. */
void takeover_renounce(struct takeover *t);
/* Unmounts what libfuse has not mounted for us, unless it is unmounted already. */
void takeover_unmount(struct takeover *t, const char *mountpoint);

#endif
