/* Calls on attributes: modes, owners, times, what stat(2) and statfs(2) say. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "script.h"

static const char *kind(mode_t mode)
{
    return S_ISDIR(mode)    ? "dir"
           : S_ISREG(mode)  ? "file"
           : S_ISLNK(mode)  ? "link"
           : S_ISFIFO(mode) ? "fifo"
           : S_ISSOCK(mode) ? "socket"
                            : "device";
}

/* A directory's size and number of links are the file system's own affair. */
static void say_stat(struct script *s, int r, const struct stat *st)
{
    if (r < 0) {
        say_errno(errno);
        return;
    }
    say("%s %04o inode %zu", kind(st->st_mode), st->st_mode & 07777, inode_label(s, st->st_ino));
    if (!S_ISDIR(st->st_mode))
        say(" size %lld links %ld", (long long)st->st_size, (long)st->st_nlink);
    else if (!st->st_nlink)
        say(" removed");
    if (st->st_uid != geteuid() || st->st_gid != getegid())
        say(" owner %u:%u", st->st_uid, st->st_gid);
}

static void call_stat(struct script *s)
{
    struct stat st;
    int r = stat(s->word[1], &st);

    say_stat(s, r, &st);
}

static void call_lstat(struct script *s)
{
    struct stat st;
    int r = lstat(s->word[1], &st);

    say_stat(s, r, &st);
}

static void call_fstat(struct script *s)
{
    struct stat st;
    int r = fstat(file(s, s->word[1]), &st);

    say_stat(s, r, &st);
}

/* links PATH: of a directory */
static void call_links(struct script *s)
{
    struct stat st;

    if (stat(s->word[1], &st) < 0)
        say_errno(errno);
    else
        say("%ld", (long)st.st_nlink);
}

/* blocks PATH: has it any? */
static void call_blocks(struct script *s)
{
    struct stat st;

    if (stat(s->word[1], &st) < 0)
        say_errno(errno);
    else
        say("%s, at most its size: %s", st.st_blocks ? "some" : "none",
            st.st_blocks * 512 < st.st_size + 65536 ? "yes" : "no");
}

/* Modes and owners */

static void call_chmod(struct script *s)
{
    say_done(chmod(s->word[1], number(s->word[2])));
}

static void call_fchmod(struct script *s)
{
    say_done(fchmod(file(s, s->word[1]), number(s->word[2])));
}

/* lchmod PATH MODE */
static void call_lchmod(struct script *s)
{
    say_done(fchmodat(AT_FDCWD, s->word[1], number(s->word[2]), AT_SYMLINK_NOFOLLOW));
}

static void call_umask(struct script *s)
{
    say("%04o", umask(number(s->word[1])));
}

/* `me`, `-` (stays), or a number */
static long owner(const char *word, long me)
{
    return !strcmp(word, "me") ? me : number(word);
}

static void call_chown(struct script *s)
{
    say_done(chown(s->word[1], owner(s->word[2], geteuid()), owner(s->word[3], getegid())));
}

static void call_lchown(struct script *s)
{
    say_done(lchown(s->word[1], owner(s->word[2], geteuid()), owner(s->word[3], getegid())));
}

static void call_fchown(struct script *s)
{
    int fd = file(s, s->word[1]);

    say_done(fchown(fd, owner(s->word[2], geteuid()), owner(s->word[3], getegid())));
}

static const struct bit access_modes[] = {
    {"r", R_OK}, {"w", W_OK}, {"x", X_OK}, {"f", F_OK}, {NULL}};

/* access PATH r|w|x */
static void call_access(struct script *s)
{
    say_done(access(s->word[1], bits(access_modes, s->word[2])));
}

/* eaccess PATH r|w|x */
static void call_eaccess(struct script *s)
{
    say_done(faccessat(AT_FDCWD, s->word[1], bits(access_modes, s->word[2]), AT_EACCESS));
}

