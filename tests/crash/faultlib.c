/* Faults on demand: stands between a program and its C library (LD_PRELOAD) and lets a test decide
 * which of the program's calls on certain files fail, or are its last.
 *
 * FAULT_ROOTS    directories, with colons between: calls on files below them count
 * FAULT_CONTROL  a file of the size of `struct control`, which the test shares: see there
 *
 * A call counts if it belongs to one of the kinds in `kinds`. From the `target`th on, `mode` says
 * what happens. tests/lib/faults.py is the other side. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum {
    KIND_OPEN = 1,     /* of what is there, for reading */
    KIND_OPEN_NEW = 2, /* for writing, or making */
    KIND_WRITE = 4,
    KIND_SYNC = 8,
    KIND_RENAME = 16,
    KIND_MAKE = 32, /* directories, links, FIFOs */
    KIND_REMOVE = 64,
    KIND_SIZE = 128,
    KIND_ATTRIBUTE = 256,
};

enum {
    MODE_COUNT,       /* nothing */
    MODE_ONCE,        /* the target fails */
    MODE_FROM_THEN,   /* it and all later ones fail */
    MODE_KILL_BEFORE, /* kill -9 of the program instead of the call */
    MODE_KILL_AFTER,  /* kill -9 when it has been made */
    MODE_HOLD,        /* the target waits until `release` is set */
    MODE_SHORT,       /* a write takes only half */
    MODE_NO_SYNC,     /* fsync and its like do nothing and say that all is well */
};

struct control {
    _Atomic uint32_t kinds, target, mode, err;
    _Atomic uint32_t count, hits, held, release;
    char what[480]; /* the first call that was hit */
};

static struct control *control;
static char *roots;

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("FAULT_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    roots = getenv("FAULT_ROOTS") ? strdup(getenv("FAULT_ROOTS")) : NULL;
    if (fd >= 0) {
        void *p = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        control = p == MAP_FAILED ? NULL : p;
        close(fd);
    }
    unsetenv("LD_PRELOAD"); /* not for what the program starts */
}

static bool is_below_root(const char *path)
{
    for (const char *r = roots; r && *r;
         r += r[strcspn(r, ":")] == ':' ? strcspn(r, ":") + 1 : strlen(r)) {
        size_t n = strcspn(r, ":");
        if (!strncmp(path, r, n) && (path[n] == '/' || !path[n]))
            return true;
    }
    return false;
}

static bool path_of_fd(int fd, char out[PATH_MAX])
{
    char link[64];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    if (n < 0)
        return false;
    out[n] = 0;
    return true;
}

