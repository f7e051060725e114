/* Calls on content: opening, reading, writing, sizes, holes, copies, mappings, durability. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "script.h"

static const struct bit open_flags[] = {
    {"ro", O_RDONLY},
    {"wo", O_WRONLY},
    {"rw", O_RDWR},
    {"creat", O_CREAT},
    {"excl", O_EXCL},
    {"trunc", O_TRUNC},
    {"append", O_APPEND},
    {"nofollow", O_NOFOLLOW},
    {"dir", O_DIRECTORY},
    {"tmpfile", O_TMPFILE},
    {"path", O_PATH},
    {"direct", O_DIRECT},
    {"nonblock", O_NONBLOCK},
    {"sync", O_SYNC},
    {"dsync", O_DSYNC},
    {"noatime", O_NOATIME},
    {NULL},
};

/* open SLOT PATH FLAGS [MODE] */
static void call_open(struct script *s)
{
    mode_t mode = s->word[4] ? number(s->word[4]) : 0666;
    int fd = open(s->word[2], bits(open_flags, s->word[3]) | O_CLOEXEC, mode);

    say_done(fd);
    put_file(s, s->word[1], fd);
}

/* openat SLOT DIRECTORY-SLOT PATH FLAGS */
static void call_openat(struct script *s)
{
    int flags = bits(open_flags, s->word[4]) | O_CLOEXEC;
    int fd = openat(file(s, s->word[2]), s->word[3], flags, 0666);

    say_done(fd);
    put_file(s, s->word[1], fd);
}

static void call_close(struct script *s)
{
    say_done(close(file(s, s->word[1])));
    s->fds[slot(s->word[1])] = -1;
}

/* dup SLOT SLOT: the second gets the first's */
static void call_dup(struct script *s)
{
    int fd = fcntl(file(s, s->word[1]), F_DUPFD_CLOEXEC, 0);

    say_done(fd);
    put_file(s, s->word[2], fd);
}

/* setfl SLOT FLAGS */
static void call_setfl(struct script *s)
{
    say_done(fcntl(file(s, s->word[1]), F_SETFL, bits(open_flags, s->word[2])));
}

