/* An overlay: a directory on a local filesystem (the upper) that holds what was changed, over a
 * tree of the repository (the base) that holds everything else. Works on one directory at a time,
 * given as its two sides; knows no nodes, no locks, no paths.
 *
 * The upper mirrors the tree, entry for entry:
 *   - a regular file or symlink stands for itself and hides the base's entry of that name;
 *   - a directory that carries the attribute `user.onward.base` is merged with the tree that it
 *     names (not necessarily the one that the base has at its place: so a directory of the base is
 *     renamed without copying it); without the attribute it is all there is;
 *   - a FIFO is a whiteout: nothing is there, whatever the base has (users cannot make FIFOs). A
 *     character device 0:0 is one too: that is what RENAME_WHITEOUT leaves.
 * What is absent in the upper is as the base has it. Submodules of the base show as empty
 * directories.
 *
 * More attributes keep what the upper's own inode cannot: `user.onward.ino`, the inode number
 * of what came from the base, and `user.onward.mode`, the permission bits when the real ones are
 * wider (we must be able to read and write, whatever mode the user chose). `user.onward.reserved`
 * says how far fallocate(2) has reserved room behind a file's end.
 *
 * Invariants
 *   O1  Each change of a name is one operation of the local filesystem, so that after a crash it
 *       has happened or not. The two exceptions leave nothing lost: a directory that is moved over
 *       an empty one (the empty one may be gone before the other arrives), and a file moved on a
 *       filesystem without RENAME_WHITEOUT (the old name may show again).
 *   O2  What is under construction is in `work`, whose content means nothing.
 *   O3  A symlink is never followed; names are single components.
 *
 * Inode numbers: numbers.h. overlay_find() gives the same for the same thing until `numbers` is
 * reset.
 *
 * Threads: calls that change an upper must exclude each other and the reading ones. Errors: -errno
 * of the local filesystem or of repo/. */
#ifndef ONWARD_STAGE_OVERLAY_H
#define ONWARD_STAGE_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/diag.h"
#include "repo/object.h"
#include "stage/numbers.h"
#include "stage/room.h"

struct overlay {
    struct repo *repo;
    int work; /* directory for what is under construction; same filesystem as the upper */
    struct numbers numbers;
    int64_t base_mtime; /* ns; of everything that is only in the base */
    _Atomic uint64_t temporaries;
};

/* One directory: its upper side (-1: none), the tree it is merged with (zero: none), its inode
 * number. */
struct overlay_dir {
    int fd;
    struct oid base;
    uint64_t ino;
};

/* What a name stands for. */
struct overlay_entry {
    mode_t type;          /* S_IFREG, S_IFDIR, S_IFLNK */
    bool upper;           /* it is in the upper; else as the base has it */
    enum entry_kind kind; /* of what the base has; ENTRY_MODULE: a submodule, never in the upper */
    struct oid base; /* file, link: its blob, unless upper; directory: the tree it is merged with */
    mode_t mode;     /* shown permission bits */
    uint64_t ino;
    uint64_t reserved; /* file: the end of what is reserved, 0 if nothing is */
};

/* Everything in the upper side of a directory, whiteouts included, sorted by name (strcmp). */
struct overlay_name {
    char *name;
    mode_t type; /* S_IFIFO: a whiteout */
    uint64_t ino;
};
struct overlay_names {
    VEC(struct overlay_name);
};
void overlay_names_done(struct overlay_names *names);
int overlay_upper_names(struct overlay *o, int fd, struct overlay_names *ret);

/* Moves an open directory of the upper to `name` in it, or to "..": so a walk of any depth needs
 * one descriptor. Unchanged when it fails. */
int overlay_go(int *fd, const char *name);

/* 0 if the filesystem at `dirfd` can hold uppers: extended attributes of users, exchanging renames,
 * FIFOs. Else -EOPNOTSUPP with a reason. */
int overlay_probe(int dirfd, struct diag *reterr);

/* -ENOENT if there is nothing (or a whiteout). */
int overlay_find(struct overlay *o, const struct overlay_dir *dir, const char *name,
                 struct overlay_entry *ret);
/* What the directory shows: base and upper merged, without whiteouts; sorted by name. */
int overlay_list(struct overlay *o, const struct overlay_dir *dir, struct overlay_names *ret);
/* 1 if it shows nothing, 0 if it does. */
int overlay_is_empty(struct overlay *o, const struct overlay_dir *dir);

/* The changing ones need dir->fd. They do not set the times of `dir`; see overlay_set_mtime(). */

/* A new empty file, open for reading and writing. The name must show nothing. */
int overlay_make_file(struct overlay *o, const struct overlay_dir *dir, const char *name,
                      mode_t mode, struct overlay_entry *ret, int *ret_fd);
int overlay_make_dir(struct overlay *o, const struct overlay_dir *dir, const char *name,
                     mode_t mode, struct overlay_entry *ret);
int overlay_make_link(struct overlay *o, const struct overlay_dir *dir, const char *name,
                      const char *target, struct overlay_entry *ret);
/* Brings what is only in the base into the upper, and says so in `e`: a directory as one merged
 * with its tree, a file or link with its content (`empty`: without). */
int overlay_copy_up(struct overlay *o, const struct overlay_dir *dir, const char *name, bool empty,
                    struct overlay_entry *e);
/* The content of the base's file `e` in a file without a name, open for reading and writing. */
int overlay_copy_nameless(struct overlay *o, const struct overlay_entry *e, int *ret_fd);
/* Removes what is there (a directory must show nothing). */
int overlay_remove(struct overlay *o, const struct overlay_dir *dir, const char *name,
                   const struct overlay_entry *e);
/* Moves `e`, which must be in the upper, over whatever `to_name` is (a directory must show
 * nothing). */
int overlay_rename(struct overlay *o, const struct overlay_dir *from, const char *name,
                   const struct overlay_entry *e, const struct overlay_dir *to,
                   const char *to_name);
/* Exchanges two names, both in the upper. */
int overlay_exchange(struct overlay *o, const struct overlay_dir *a, const char *a_name,
                     const struct overlay_dir *b, const char *b_name);

/* Sets the shown permission bits of an open file or directory of the upper. */
int overlay_set_mode(int fd, mode_t type, mode_t mode);
/* Makes an open directory of the upper merged with `base`. */
int overlay_set_base(int fd, const struct oid *base);
int overlay_set_mtime(int fd, int64_t mtime);
/* Notes on an open file of the upper how far it is reserved. */
int overlay_set_reserved(int fd, uint64_t reserved);

/* Room (room.h) */

/* What a file of that size takes. */
static inline int64_t overlay_room(const struct overlay_entry *e, int64_t size)
{
    int64_t least = (int64_t)e->reserved > ROOM_LEAST ? (int64_t)e->reserved : ROOM_LEAST;

    return size > least ? size : least;
}
/* What the file of that name in the upper takes, or -errno. */
int64_t overlay_file_room(int dirfd, const char *name);
/* What the upper has under that name takes, or -errno: 0 if there is nothing; a directory that
 * shows nothing with the whiteouts in it. */
int64_t overlay_room_at(struct overlay *o, int dirfd, const char *name);
/* What stays under that name when it is removed takes, or -errno: a whiteout if the base has
 * something there. */
int64_t overlay_room_left_behind(struct overlay *o, const struct overlay_dir *dir,
                                 const char *name);

#endif
