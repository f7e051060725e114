#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "fsx.h"

/* Few names, so that they meet; some that are not what a name usually is. */
static const char *const names[] = {"a",         "b",   "c.conf",    "d",    "e f",   "G",
                                    "\xff\x80x", "-rf", "new\nline", "x.sh", ".hide", "\xc3\xa9"};

static const char *any_name(struct fsx *f)
{
    return names[below(f, ARRAY_SIZE(names))];
}

/* A path that has existed, one beside it or below it, or any; often from an open directory. */
static struct place any_place(struct fsx *f, char path[PATH_MAX])
{
    struct place p = {{f->root[MOUNTED], f->root[TWIN]}, path};
    const char *known = f->known[below(f, KNOWN)];
    int *dir = f->dirs[below(f, DIRS)];

    if (dir[TWIN] >= 0 && chance(f, 10)) {
        memcpy(p.fd, dir, sizeof(p.fd));
        snprintf(path, PATH_MAX, "%s", any_name(f));
    } else if (known && chance(f, 60)) {
        snprintf(path, PATH_MAX, "%s", known);
    } else if (known && chance(f, 50)) {
        snprintf(path, PATH_MAX, "%s/%s", known, any_name(f));
    } else if (known && strrchr(known, '/')) {
        int len = strrchr(known, '/') - known;
        snprintf(path, PATH_MAX, "%.*s/%s", len, known, any_name(f));
    } else {
        snprintf(path, PATH_MAX, "%s", any_name(f));
    }
    int depth = 0;
    for (char *c = path; (c = strchr(c, '/')); c++)
        if (++depth >= DEPTH)
            return any_place(f, path);
    return p;
}

static const char *place_name(struct fsx *f, const struct place *p)
{
    for (int i = 0; i < DIRS; i++)
        if (p->fd[TWIN] == f->dirs[i][TWIN])
            return (const char *[]){"[dir 0]", "[dir 1]", "[dir 2]", "[dir 3]"}[i];
    return "";
}

static void tell_place(struct fsx *f, const char *verb, const struct place *p)
{
    say(f, "%s %s \"%s\"", verb, place_name(f, p), p->path);
}

/* It is there now. */
static void made(struct fsx *f, const struct place *p)
{
    if (p->fd[TWIN] == f->root[TWIN])
        remember(f, p->path);
}

static void do_open(struct fsx *f)
{
    static const int ways[] = {O_RDONLY, O_RDWR, O_RDWR, O_RDWR | O_APPEND, O_WRONLY};
    char path[PATH_MAX];
    struct handle *h = free_file(f);
    struct place p = any_place(f, path);
    int flags = ways[below(f, ARRAY_SIZE(ways))] | O_CLOEXEC;
    mode_t mode = chance(f, 30) ? 0755 : 0644;
    struct stat st;
    struct answer a;

    flags |= chance(f, 60) ? O_CREAT : 0;
    flags |= flags & O_CREAT && chance(f, 20) ? O_EXCL : 0;
    flags |= flags & O_ACCMODE && chance(f, 15) ? O_TRUNC : 0;
    flags |= chance(f, 10) ? O_NOFOLLOW : 0;
    say(f, "open %s \"%s\" as %d: flags %#o mode %o", place_name(f, &p), path, (int)(h - f->files),
        flags, mode);
    ON_BOTH(a, opened(h->fd[s] = openat(p.fd[s], path, flags, mode)));
    if (!agreed(f, &a))
        return;
    h->flags = flags;
    made(f, &p);
    if (fstat(h->fd[MOUNTED], &st) < 0 || !S_ISREG(st.st_mode))
        close_file(f, h);
    h->ino = st.st_ino;
}

