/* Makes durable what several threads have written to one filesystem, with one syncfs() for all of
 * them where each would have called fsync() for every file and directory. Group commit: who comes
 * while nobody syncs, syncs at once; who comes meanwhile waits, and one of those does the next one,
 * for all.
 *
 * syncfs() also waits for what others have written there, so it is worth it for many only: who
 * joins while few are at it is told to sync by itself, and so is who writes to a filesystem of
 * which it is not known that syncfs() is as good as fsync() (one in user space, or of another
 * host).
 *
 * Errors: writing back may fail long before anybody asks, for a file that its writer has closed. A
 * filesystem says so once to each open file, so one file is kept open as long as anybody has
 * joined, and whoever has joined before such an error came up is told: its own writes may have
 * been those.
 *
 * Thread-safe; a member belongs to one thread. Private to this folder. */
#ifndef ONWARD_DEPLOY_SYNC_GROUP_H
#define ONWARD_DEPLOY_SYNC_GROUP_H

#include <stdbool.h>
#include <stdint.h>

/* From so many on it is done together. */
#define SYNC_GROUP_FROM 8

struct sync_group;
struct sync_group *sync_group_new(void);
/* Nobody may be in it. NULL is allowed. */
void sync_group_free(struct sync_group *g);

/* One who writes. */
struct sync_member {
    struct sync_group *group;
    struct sync_disk *disk;
    bool together;   /* sync_member_wait() is to be called; false: fsync() */
    uint64_t errors; /* of the disk when it joined */
};

/* Joins, before anything is written; `fd` is a directory of the filesystem that it will be on.
 * sync_member_leave() it. */
void sync_group_join(struct sync_group *g, int fd, struct sync_member *ret);
/* Of a member that is told to do it together: returns when everything that it has written is on the
 * disk, names included. -errno: it may not be. */
int sync_member_wait(struct sync_member *m);
/* Of one that has not joined, or has left: nothing. */
void sync_member_leave(struct sync_member *m);

#endif
