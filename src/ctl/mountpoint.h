/* The mount that the command line speaks to, and the files in it: all that `onward` knows of the
 * fleet it reads from there, and all that it does it writes there.
 *
 * Paths are relative to the root of the mount. Errors are -errno with a reason that names the file
 * as the user sees it; when the daemon has died every call gives -ENOTCONN with words on how to get
 * out. */
#ifndef ONWARD_CTL_MOUNTPOINT_H
#define ONWARD_CTL_MOUNTPOINT_H

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/json.h"
#include "ctl/mountinfo.h"

struct mountpoint {
    char *path;   /* absolute */
    char *inside; /* the working directory, relative to the root; NULL when it is elsewhere */
    int fd;
};

/* Which mount is meant, in this order: the one that holds the working directory `cwd`; `env`
 * (ONWARD_MOUNT, may be NULL), which may also name a directory that only looks like a mount (a
 * copy, a mount of another host's mount); the only one in the table. `explicit`: the user named the
 * directory
 * (-C), so nothing but what holds it will do. Sets path and inside. -ENODEV: none, -ENOTUNIQ:
 * several. */
int mountpoint_choose(const struct mountinfo *table, const char *cwd, const char *env, int explicit,
                      struct mountpoint *ret, struct diag *reterr);
/* Changes to `dir` (-C) unless NULL, chooses a mount and opens it. */
int mountpoint_open(const char *dir, struct mountpoint *ret, struct diag *reterr);
void mountpoint_close(struct mountpoint *m);
/* Holds it no longer, so that it can be unmounted; and holds it again. */
void mountpoint_leave(struct mountpoint *m);
int mountpoint_return(struct mountpoint *m, struct diag *reterr);

/* The whole file, onto the end of `out`. */
int mountpoint_read(const struct mountpoint *m, const char *path, struct buf *out,
                    struct diag *reterr);
/* The same without newlines at the end, for what is one line or a few. */
int mountpoint_read_trimmed(const struct mountpoint *m, const char *path, struct buf *out,
                            struct diag *reterr);
int mountpoint_read_json(const struct mountpoint *m, const char *path, json_t **ret,
                         struct diag *reterr);
/* Where the symlink points; yours. -EINVAL when it is no symlink. */
int mountpoint_readlink(const struct mountpoint *m, const char *path, char **ret,
                        struct diag *reterr);
/* One write of one line (the newline is added), as a shell's `echo LINE > path`. What the write
 * fails with is what the command failed with. */
int mountpoint_command(const struct mountpoint *m, const char *path, const char *line,
                       struct diag *reterr);
/* Replaces the content of an ordinary file. */
int mountpoint_replace(const struct mountpoint *m, const char *path, const char *text,
                       struct diag *reterr);

/* The names in a directory in version order ("9" before "10"), without "." and "..". Zero is empty.
 */
struct names {
    VEC(char *);
};
int mountpoint_list(const struct mountpoint *m, const char *path, struct names *ret,
                    struct diag *reterr);
void names_done(struct names *n);

#endif