static bool path_at(int dirfd, const char *name, char out[PATH_MAX])
{
    if (*name != '/' && dirfd == AT_FDCWD)
        return false; /* the daemon names its files in full */
    if (*name == '/') {
        snprintf(out, PATH_MAX, "%s", name);
        return true;
    }
    if (!path_of_fd(dirfd, out))
        return false;
    size_t n = strlen(out);
    snprintf(out + n, PATH_MAX - n, "/%s", name);
    return true;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* What is to be done about a call. */
enum verdict { GO, FAIL, KILL_AFTER, SHORT, PRETEND };

static void hold(void)
{
    control->held = 1;
    while (!control->release)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static enum verdict judge(unsigned kind, const char *call, const char *path)
{
    uint32_t mode = control->mode;

    if (!(control->kinds & kind) || !is_below_root(path))
        return GO;
    uint32_t n = ++control->count;
    if (mode == MODE_NO_SYNC)
        return kind == KIND_SYNC ? PRETEND : GO;
    if (mode == MODE_COUNT || n < control->target ||
        (n > control->target && mode != MODE_FROM_THEN))
        return GO;
    if (control->hits++ == 0)
        snprintf(control->what, sizeof(control->what), "%s %s", call, path);
    if (mode == MODE_KILL_BEFORE)
        die();
    if (mode == MODE_HOLD)
        hold();
    return mode == MODE_KILL_AFTER ? KILL_AFTER
           : mode == MODE_SHORT    ? SHORT
           : mode == MODE_HOLD     ? GO
                                   : FAIL;
}

static enum verdict judge_at(unsigned kind, const char *call, int dirfd, const char *name)
{
    char path[PATH_MAX];
    int keep = errno;
    enum verdict v = control && path_at(dirfd, name, path) ? judge(kind, call, path) : GO;

    errno = keep;
    return v;
}

static enum verdict judge_fd(unsigned kind, const char *call, int fd)
{
    char path[PATH_MAX];
    int keep = errno;
    enum verdict v = control && path_of_fd(fd, path) ? judge(kind, call, path) : GO;

    errno = keep;
    return v;
}

static void *next(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);

    if (!f)
        abort();
    return f;
}

/* Makes the call unless it is to fail; `...` is the call, with `real` as the next in line. */
#define CALL(judged, real_name, type, parameters, ...)                                             \
    static type(*real) parameters;                                                                 \
    if (!real)                                                                                     \
        real = next(real_name);                                                                    \
    enum verdict v = (judged);                                                                     \
    if (v == FAIL) {                                                                               \
        errno = control->err;                                                                      \
        return -1;                                                                                 \
    }                                                                                              \
    if (v == PRETEND)                                                                              \
        return 0;                                                                                  \
    type result = __VA_ARGS__;                                                                     \
    if (v == KILL_AFTER)                                                                           \
        die();                                                                                     \
    return result

static unsigned kind_of_open(int flags)
{
    return (flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT) ? KIND_OPEN : KIND_OPEN_NEW;
}

static mode_t mode_of_open(int flags, va_list ap)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode_t mode = mode_of_open(flags, ap);                                                     \
        va_end(ap);                                                                                \
        CALL(judge_at(kind_of_open(flags), "open", AT_FDCWD, path), #name, int,                    \
             (const char *, int, ...), real(path, flags, mode));                                   \
    }
#define OPENAT(name)                                                                               \
    int name(int dirfd, const char *path, int flags, ...)                                          \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode_t mode = mode_of_open(flags, ap);                                                     \
        va_end(ap);                                                                                \
        CALL(judge_at(kind_of_open(flags), "open", dirfd, path), #name, int,                       \
             (int, const char *, int, ...), real(dirfd, path, flags, mode));                       \
    }
/* As _FORTIFY_SOURCE calls them. */
#define OPEN_2(name)                                                                               \
    int name(const char *path, int flags)                                                          \
    {                                                                                              \
        CALL(judge_at(kind_of_open(flags), "open", AT_FDCWD, path), #name, int,                    \
             (const char *, int), real(path, flags));                                              \
    }
#define OPENAT_2(name)                                                                             \
    int name(int dirfd, const char *path, int flags)                                               \
    {                                                                                              \
        CALL(judge_at(kind_of_open(flags), "open", dirfd, path), #name, int,                       \
             (int, const char *, int), real(dirfd, path, flags));                                  \
    }

int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);

/* Compiled without _FILE_OFFSET_BITS, so that each name is itself. */
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
OPEN_2(__open_2)
OPEN_2(__open64_2)
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)

#define WRITE(name, parameters, full, half)                                                        \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        CALL(judge_fd(KIND_WRITE, "write", fd), #name, ssize_t, parameters,                        \
             v == SHORT && size > 1 ? half : full);                                                \
    }

WRITE(write, (int fd, const void *data, size_t size), real(fd, data, size),
      real(fd, data, size / 2))
WRITE(pwrite, (int fd, const void *data, size_t size, off_t at), real(fd, data, size, at),
      real(fd, data, size / 2, at))
WRITE(pwrite64, (int fd, const void *data, size_t size, off64_t at), real(fd, data, size, at),
      real(fd, data, size / 2, at))

