#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "fsx.h"

static bool is_stamp(const struct stat *st)
{
    return st->st_mtim.tv_sec >= STAMP_FIRST && st->st_mtim.tv_sec < STAMP_LAST;
}

/* Directories have sizes and links of their own on each side. */
void same_attributes(struct fsx *f, const struct stat st[SIDES], const char *what)
{
    const struct stat *a = &st[MOUNTED], *b = &st[TWIN];

    if (a->st_mode != b->st_mode)
        differ(f, "%s: mode %o, not %o", what, a->st_mode, b->st_mode);
    if (S_ISDIR(a->st_mode))
        return;
    if (a->st_size != b->st_size)
        differ(f, "%s: size %jd, not %jd", what, (intmax_t)a->st_size, (intmax_t)b->st_size);
    if (a->st_nlink != b->st_nlink)
        differ(f, "%s: %ju links, not %ju", what, (uintmax_t)a->st_nlink, (uintmax_t)b->st_nlink);
    if ((is_stamp(a) || is_stamp(b)) &&
        (a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec))
        differ(f, "%s: mtime %jd.%09ld, not %jd.%09ld", what, (intmax_t)a->st_mtim.tv_sec,
               a->st_mtim.tv_nsec, (intmax_t)b->st_mtim.tv_sec, b->st_mtim.tv_nsec);
}

/* Names */

struct names {
    VEC(char *);
};

static void names_done(struct names *l)
{
    vec_foreach (name, l)
        free(*name);
    free(l->v);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The number in a listing is the one that the entry has. */
static void same_number(struct fsx *f, int fd, const struct dirent *e, const char *what)
{
    struct stat st;

    if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino != e->d_ino)
        differ(f, "%s: %s is listed as inode %ju and is %ju", what, e->d_name, (uintmax_t)e->d_ino,
               (uintmax_t)st.st_ino);
}

/* "name" with its kind behind a slash, sorted. */
static void read_names(struct fsx *f, int fd, const char *what, struct names *out)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = own < 0 ? NULL : fdopendir(own);

    if (!d) { /* removed, and known only by its descriptor */
        if (errno != ENOENT)
            differ(f, "%s: cannot be listed: %s", what, strerror(errno));
        return;
    }
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
            same_number(f, own, e, what);
            *VEC_ADD(out) = xasprintf("%s/%d", e->d_name, e->d_type);
        }
    closedir(d);
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), by_text);
}

static void same_lists(struct fsx *f, const struct names l[SIDES], const char *what)
{
    for (size_t i = 0; i < l[MOUNTED].n || i < l[TWIN].n; i++) {
        const char *a = i < l[MOUNTED].n ? l[MOUNTED].v[i] : "nothing";
        const char *b = i < l[TWIN].n ? l[TWIN].v[i] : "nothing";
        if (strcmp(a, b))
            differ(f, "%s: lists %s where the twin lists %s", what, a, b);
    }
}

static void list_both(struct fsx *f, const int fd[SIDES], const char *what, struct names l[SIDES])
{
    for (int s = 0; s < SIDES; s++)
        read_names(f, fd[s], what, &l[s]);
    same_lists(f, l, what);
}

void same_names(struct fsx *f, const int fd[SIDES], const char *what)
{
    struct names l[SIDES] = {0};

    list_both(f, fd, what, l);
    names_done(&l[MOUNTED]);
    names_done(&l[TWIN]);
}

/* Content */

static void same_bytes(struct fsx *f, const int fd[SIDES], const char *what)
{
    struct buf b[SIDES] = {0};

    for (int s = 0; s < SIDES; s++) {
        char piece[4096];
        ssize_t n;
        while ((n = pread(fd[s], piece, sizeof(piece), b[s].len)) > 0)
            buf_add(&b[s], piece, n);
        if (n < 0)
            differ(f, "%s: cannot be read: %s", what, strerror(errno));
    }
    size_t i = 0, most = b[MOUNTED].len < b[TWIN].len ? b[MOUNTED].len : b[TWIN].len;
    while (i < most && b[MOUNTED].data[i] == b[TWIN].data[i])
        i++;
    if (i < b[MOUNTED].len || i < b[TWIN].len)
        differ(f, "%s: content differs at %zu (%zu bytes, twin %zu)", what, i, b[MOUNTED].len,
               b[TWIN].len);
    buf_done(&b[MOUNTED]);
    buf_done(&b[TWIN]);
}

static void same_links(struct fsx *f, const int fd[SIDES], const char *name, const char *what)
{
    char target[SIDES][PATH_MAX];
    struct answer a;

    ON_BOTH(a, readlinkat(fd[s], name, target[s], sizeof(target[s])));
    if (a.v[MOUNTED] != a.v[TWIN] || a.v[TWIN] < 0 ||
        memcmp(target[MOUNTED], target[TWIN], a.v[TWIN]) != 0)
        differ(f, "%s: another target", what);
}

