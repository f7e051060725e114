/* Random operations on two directories that must never differ: a workspace of a mount, and its twin
 * on a filesystem that is right by definition. Each operation is done on both sides; results,
 * errors and, every now and then, everything that can be seen are compared.
 *
 *   fsx.c        the loop, the events that the runner (staging_fsx.py) answers for, reporting
 *   fsx_ops.c    the operations on files and names, and the table of them
 *   fsx_io.c     the operations on open files: reading, writing, maps
 *   fsx_same.c   comparing what both sides show
 *
 * State: up to HANDLES open files and DIRS open directories (each open on both sides, whatever
 * becomes of their names), and paths that existed once. Everything follows from the seed. */
#ifndef ONWARD_TESTS_FSX_H
#define ONWARD_TESTS_FSX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"

enum { MOUNTED, TWIN, SIDES };

#define HANDLES   16
#define DIRS      4
#define KNOWN     300
#define SIZE_MOST 200000 /* of a file */
#define IO_MOST   66000  /* of a read or write */
#define DEPTH     4
#define TRACE     40 /* operations that are told when something fails */

/* Operations set times to a second between these; what else a file has is from now. */
#define STAMP_FIRST 1000000000
#define STAMP_LAST  1000100000

struct handle {
    int fd[SIDES]; /* -1: closed */
    int flags;
    char *map[SIDES];
    size_t mapped;
    ino_t ino; /* in the mount; stays for as long as it is open */
};

struct fsx {
    uint64_t random;
    long n; /* operations so far */
    size_t said;
    bool tell;
    int root[SIDES];
    struct handle files[HANDLES];
    int dirs[DIRS][SIDES];
    char *known[KNOWN];
    char *trace[TRACE];
    char *data[SIDES]; /* IO_MOST bytes each */
    struct {
        VEC(ino_t);
    } inodes; /* seen in the mount */
};

/* Both sides' answer to one call: what it returned, or -errno. */
struct answer {
    long v[SIDES];
};

/* `call` may use `s`, the side. */
#define ON_BOTH(answer, call)                                                                      \
    for (int s = 0; s < SIDES; s++) {                                                              \
        long r_ = (call);                                                                          \
        (answer).v[s] = r_ < 0 ? -errno : r_;                                                      \
    }

/* For descriptors, whose numbers do not matter. */
static inline long opened(int fd)
{
    return fd < 0 ? -1 : 0;
}

/* Where a path starts and what it is. */
struct place {
    int fd[SIDES];
    const char *path;
};

struct operation {
    const char *name;
    int weight;
    void (*run)(struct fsx *f);
};
extern const struct operation file_operations[], name_operations[]; /* end with no name */

/* fsx.c */
uint64_t below(struct fsx *f, uint64_t n);
bool chance(struct fsx *f, int percent);
/* Says what is about to be done. */
void say(struct fsx *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The sides differ: says so, how it came to this, and ends. */
_Noreturn void differ(struct fsx *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Ends unless both sides gave the same answer; is it a success? */
bool agreed(struct fsx *f, const struct answer *a);
void remember(struct fsx *f, const char *path);
/* Closes all that is open; the maps are written back before. */
void close_all(struct fsx *f);

/* fsx_io.c */
struct handle *any_file(struct fsx *f);
struct handle *free_file(struct fsx *f);
void close_file(struct fsx *f, struct handle *h);
void write_back(struct handle *h);

/* fsx_same.c: each ends the program when the sides differ. */
void same_attributes(struct fsx *f, const struct stat st[SIDES], const char *what);
void same_names(struct fsx *f, const int fd[SIDES], const char *what);
void same_open_file(struct fsx *f, struct handle *h);
/* Everything: names, kinds, bytes, targets, sizes, modes, set times, and every open file.
 * `modes`: else only the execute bit is compared, and the twin then gets the mount's modes. */
void same_everything(struct fsx *f, bool modes);

#endif