static void do_opendir(struct fsx *f)
{
    char path[PATH_MAX];
    struct place p = any_place(f, path);
    int i = below(f, DIRS), fd[SIDES];
    struct answer a;

    say(f, "open directory %s \"%s\" as [dir %d]", place_name(f, &p), path, i);
    ON_BOTH(a, opened(fd[s] = openat(p.fd[s], path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    if (!agreed(f, &a))
        return;
    for (int s = 0; s < SIDES; s++) {
        if (f->dirs[i][s] >= 0)
            close(f->dirs[i][s]);
        f->dirs[i][s] = fd[s];
    }
}

static void do_list(struct fsx *f)
{
    int i = below(f, DIRS);

    say(f, "list [dir %d]", i);
    same_names(f, f->dirs[i][TWIN] < 0 ? f->root : f->dirs[i], "a directory");
}

static void do_mkdir(struct fsx *f)
{
    char path[PATH_MAX];
    struct place p = any_place(f, path);
    struct answer a;

    tell_place(f, "mkdir", &p);
    ON_BOTH(a, mkdirat(p.fd[s], path, 0755));
    if (agreed(f, &a))
        made(f, &p);
}

static void do_symlink(struct fsx *f)
{
    static const char *const targets[] = {"a", "d/b", "./c.conf", "nothing here", "\xff", "e f/a"};
    char path[PATH_MAX], target[PATH_MAX];
    struct place p = any_place(f, path);
    struct answer a;

    snprintf(target, sizeof(target), "%s", targets[below(f, ARRAY_SIZE(targets))]);
    if (chance(f, 10)) { /* as long as can be */
        memset(target, 't', sizeof(target));
        target[sizeof(target) - 1] = 0;
    }
    say(f, "symlink %s \"%s\" to %.20s", place_name(f, &p), path, target);
    ON_BOTH(a, symlinkat(target, p.fd[s], path));
    if (agreed(f, &a))
        made(f, &p);
}

static void do_unlink(struct fsx *f)
{
    char path[PATH_MAX];
    struct place p = any_place(f, path);
    struct answer a;

    tell_place(f, "unlink", &p);
    ON_BOTH(a, unlinkat(p.fd[s], path, 0));
    agreed(f, &a);
}

static void do_rmdir(struct fsx *f)
{
    char path[PATH_MAX];
    struct place p = any_place(f, path);
    struct answer a;

    tell_place(f, "rmdir", &p);
    ON_BOTH(a, unlinkat(p.fd[s], path, AT_REMOVEDIR));
    agreed(f, &a);
}

/* As rm -r; so the tree stays of a size that can be compared. */
static void do_remove_tree(struct fsx *f)
{
    char path[PATH_MAX];
    struct place p = any_place(f, path);

    tell_place(f, "rm -r", &p);
    for (int s = 0; s < SIDES; s++)
        io_remove_tree(p.fd[s], path);
}

static void do_rename(struct fsx *f)
{
    static const unsigned kinds[] = {0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    char path[PATH_MAX], to_path[PATH_MAX];
    struct place p = any_place(f, path), to = any_place(f, to_path);
    unsigned flags = kinds[below(f, ARRAY_SIZE(kinds))];
    struct answer a;

    say(f, "rename %s \"%s\" to %s \"%s\", flags %u", place_name(f, &p), path, place_name(f, &to),
        to_path, flags);
    ON_BOTH(a, renameat2(p.fd[s], path, to.fd[s], to_path, flags));
    if (agreed(f, &a))
        made(f, &to);
}

static void do_truncate(struct fsx *f)
{
    char path[PATH_MAX];
    struct place p = any_place(f, path);
    off_t size = chance(f, 30) ? 0 : below(f, 20000);
    struct answer a;
    int fd[SIDES];

    if (p.fd[TWIN] != f->root[TWIN])
        return;
    say(f, "open with O_TRUNC, truncate \"%s\": %jd", path, (intmax_t)size);
    ON_BOTH(a, opened(fd[s] = openat(p.fd[s], path, O_WRONLY | O_TRUNC | O_CLOEXEC)));
    if (!agreed(f, &a))
        return;
    ON_BOTH(a, ftruncate(fd[s], size));
    close(fd[MOUNTED]);
    close(fd[TWIN]);
    agreed(f, &a);
}

static void do_chmod(struct fsx *f)
{
    char path[PATH_MAX];
    struct place p = any_place(f, path);
    mode_t mode = (mode_t[]){0644, 0755, 0600, 0700}[below(f, 4)];
    struct stat st;
    struct answer a;

    /* Users other than root must be able to go on. */
    if (fstatat(p.fd[TWIN], path, &st, 0) == 0 && S_ISDIR(st.st_mode))
        mode |= 0700;
    say(f, "chmod %s \"%s\": %o", place_name(f, &p), path, mode);
    ON_BOTH(a, fchmodat(p.fd[s], path, mode, 0));
    agreed(f, &a);
}

/* Maps are written back first: a store counts when it reaches the file. */
static void do_utimens(struct fsx *f)
{
    char path[PATH_MAX];
    struct place p = any_place(f, path);
    time_t stamp = STAMP_FIRST + below(f, STAMP_LAST - STAMP_FIRST);
    struct timespec times[2] = {{stamp, 1}, {stamp, below(f, 1000000000)}};
    struct answer a;

    for (int i = 0; i < HANDLES; i++)
        write_back(&f->files[i]);
    say(f, "utimensat %s \"%s\": %jd", place_name(f, &p), path, (intmax_t)stamp);
    ON_BOTH(a, utimensat(p.fd[s], path, times, AT_SYMLINK_NOFOLLOW));
    agreed(f, &a);
}

static void do_stat(struct fsx *f)
{
    char path[PATH_MAX];
    struct place p = any_place(f, path);
    struct stat st[SIDES];
    struct answer a;
    int follow = chance(f, 50) ? AT_SYMLINK_NOFOLLOW : 0;

    tell_place(f, follow ? "lstat" : "stat", &p);
    ON_BOTH(a, fstatat(p.fd[s], path, &st[s], follow));
    if (agreed(f, &a))
        same_attributes(f, st, path);
}

static void do_sync_dir(struct fsx *f)
{
    int *dir = f->dirs[below(f, DIRS)];
    struct answer a;

    if (dir[TWIN] < 0)
        return;
    say(f, "fsync a directory");
    ON_BOTH(a, fsync(dir[s]));
    agreed(f, &a);
}

const struct operation name_operations[] = {
    {"open", 70, do_open},        {"opendir", 6, do_opendir},   {"list", 6, do_list},
    {"mkdir", 20, do_mkdir},      {"symlink", 8, do_symlink},   {"unlink", 22, do_unlink},
    {"rmdir", 10, do_rmdir},      {"rm-r", 5, do_remove_tree},  {"rename", 35, do_rename},
    {"truncate", 8, do_truncate}, {"chmod", 8, do_chmod},       {"utimens", 6, do_utimens},
    {"stat", 20, do_stat},        {"sync-dir", 1, do_sync_dir}, {0},
};