/* Times */

/* `now`, `omit`, SECONDS[.NANOSECONDS] */
static struct timespec time_of(const char *word)
{
    struct timespec t = {0};
    char *end;

    if (!strcmp(word, "now"))
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (!strcmp(word, "omit"))
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    t.tv_sec = strtoll(word, &end, 10);
    if (*end == '.')
        t.tv_nsec = strtol(end + 1, NULL, 10);
    return t;
}

/* utimens PATH ATIME MTIME */
static void call_utimens(struct script *s)
{
    struct timespec t[2] = {time_of(s->word[2]), time_of(s->word[3])};

    say_done(utimensat(AT_FDCWD, s->word[1], t, 0));
}

static void call_lutimens(struct script *s)
{
    struct timespec t[2] = {time_of(s->word[2]), time_of(s->word[3])};

    say_done(utimensat(AT_FDCWD, s->word[1], t, AT_SYMLINK_NOFOLLOW));
}

static void call_futimens(struct script *s)
{
    struct timespec t[2] = {time_of(s->word[2]), time_of(s->word[3])};

    say_done(futimens(file(s, s->word[1]), t));
}

static void say_time(struct timespec t)
{
    int64_t now = clock_real() / NS_PER_SEC;

    if (t.tv_sec > now - 600 && t.tv_sec < now + 600)
        say("now");
    else
        say("%lld.%09ld", (long long)t.tv_sec, t.tv_nsec);
}

/* times PATH: atime and mtime, `now` if about now */
static void call_times(struct script *s)
{
    struct stat st;

    if (lstat(s->word[1], &st) < 0) {
        say_errno(errno);
        return;
    }
    say_time(st.st_atim);
    say(" ");
    say_time(st.st_mtim);
}

static int compare(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? (a.tv_sec < b.tv_sec ? -1 : 1)
                                : (a.tv_nsec > b.tv_nsec) - (a.tv_nsec < b.tv_nsec);
}

