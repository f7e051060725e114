/* Taking a mount away that nobody serves any more. */
#ifndef ONWARD_MOUNT_UNMOUNT_H
#define ONWARD_MOUNT_UNMOUNT_H

/* Unmounts what is mounted there, now or when the last who uses it has left; by fusermount3(1) who
 * may not do so himself. What fails is logged. */
void unmount_lazily(const char *mountpoint);

#endif