/* put PATH WORD: a file with that content, made or overwritten */
static void call_put(struct script *s)
{
    _cleanup_close_ int fd = open(s->word[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0)
        say_errno(errno);
    else
        say_result(write(fd, s->word[2], strlen(s->word[2])));
}

static void say_file(int fd)
{
    struct stat st;
    _cleanup_free_ char *data = NULL;

    if (fstat(fd, &st) < 0 || st.st_size > DATA_MOST) {
        say("%s", st.st_size > DATA_MOST ? "large" : strerrorname_np(errno));
        return;
    }
    data = xcalloc(1, st.st_size + 1);
    ssize_t n = pread(fd, data, st.st_size + 1, 0);
    if (n < 0)
        say_errno(errno);
    else
        say_bytes(data, n);
}

/* cat PATH: size and content */
static void call_cat(struct script *s)
{
    _cleanup_close_ int fd = open(s->word[1], O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        say_errno(errno);
    else
        say_file(fd);
}

static void call_fcat(struct script *s)
{
    say_file(file(s, s->word[1]));
}

/* read SLOT N [OFFSET] */
static void call_read(struct script *s)
{
    size_t size = number(s->word[2]);
    _cleanup_free_ char *data = xcalloc(1, size + 1);
    int fd = file(s, s->word[1]);
    ssize_t n = s->word[3] ? pread(fd, data, size, number(s->word[3])) : read(fd, data, size);

    if (n < 0)
        say_errno(errno);
    else
        say_bytes(data, n);
}

/* write SLOT WORD [OFFSET] */
static void call_write(struct script *s)
{
    const char *data = s->word[2];
    int fd = file(s, s->word[1]);

    say_result(s->word[3] ? pwrite(fd, data, strlen(data), number(s->word[3]))
                          : write(fd, data, strlen(data)));
}

/* fill SLOT N OFFSET [SEED]: N bytes that differ */
static void call_fill(struct script *s)
{
    size_t size = number(s->word[2]);
    off_t off = number(s->word[3]);
    _cleanup_free_ char *data = xmalloc(size + 1);

    pattern(data, size, off, s->word[4] ? number(s->word[4]) : 0);
    say_result(pwrite(file(s, s->word[1]), data, size, off));
}

/* writev SLOT WORD WORD */
static void call_writev(struct script *s)
{
    struct iovec v[2] = {{s->word[2], strlen(s->word[2])}, {s->word[3], strlen(s->word[3])}};

    say_result(writev(file(s, s->word[1]), v, 2));
}

/* readv SLOT N N */
static void call_readv(struct script *s)
{
    char data[256] = "";
    size_t a = number(s->word[2]), b = number(s->word[3]);
    struct iovec v[2] = {{data, a}, {data + a, b}};
    ssize_t n = readv(file(s, s->word[1]), v, 2);

    if (n < 0)
        say_errno(errno);
    else
        say_bytes(data, n);
}

/* pwritev2 SLOT WORD OFFSET FLAGS */
static void call_pwritev2(struct script *s)
{
    static const struct bit flags[] = {
        {"append", RWF_APPEND}, {"dsync", RWF_DSYNC}, {"sync", RWF_SYNC},
        {"hipri", RWF_HIPRI},   {"none", 0},          {NULL}};
    struct iovec v = {s->word[2], strlen(s->word[2])};
    off_t off = number(s->word[3]);

    say_result(pwritev2(file(s, s->word[1]), &v, 1, off, bits(flags, s->word[4])));
}

#define DIRECT_SIZE 4096

/* direct SLOT write|read OFFSET: an aligned block */
static void call_direct(struct script *s)
{
    void *data = NULL;
    int fd = file(s, s->word[1]);

    if (posix_memalign(&data, DIRECT_SIZE, DIRECT_SIZE))
        abort();
    pattern(data, DIRECT_SIZE, number(s->word[3]), 9);
    if (!strcmp(s->word[2], "write")) {
        say_result(pwrite(fd, data, DIRECT_SIZE, number(s->word[3])));
    } else {
        ssize_t n = pread(fd, data, DIRECT_SIZE, number(s->word[3]));
        if (n < 0)
            say_errno(errno);
        else
            say_bytes(data, n);
    }
    free(data);
}

/* seek SLOT OFFSET set|cur|end|data|hole */
static void call_seek(struct script *s)
{
    static const struct bit whence[] = {{"set", SEEK_SET},
                                        {"cur", SEEK_CUR},
                                        {"end", SEEK_END},
                                        {"data", SEEK_DATA},
                                        {"hole", SEEK_HOLE},
                                        {"unknown", 99},
                                        {NULL}};

    say_result(lseek(file(s, s->word[1]), number(s->word[2]), bits(whence, s->word[3])));
}

static void call_truncate(struct script *s)
{
    say_done(truncate(s->word[1], number(s->word[2])));
}

static void call_ftruncate(struct script *s)
{
    say_done(ftruncate(file(s, s->word[1]), number(s->word[2])));
}

/* fallocate SLOT MODE OFFSET LENGTH */
static void call_fallocate(struct script *s)
{
    static const struct bit modes[] = {{"plain", 0},
                                       {"keep", FALLOC_FL_KEEP_SIZE},
                                       {"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE},
                                       {"barepunch", FALLOC_FL_PUNCH_HOLE},
                                       {"zero", FALLOC_FL_ZERO_RANGE},
                                       {"collapse", FALLOC_FL_COLLAPSE_RANGE},
                                       {"insert", FALLOC_FL_INSERT_RANGE},
                                       {NULL}};

    say_done(fallocate(file(s, s->word[1]), bits(modes, s->word[2]), number(s->word[3]),
                       number(s->word[4])));
}

/* copyrange FROM TO LENGTH [FROM-OFFSET TO-OFFSET] */
static void call_copyrange(struct script *s)
{
    off_t from = number(s->word[4]), to = number(s->word[5]);
    bool placed = s->word[5];

    say_result(copy_file_range(file(s, s->word[1]), placed ? &from : NULL, file(s, s->word[2]),
                               placed ? &to : NULL, number(s->word[3]), 0));
}

/* sendfile FROM TO LENGTH */
static void call_sendfile(struct script *s)
{
    say_result(sendfile(file(s, s->word[2]), file(s, s->word[1]), NULL, number(s->word[3])));
}

/* splice FROM TO LENGTH: through a pipe */
static void call_splice(struct script *s)
{
    int p[2];

    if (pipe2(p, O_CLOEXEC) < 0)
        abort();
    ssize_t in = splice(file(s, s->word[1]), NULL, p[1], NULL, number(s->word[3]), 0);
    if (in < 0) {
        say_errno(errno);
    } else {
        close(p[1]);
        say_result(splice(p[0], NULL, file(s, s->word[2]), NULL, in, 0));
        p[1] = -1;
    }
    close(p[0]);
    if (p[1] >= 0)
        close(p[1]);
}

/* Mappings. What faults says SIGBUS. */

static sigjmp_buf faulted;

static void on_fault(int signal)
{
    siglongjmp(faulted, 1);
}

/* mmap SLOT FILE-SLOT LENGTH shared|private r|rw|rx */
static void call_mmap(struct script *s)
{
    static const struct bit kinds[] = {{"shared", MAP_SHARED}, {"private", MAP_PRIVATE}, {NULL}};
    static const struct bit rights[] = {
        {"r", PROT_READ}, {"rw", PROT_READ | PROT_WRITE}, {"rx", PROT_READ | PROT_EXEC}, {NULL}};
    size_t len = number(s->word[3]);
    void *at =
        mmap(NULL, len, bits(rights, s->word[5]), bits(kinds, s->word[4]), file(s, s->word[2]), 0);

    say_done(at == MAP_FAILED ? -1 : 0);
    if (at != MAP_FAILED) {
        s->maps[slot(s->word[1])].at = at;
        s->maps[slot(s->word[1])].len = len;
    }
}

/* poke SLOT WORD OFFSET */
static void call_poke(struct script *s)
{
    volatile char *at = s->maps[slot(s->word[1])].at;
    long off = number(s->word[3]);

    signal(SIGBUS, on_fault);
    if (sigsetjmp(faulted, 1)) {
        say("SIGBUS");
        return;
    }
    for (size_t i = 0; s->word[2][i]; i++)
        at[off + i] = s->word[2][i];
    say("0");
}

/* peek SLOT N OFFSET */
static void call_peek(struct script *s)
{
    const char *at = s->maps[slot(s->word[1])].at;

    signal(SIGBUS, on_fault);
    if (sigsetjmp(faulted, 1))
        say("SIGBUS");
    else
        say_bytes(at + number(s->word[3]), number(s->word[2]));
}

static void call_msync(struct script *s)
{
    say_done(msync(s->maps[slot(s->word[1])].at, s->maps[slot(s->word[1])].len, MS_SYNC));
}

static void call_munmap(struct script *s)
{
    say_done(munmap(s->maps[slot(s->word[1])].at, s->maps[slot(s->word[1])].len));
    s->maps[slot(s->word[1])].at = NULL;
}

/* Durability */

static void call_fsync(struct script *s)
{
    say_done(fsync(file(s, s->word[1])));
}

static void call_fdatasync(struct script *s)
{
    say_done(fdatasync(file(s, s->word[1])));
}

static void call_syncfs(struct script *s)
{
    say_done(syncfs(file(s, s->word[1])));
}

static void call_syncrange(struct script *s)
{
    int all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

    say_done(sync_file_range(file(s, s->word[1]), 0, 0, all));
}

static void call_fadvise(struct script *s)
{
    say_errno(posix_fadvise(file(s, s->word[1]), 0, 0, POSIX_FADV_DONTNEED));
}

/* fsize N: the largest file that this process may make (in a child) */
static void call_fsize(struct script *s)
{
    say_done(setrlimit(RLIMIT_FSIZE, &(struct rlimit){number(s->word[1]), number(s->word[1])}));
}

const struct call data_calls[] = {
    {"open", 3, call_open},
    {"openat", 4, call_openat},
    {"close", 1, call_close},
    {"dup", 2, call_dup},
    {"setfl", 2, call_setfl},
    {"put", 2, call_put},
    {"cat", 1, call_cat},
    {"fcat", 1, call_fcat},
    {"read", 2, call_read},
    {"write", 2, call_write},
    {"fill", 3, call_fill},
    {"writev", 3, call_writev},
    {"readv", 3, call_readv},
    {"pwritev2", 4, call_pwritev2},
    {"direct", 3, call_direct},
    {"seek", 3, call_seek},
    {"truncate", 2, call_truncate},
    {"ftruncate", 2, call_ftruncate},
    {"fallocate", 4, call_fallocate},
    {"copyrange", 3, call_copyrange},
    {"sendfile", 3, call_sendfile},
    {"splice", 3, call_splice},
    {"mmap", 5, call_mmap},
    {"poke", 3, call_poke},
    {"peek", 3, call_peek},
    {"msync", 1, call_msync},
    {"munmap", 1, call_munmap},
    {"fsync", 1, call_fsync},
    {"fdatasync", 1, call_fdatasync},
    {"syncfs", 1, call_syncfs},
    {"syncrange", 1, call_syncrange},
    {"fadvise", 1, call_fadvise},
    {"fsize", 1, call_fsize},
    {NULL},
};