void same_open_file(struct fsx *f, struct handle *h)
{
    struct stat st[SIDES];
    struct answer a;

    say(f, "compare open file %d", (int)(h - f->files));
    ON_BOTH(a, fstat(h->fd[s], &st[s]));
    if (!agreed(f, &a))
        return;
    same_attributes(f, st, "an open file");
    if (st[MOUNTED].st_ino != h->ino)
        differ(f, "an open file was inode %ju and is %ju", (uintmax_t)h->ino,
               (uintmax_t)st[MOUNTED].st_ino);
    if ((h->flags & O_ACCMODE) != O_WRONLY)
        same_bytes(f, h->fd, "an open file");
}

/* The whole tree, without recursion: directories that are still to be seen. */
struct todo {
    VEC(char *);
};

/* What a commit or rebase may change is taken over by the twin: bits other than the execute bit. */
static void adopt_mode(struct fsx *f, struct stat st[SIDES], const int fd[SIDES], const char *name)
{
    bool runs[SIDES] = {st[MOUNTED].st_mode & 0100, st[TWIN].st_mode & 0100};

    if (S_ISLNK(st[TWIN].st_mode) || (S_ISREG(st[TWIN].st_mode) && runs[MOUNTED] != runs[TWIN]))
        return;
    if (fchmodat(fd[TWIN], name, st[MOUNTED].st_mode & 07777, 0) < 0)
        differ(f, "twin: chmod: %s", strerror(errno));
    st[TWIN].st_mode = (st[TWIN].st_mode & S_IFMT) | (st[MOUNTED].st_mode & 07777);
}

static int by_number(const void *a, const void *b)
{
    const ino_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* No two of what is there at once. */
static void all_numbers_differ(struct fsx *f)
{
    if (f->inodes.n)
        qsort(f->inodes.v, f->inodes.n, sizeof(*f->inodes.v), by_number);
    for (size_t i = 1; i < f->inodes.n; i++)
        if (f->inodes.v[i] == f->inodes.v[i - 1])
            differ(f, "inode %ju is there twice", (uintmax_t)f->inodes.v[i]);
    f->inodes.n = 0;
}

static void same_child(struct fsx *f, const int fd[SIDES], const char *name, const char *path,
                       bool modes)
{
    struct stat st[SIDES];
    struct answer a;

    ON_BOTH(a, fstatat(fd[s], name, &st[s], AT_SYMLINK_NOFOLLOW));
    if (!agreed(f, &a))
        differ(f, "%s: listed, but not there", path);
    *VEC_ADD(&f->inodes) = st[MOUNTED].st_ino;
    if (!modes) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st[MOUNTED].st_mtim};
        adopt_mode(f, st, fd, name);
        if (is_stamp(&st[TWIN]) && utimensat(fd[TWIN], name, times, AT_SYMLINK_NOFOLLOW) == 0)
            st[TWIN].st_mtim = st[MOUNTED].st_mtim;
    }
    same_attributes(f, st, path);
    if (S_ISLNK(st[TWIN].st_mode))
        same_links(f, fd, name, path);
    if (!S_ISREG(st[TWIN].st_mode))
        return;
    int both[SIDES];
    ON_BOTH(a, opened(both[s] = openat(fd[s], name, O_RDONLY | O_CLOEXEC)));
    if (!agreed(f, &a))
        differ(f, "%s: cannot be opened: %s", path, strerror(-a.v[MOUNTED]));
    same_bytes(f, both, path);
    close(both[MOUNTED]);
    close(both[TWIN]);
}

static void same_directory(struct fsx *f, const char *path, bool modes, struct todo *todo)
{
    struct names l[SIDES] = {0};
    struct answer a;
    int fd[SIDES];

    ON_BOTH(a, opened(fd[s] = openat(f->root[s], path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    if (!agreed(f, &a))
        differ(f, "%s: cannot be opened", path);
    list_both(f, fd, path, l);
    vec_foreach (name, &l[TWIN]) {
        char *kind = strrchr(*name, '/');
        *kind = 0;
        char *child = strcmp(path, ".") ? xasprintf("%s/%s", path, *name) : xstrdup(*name);
        same_child(f, fd, *name, child, modes);
        remember(f, child);
        if (strtol(kind + 1, NULL, 10) == DT_DIR)
            *VEC_ADD(todo) = child;
        else
            free(child);
    }
    for (int s = 0; s < SIDES; s++) {
        names_done(&l[s]);
        close(fd[s]);
    }
}

void same_everything(struct fsx *f, bool modes)
{
    struct todo todo = {0};

    say(f, "compare everything");
    *VEC_ADD(&todo) = xstrdup(".");
    for (size_t i = 0; i < todo.n; i++) {
        same_directory(f, todo.v[i], modes, &todo);
        free(todo.v[i]);
    }
    free(todo.v);
    all_numbers_differ(f);
    for (int i = 0; i < HANDLES; i++)
        if (f->files[i].fd[TWIN] >= 0)
            same_open_file(f, &f->files[i]);
}
