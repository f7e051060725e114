/* The kernel's table of mounts as this process sees it, from /proc/self/mountinfo (proc(5)). Only
 * what is needed to find an onwardfs mount is kept. Names there are escaped: "\040" is a blank. */
#ifndef ONWARD_CTL_MOUNTINFO_H
#define ONWARD_CTL_MOUNTINFO_H

#include <stddef.h>

#include "base/alloc.h"
#include "base/diag.h"

#define MOUNTINFO_TYPE "fuse.onwardfs"

struct mount_entry {
    char *root;  /* which part of the filesystem is mounted; "/" is all of it */
    char *point; /* absolute path of the mount point */
    char *type;  /* "ext4", "fuse.onwardfs", … */
};

/* In the kernel's order: of two mounts at one place the later one is seen. Zero is a valid empty
 * table. */
struct mountinfo {
    VEC(struct mount_entry);
};

/* Adds the entries of `text`; lines of an unknown shape are passed over. */
void mountinfo_parse(const char *text, struct mountinfo *ret);
/* Reads the table of this process. */
int mountinfo_read(struct mountinfo *ret, struct diag *reterr);
void mountinfo_done(struct mountinfo *m);

/* The mount that the absolute path `path` is in, or NULL. Borrowed. */
const struct mount_entry *mountinfo_holding(const struct mountinfo *m, const char *path);
/* Whether the entry is a whole onwardfs (not a bind mount of a part of one). */
int mount_entry_is_ours(const struct mount_entry *e);
/* The part of `path` below `dir` ("" for `dir` itself, no leading slash), NULL if it is not in
 * there. */
const char *path_below(const char *path, const char *dir);

#endif
