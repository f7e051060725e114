/* Calls on names: making, removing, moving, listing, walking. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "script.h"

/* mkdir PATH [MODE] */
static void call_mkdir(struct script *s)
{
    say_done(mkdir(s->word[1], s->word[2] ? number(s->word[2]) : 0777));
}

static void call_rmdir(struct script *s)
{
    say_done(rmdir(s->word[1]));
}

static void call_unlink(struct script *s)
{
    say_done(unlink(s->word[1]));
}

/* rename FROM TO */
static void call_rename(struct script *s)
{
    say_done(rename(s->word[1], s->word[2]));
}

/* rename2 FROM TO FLAGS */
static void call_rename2(struct script *s)
{
    static const struct bit flags[] = {{"noreplace", RENAME_NOREPLACE},
                                       {"exchange", RENAME_EXCHANGE},
                                       {"whiteout", RENAME_WHITEOUT},
                                       {"unknown", 1 << 10},
                                       {NULL}};

    say_done(renameat2(AT_FDCWD, s->word[1], AT_FDCWD, s->word[2], bits(flags, s->word[3])));
}

/* renameat FD FROM FD TO */
static void call_renameat(struct script *s)
{
    say_done(renameat(file(s, s->word[1]), s->word[2], file(s, s->word[3]), s->word[4]));
}

static void call_mkdirat(struct script *s)
{
    say_done(mkdirat(file(s, s->word[1]), s->word[2], 0777));
}

static void call_unlinkat(struct script *s)
{
    say_done(unlinkat(file(s, s->word[1]), s->word[2], s->word[3] ? AT_REMOVEDIR : 0));
}

/* link FROM TO [follow] */
static void call_link(struct script *s)
{
    int flags = s->word[3] ? AT_SYMLINK_FOLLOW : 0;

    say_done(linkat(AT_FDCWD, s->word[1], AT_FDCWD, s->word[2], flags));
}

static void call_symlink(struct script *s)
{
    say_done(symlink(s->word[1], s->word[2]));
}

/* readlink PATH [SIZE] */
static void call_readlink(struct script *s)
{
    char target[PATH_MAX + 1];
    size_t size = s->word[2] ? number(s->word[2]) : sizeof(target);
    ssize_t n = readlink(s->word[1], target, size);

    if (n < 0)
        say_errno(errno);
    else
        say_bytes(target, n);
}

/* mknod PATH reg|fifo|socket|char|block [MODE] */
static void call_mknod(struct script *s)
{
    static const struct bit kinds[] = {
        {"reg", S_IFREG},   {"fifo", S_IFIFO}, {"socket", S_IFSOCK}, {"char", S_IFCHR},
        {"block", S_IFBLK}, {"dir", S_IFDIR},  {"link", S_IFLNK},    {NULL}};
    mode_t mode = s->word[3] ? number(s->word[3]) : 0644;

    say_done(mknod(s->word[1], bits(kinds, s->word[2]) | mode, 0x0103));
}

/* bind PATH: a socket is given that name */
static void call_bind(struct script *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", s->word[1]);
    say_done(bind(fd, (struct sockaddr *)&at, sizeof(at)));
}

/* Listing */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char letter(mode_t mode)
{
    return S_ISDIR(mode) ? '/' : S_ISLNK(mode) ? '@' : S_ISREG(mode) ? ' ' : '?';
}

struct list {
    VEC(char *);
};

static void list_done(struct list *l)
{
    vec_foreach (name, l)
        free(*name);
    free(l->v);
}

static int read_list(const char *path, struct list *out)
{
    DIR *d = opendir(path);
    struct dirent *e;

    if (!d)
        return -errno;
    while ((e = readdir(d)))
        *VEC_ADD(out) = xasprintf("%s%c", e->d_name, letter(DTTOIF(e->d_type)));
    closedir(d);
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), by_name);
    return 0;
}

static void say_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        say(isgraph((unsigned char)name[i]) ? "%c" : "\\x%02x", (unsigned char)name[i]);
    say(" ");
}

/* ls PATH: names with kinds, sorted; "." and ".." are only counted */
static void call_ls(struct script *s)
{
    _cleanup_(list_done) struct list l = {0};
    int r = read_list(s->word[1], &l), dots = 0;

    if (r < 0) {
        say_errno(-r);
        return;
    }
    vec_foreach (name, &l) {
        size_t len = strlen(*name);
        if (!strcmp(*name, "./") || !strcmp(*name, "../"))
            dots++;
        else
            say_name(*name, len - ((*name)[len - 1] == ' '));
    }
    say("(%d)", dots);
}

/* opendir SLOT PATH */
static void call_opendir(struct script *s)
{
    DIR *d = opendir(s->word[2]);

    if (d)
        s->dirs[slot(s->word[1])] = d;
    say_done(d ? 0 : -1);
}

/* readdir SLOT [N]: how many entries come, at most N */
static void call_readdir(struct script *s)
{
    DIR *d = s->dirs[slot(s->word[1])];
    long most = s->word[2] ? number(s->word[2]) : LONG_MAX, n = 0;

    errno = 0;
    while (d && n < most && readdir(d))
        n++;
    if (errno)
        say_errno(errno);
    else
        say("%ld", n);
}

static void call_rewinddir(struct script *s)
{
    rewinddir(s->dirs[slot(s->word[1])]);
    say("0");
}

/* Walking */

static void call_chdir(struct script *s)
{
    say_done(chdir(s->word[1]));
}

static void call_fchdir(struct script *s)
{
    say_done(fchdir(file(s, s->word[1])));
}

/* getcwd: from the case's directory on */
static void call_getcwd(struct script *s)
{
    char path[PATH_MAX];
    long n = syscall(SYS_getcwd, path, sizeof(path));
    size_t home = strlen(s->directory);

    if (n < 0)
        say_errno(errno);
    else if (!strncmp(path, s->directory, home))
        say("$D%s", path + home);
    else
        say("elsewhere");
}

static void call_home(struct script *s)
{
    say_done(fchdir(s->home));
}

const struct call name_calls[] = {
    {"mkdir", 1, call_mkdir},         {"rmdir", 1, call_rmdir},
    {"unlink", 1, call_unlink},       {"rename", 2, call_rename},
    {"rename2", 3, call_rename2},     {"renameat", 4, call_renameat},
    {"mkdirat", 2, call_mkdirat},     {"unlinkat", 2, call_unlinkat},
    {"link", 2, call_link},           {"symlink", 2, call_symlink},
    {"readlink", 1, call_readlink},   {"mknod", 2, call_mknod},
    {"bind", 1, call_bind},           {"ls", 1, call_ls},
    {"opendir", 2, call_opendir},     {"readdir", 1, call_readdir},
    {"rewinddir", 1, call_rewinddir}, {"chdir", 1, call_chdir},
    {"fchdir", 1, call_fchdir},       {"getcwd", 0, call_getcwd},
    {"home", 0, call_home},           {NULL},
};