/* mark PATH: remembers its times, and waits until a change must give others */
static void call_mark(struct script *s)
{
    struct timespec now, begin;

    if (lstat(s->word[1], &s->mark) < 0) {
        say_errno(errno);
        return;
    }
    clock_gettime(CLOCK_REALTIME_COARSE, &begin);
    do {
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (compare(now, begin) <= 0 || (compare(now, s->mark.st_ctim) <= 0));
    say("0");
}

static const char *change(struct timespec before, struct timespec after)
{
    int c = compare(after, before);

    return c > 0 ? "later" : c < 0 ? "earlier" : "same";
}

/* changed PATH: how its times compare with the mark */
static void call_changed(struct script *s)
{
    struct stat st;

    if (lstat(s->word[1], &st) < 0)
        say_errno(errno);
    else
        say("mtime %s, ctime %s", change(s->mark.st_mtim, st.st_mtim),
            change(s->mark.st_ctim, st.st_ctim));
}

/* fchanged SLOT */
static void call_fchanged(struct script *s)
{
    struct stat st;

    if (fstat(file(s, s->word[1]), &st) < 0)
        say_errno(errno);
    else
        say("mtime %s, ctime %s", change(s->mark.st_mtim, st.st_mtim),
            change(s->mark.st_ctim, st.st_ctim));
}

/* The file system */

static bool plausible(const struct statvfs *v)
{
    return v->f_bsize >= 512 && v->f_frsize >= 512 && v->f_blocks > 0 &&
           v->f_bfree <= v->f_blocks && v->f_bavail <= v->f_bfree && v->f_files >= v->f_ffree;
}

static void call_statfs(struct script *s)
{
    struct statvfs v;

    if (statvfs(s->word[1], &v) < 0)
        say_errno(errno);
    else
        say("names %lu, %s", v.f_namemax, plausible(&v) ? "plausible" : "implausible");
}

static void call_fstatfs(struct script *s)
{
    struct statvfs v;

    if (fstatvfs(file(s, s->word[1]), &v) < 0)
        say_errno(errno);
    else
        say("names %lu, %s", v.f_namemax, plausible(&v) ? "plausible" : "implausible");
}

/* Is less free on the disk of a file after so many bytes were added and made durable? -1: errno. */
static int shrinks(int fd, long size)
{
    static char block[1 << 16];
    struct statvfs before, after;

    if (fstatvfs(fd, &before) < 0)
        return -1;
    for (long done = 0; done < size; done += sizeof(block))
        if (write(fd, block, sizeof(block)) != sizeof(block))
            return -1;
    if (fsync(fd) < 0 || fstatvfs(fd, &after) < 0)
        return -1;
    return before.f_bfree * before.f_frsize > after.f_bfree * after.f_frsize;
}

/* shrinks SLOT BYTES: does the free space, when that many are written and made durable? Others use
 * the disk, too, and may give back more meanwhile, so it is asked a few times. */
static void call_shrinks(struct script *s)
{
    int fd = file(s, s->word[1]), r = 0;

    for (int tries = 0; tries < 10 && r == 0; tries++)
        r = shrinks(fd, number(s->word[2]));
    if (r < 0)
        say_errno(errno);
    else
        say("%s", r ? "yes" : "no");
}

/* pathconf PATH NAME */
static void call_pathconf(struct script *s)
{
    static const struct bit names[] = {
        {"name", _PC_NAME_MAX},          {"path", _PC_PATH_MAX},
        {"link", _PC_LINK_MAX},          {"notrunc", _PC_NO_TRUNC},
        {"chown", _PC_CHOWN_RESTRICTED}, {"filesizebits", _PC_FILESIZEBITS},
        {"symlinks", _PC_2_SYMLINKS},    {NULL}};

    errno = 0;
    say_result(pathconf(s->word[1], bits(names, s->word[2])));
}

/* Extended attributes */

static void call_setxattr(struct script *s)
{
    say_done(setxattr(s->word[1], s->word[2], s->word[3], strlen(s->word[3]), 0));
}

static void call_getxattr(struct script *s)
{
    char value[256];
    ssize_t n = getxattr(s->word[1], s->word[2], value, sizeof(value));

    if (n < 0)
        say_errno(errno);
    else
        say_bytes(value, n);
}

static void call_listxattr(struct script *s)
{
    char names[1024];

    say_result(listxattr(s->word[1], names, sizeof(names)));
}

static void call_removexattr(struct script *s)
{
    say_done(removexattr(s->word[1], s->word[2]));
}

const struct call attribute_calls[] = {
    {"stat", 1, call_stat},
    {"lstat", 1, call_lstat},
    {"fstat", 1, call_fstat},
    {"links", 1, call_links},
    {"blocks", 1, call_blocks},
    {"chmod", 2, call_chmod},
    {"fchmod", 2, call_fchmod},
    {"lchmod", 2, call_lchmod},
    {"umask", 1, call_umask},
    {"chown", 3, call_chown},
    {"lchown", 3, call_lchown},
    {"fchown", 3, call_fchown},
    {"access", 2, call_access},
    {"eaccess", 2, call_eaccess},
    {"utimens", 3, call_utimens},
    {"lutimens", 3, call_lutimens},
    {"futimens", 3, call_futimens},
    {"times", 1, call_times},
    {"mark", 1, call_mark},
    {"changed", 1, call_changed},
    {"fchanged", 1, call_fchanged},
    {"statfs", 1, call_statfs},
    {"fstatfs", 1, call_fstatfs},
    {"shrinks", 2, call_shrinks},
    {"pathconf", 2, call_pathconf},
    {"setxattr", 3, call_setxattr},
    {"getxattr", 2, call_getxattr},
    {"listxattr", 1, call_listxattr},
    {"removexattr", 2, call_removexattr},
    {NULL},
};
