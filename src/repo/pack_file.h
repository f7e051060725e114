/* A file of a pack directory, which is read from many threads: kept open, or, where there are more
 * of them than descriptors, opened for each read. Always with pread(2): what is cut short under us
 * is an error, never a signal. Inside src/repo only. */
#ifndef ONWARD_REPO_PACK_FILE_H
#define ONWARD_REPO_PACK_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct pack_file {
    char *path;
    int fd; /* -1: at rest */
    uint64_t size;
    dev_t dev; /* what tells it from another file of the same name */
    ino_t ino;
    struct timespec mtime;
};

/* -errno; -EBADMSG: not a regular file. On failure, nothing is to be done. */
int pack_file_open(struct pack_file *f, const char *path);
void pack_file_done(struct pack_file *f);
/* Gives the descriptor back; before others know the file. */
void pack_file_rest(struct pack_file *f);
/* Whether the file with this status is the one that was opened. */
bool pack_file_is(const struct pack_file *f, const struct stat *st);

/* Opens it once more: a descriptor that is the caller's. -EBADMSG: it is gone, or another; else
 * -errno. */
int pack_file_wake(const struct pack_file *f);
/* `len` bytes at `at`, all of them. -EBADMSG: it is shorter, or, at rest, gone or another; else
 * -errno. */
int pack_file_read(const struct pack_file *f, void *buf, size_t len, uint64_t at);

#endif
