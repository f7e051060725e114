/* Files of our own: whole reads, durable writes, directories. Every descriptor is close-on-exec;
 * paths are relative to `dirfd` (AT_FDCWD allowed). Errors are -errno. */
#ifndef ONWARD_BASE_IO_H
#define ONWARD_BASE_IO_H

#include <dirent.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/* Reads the whole file, at most `limit` bytes (-EFBIG beyond), onto the end of `out`. */
int io_read_file(int dirfd, const char *path, size_t limit, struct buf *out);
/* The same from an open descriptor, from its current position to its end. */
int io_read_fd(int fd, size_t limit, struct buf *out);
/* Writes all of it, whatever write(2) takes at a time. */
int io_write_full(int fd, const void *data, size_t len);
int io_pwrite_full(int fd, const void *data, size_t len, off_t at);
/* Replaces `path` by a file with these bytes so that after a crash it is the old or the new one,
 * never a part: temporary file beside it, fsync, rename, fsync of the directory. Durable on return.
 */
int io_replace_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode);
/* A new file in the directory `dir` for reading and writing that has no name, or has it no more.
 * The descriptor. */
int io_open_nameless(const char *dir);
/* fsync of the directory that holds `path`. */
int io_sync_parent(int dirfd, const char *path);
/* Opens a directory for readdir(); "." is `dirfd` itself, read from its start. */
int io_open_dir(int dirfd, const char *path, DIR **ret);
/* The next entry, never "." or "..", valid until the one after it. Returns 1, or 0 at the end. */
int io_next_entry(DIR *dir, struct dirent **ret);
/* mkdir -p. */
int io_make_dirs(int dirfd, const char *path, mode_t mode);
/* rm -rf of `path`, never following a symlink. 0 if it is not there. */
int io_remove_tree(int dirfd, const char *path);

#endif