#define ON_FD(kind, name)                                                                          \
    int name(int fd)                                                                               \
    {                                                                                              \
        CALL(judge_fd(kind, #name, fd), #name, int, (int), real(fd));                              \
    }

ON_FD(KIND_SYNC, fsync)
ON_FD(KIND_SYNC, fdatasync)
ON_FD(KIND_SYNC, syncfs)

int ftruncate64(int fd, off64_t size)
{
    CALL(judge_fd(KIND_SIZE, "ftruncate", fd), "ftruncate64", int, (int, off64_t), real(fd, size));
}

int fallocate64(int fd, int mode, off64_t at, off64_t size)
{
    CALL(judge_fd(KIND_SIZE, "fallocate", fd), "fallocate64", int, (int, int, off64_t, off64_t),
         real(fd, mode, at, size));
}

int rename(const char *from, const char *to)
{
    CALL(judge_at(KIND_RENAME, "rename", AT_FDCWD, to), "rename", int, (const char *, const char *),
         real(from, to));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    CALL(judge_at(KIND_RENAME, "rename", to_dir, to), "renameat", int,
         (int, const char *, int, const char *), real(from_dir, from, to_dir, to));
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    CALL(judge_at(KIND_RENAME, "rename", to_dir, to), "renameat2", int,
         (int, const char *, int, const char *, unsigned), real(from_dir, from, to_dir, to, flags));
}

int link(const char *from, const char *to)
{
    CALL(judge_at(KIND_MAKE, "link", AT_FDCWD, to), "link", int, (const char *, const char *),
         real(from, to));
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    CALL(judge_at(KIND_MAKE, "link", to_dir, to), "linkat", int,
         (int, const char *, int, const char *, int), real(from_dir, from, to_dir, to, flags));
}

int symlink(const char *target, const char *path)
{
    CALL(judge_at(KIND_MAKE, "symlink", AT_FDCWD, path), "symlink", int,
         (const char *, const char *), real(target, path));
}

int symlinkat(const char *target, int dirfd, const char *path)
{
    CALL(judge_at(KIND_MAKE, "symlink", dirfd, path), "symlinkat", int,
         (const char *, int, const char *), real(target, dirfd, path));
}

int mkdir(const char *path, mode_t mode)
{
    CALL(judge_at(KIND_MAKE, "mkdir", AT_FDCWD, path), "mkdir", int, (const char *, mode_t),
         real(path, mode));
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
    CALL(judge_at(KIND_MAKE, "mkdir", dirfd, path), "mkdirat", int, (int, const char *, mode_t),
         real(dirfd, path, mode));
}

int mkfifoat(int dirfd, const char *path, mode_t mode)
{
    CALL(judge_at(KIND_MAKE, "mkfifo", dirfd, path), "mkfifoat", int, (int, const char *, mode_t),
         real(dirfd, path, mode));
}

int unlink(const char *path)
{
    CALL(judge_at(KIND_REMOVE, "unlink", AT_FDCWD, path), "unlink", int, (const char *),
         real(path));
}

int rmdir(const char *path)
{
    CALL(judge_at(KIND_REMOVE, "rmdir", AT_FDCWD, path), "rmdir", int, (const char *), real(path));
}

int unlinkat(int dirfd, const char *path, int flags)
{
    CALL(judge_at(KIND_REMOVE, "unlink", dirfd, path), "unlinkat", int, (int, const char *, int),
         real(dirfd, path, flags));
}

int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
    CALL(judge_fd(KIND_ATTRIBUTE, "setxattr", fd), "fsetxattr", int,
         (int, const char *, const void *, size_t, int), real(fd, name, value, size, flags));
}

int fchmod(int fd, mode_t mode)
{
    CALL(judge_fd(KIND_ATTRIBUTE, "chmod", fd), "fchmod", int, (int, mode_t), real(fd, mode));
}

int futimens(int fd, const struct timespec times[2])
{
    CALL(judge_fd(KIND_ATTRIBUTE, "utime", fd), "futimens", int, (int, const struct timespec *),
         real(fd, times));
}
