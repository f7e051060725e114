/* The FUSE front: one session that serves a tree of nodes at a mount point. The only place that
 * knows FUSE. It replies to each request exactly once, and never notifies the kernel from inside a
 * request (notifier.h).
 *
 * How the kernel is used. OPEN, OPENDIR and FLUSH are answered ENOSYS, once each: from then on the
 * kernel opens files by itself, keeps listings and pages, and a walk over what it knows costs no
 * message. So nothing may hang on an open file; what a reader sees hangs on its node (tree/node.h,
 * "Caching"); what it keeps and should not any more it is told (notifier.h). A file that is made to
 * be written only is opened with direct I/O, which takes fewer messages. Files that are read one
 * after the other the kernel gets before it asks (prefetch.h). Symlinks are cached. Off:
 * write-back cache (errors of control files must reach the writer), O_TRUNC inside open (it would
 * be lost). Pages that somebody has written to in a mapping of a file that cannot change are
 * dropped when the kernel writes them back. Of files that can change, it is made to write them back
 * when somebody needs all that was stored (flusher.h, intake.h; node_table_flush).
 *
 * What a walk over what was walked before still costs: find and grep ask for the kind of filesystem
 * once a run, ls -l twice for labels and access lists; after a READ or READDIR the kernel asks once
 * more for the time of access, if the mount may be written to.
 *
 * Threads: libfuse's workers call the nodes' ops; how they wait for requests says vigil.h. Ops of
 * nodes with NODE_SLOW that may take long run in a pool of their own, so that a commit or a
 * generated file never keeps a reader waiting. */
#ifndef ONWARD_MOUNT_MOUNT_H
#define ONWARD_MOUNT_MOUNT_H

#include <stdbool.h>

#include "base/diag.h"
#include "base/park.h"
#include "tree/table.h"

/* Serving a mount as one of several processes, one after the other (takeover.h). */
struct succession {
    const struct park *park;
    struct parcel found; /* what the predecessor left: ours, and behind it the mount's. n 0: we are
                          * the first. The mount takes its part. */
    struct parcel ours;  /* what is to be left with the mount's own, by the first */
};

struct mount_config {
    const char *mountpoint; /* absolute; an empty directory */
    const char *source;     /* shown in the first column of /proc/mounts */
    bool allow_other;       /* others than the mounting user; brings check_modes */
    bool check_modes;       /* the kernel holds everybody to permission bits */
    bool read_only;
    struct node_bounds bounds; /* beyond which the kernel is told to forget: evictor.h */
    const char *short_file;    /* a file of the root that is never empty: see flusher.h */
    const char *options;       /* more options for libfuse or the kernel, comma-separated; NULL */
    const struct succession *succession; /* NULL: nobody comes before or after us */
};

struct mount;

/* Mounts `root`, or takes the mount over that config->succession has, which must stay as long as
 * the mount. -ENOENT, -ENOTDIR, -ENOTEMPTY, -ENOTCONN (a dead mount is there), -EPERM … with a
 * line that says what to do. */
int mount_new(const struct mount_config *config, struct node_table *table, struct node *root,
              struct mount **ret, struct diag *reterr);
/* Answers requests until the mount is unmounted or mount_end() is called. Calls ready(arg) once the
 * kernel has been answered. Returns 0, or -errno if the connection broke. */
int mount_serve(struct mount *m, void (*ready)(void *arg), void *arg);
/* Makes mount_serve() return, from another thread; waits until it does. If it has not been called
 * yet, it will return at once. */
void mount_end(struct mount *m);
/* Unmounts if it is still mounted, waits for running requests. NULL is allowed. */
void mount_free(struct mount *m);

#endif
