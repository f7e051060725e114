#include "stage/overlay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/map.h"
#include "tree/node.h"

#define XATTR_BASE     "user.onward.base"
#define XATTR_INO      "user.onward.ino"
#define XATTR_MODE     "user.onward.mode"
#define XATTR_RESERVED "user.onward.reserved"

#define SHOWN_BITS    01777 /* no set-id bits, ever */
#define TEMPORARY_MAX 32

/* Reading */

static bool is_whiteout(mode_t mode, dev_t rdev)
{
    return S_ISFIFO(mode) || (S_ISCHR(mode) && rdev == makedev(0, 0));
}

static uint64_t upper_ino(const struct overlay *o, uint64_t local)
{
    return numbers_of_upper(&o->numbers, local);
}

static uint64_t place_of(const struct overlay_dir *dir, const char *name)
{
    return numbers_place(dir->ino, name);
}

/* Reads an attribute as text; -ENODATA. */
static int read_tag(int fd, const char *tag, char *out, size_t size)
{
    ssize_t n = fgetxattr(fd, tag, out, size - 1);

    if (n < 0)
        return -errno;
    out[n] = 0;
    return 0;
}

/* Takes over what the attributes say. */
static int read_tags(int fd, struct overlay_entry *e)
{
    char text[OID_HEX + 1];

    if (flistxattr(fd, NULL, 0) == 0)
        return 0;
    int r = read_tag(fd, XATTR_INO, text, sizeof(text));
    if (r == 0)
        e->ino = strtoull(text, NULL, 16);
    if (r == 0 || r == -ENODATA)
        r = read_tag(fd, XATTR_MODE, text, sizeof(text));
    if (r == 0)
        e->mode = strtoul(text, NULL, 8) & SHOWN_BITS;
    if (S_ISREG(e->type) && (r == 0 || r == -ENODATA)) {
        r = read_tag(fd, XATTR_RESERVED, text, sizeof(text));
        if (r == 0)
            e->reserved = strtoull(text, NULL, 16);
    }
    if (S_ISDIR(e->type) && (r == 0 || r == -ENODATA)) {
        r = read_tag(fd, XATTR_BASE, text, sizeof(text));
        if (r == 0)
            r = oid_parse(text, &e->base) < 0 ? -EIO : 0;
    }
    return r == -ENODATA ? 0 : r;
}

/* What the upper has under that name. -ENOENT: nothing; 1: a whiteout. */
static int find_upper(struct overlay *o, int dirfd, const char *name, struct overlay_entry *ret)
{
    struct stat st;

    if (dirfd < 0)
        return -ENOENT;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (is_whiteout(st.st_mode, st.st_rdev))
        return 1;
    struct overlay_entry e = {
        .type = st.st_mode & S_IFMT,
        .upper = true,
        .mode = st.st_mode & SHOWN_BITS,
        .ino = upper_ino(o, st.st_ino),
    };
    if (S_ISREG(e.type) || S_ISDIR(e.type)) {
        _cleanup_close_ int fd =
            openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        int r = fd < 0 ? -errno : read_tags(fd, &e);
        if (r < 0)
            return r;
    } else if (!S_ISLNK(e.type)) {
        return -EIO;
    }
    *ret = e;
    return 0;
}

static void show_base(struct overlay *o, const struct overlay_dir *dir, const struct tree_entry *t,
                      struct overlay_entry *ret)
{
    bool is_dir = t->kind == ENTRY_DIR || t->kind == ENTRY_MODULE;

    *ret = (struct overlay_entry){
        .type = is_dir                  ? S_IFDIR
                : t->kind == ENTRY_LINK ? S_IFLNK
                                        : S_IFREG,
        .kind = t->kind,
        .base = t->oid,
        .mode = t->kind == ENTRY_LINK   ? 0777
                : t->kind == ENTRY_FILE ? 0644
                                        : 0755,
        .ino = numbers_of_base(&o->numbers, dir->ino, t->name),
    };
}

/* What the base has under that name, whatever the upper says. */
static int find_base(struct overlay *o, const struct overlay_dir *dir, const char *name,
                     struct overlay_entry *ret)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;

    if (oid_is_zero(&dir->base))
        return -ENOENT;
    int r = tree_load(o->repo, &dir->base, &tree);
    if (r < 0)
        return r;
    const struct tree_entry *t = tree_find(tree, name);
    if (!t)
        return -ENOENT;
    if (ret)
        show_base(o, dir, t, ret);
    return 0;
}

int overlay_find(struct overlay *o, const struct overlay_dir *dir, const char *name,
                 struct overlay_entry *ret)
{
    int r = find_upper(o, dir->fd, name, ret);

    if (r == 1)
        return -ENOENT;
    if (r == -ENOENT)
        r = find_base(o, dir, name, ret);
    if (r == 0)
        ret->ino = numbers_get(&o->numbers, place_of(dir, name), ret->type, ret->ino);
    return r;
}

/* Listing */

void overlay_names_done(struct overlay_names *names)
{
    vec_foreach (n, names)
        free(n->name);
    free(names->v);
    *names = (struct overlay_names){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct overlay_name *)a)->name, ((const struct overlay_name *)b)->name);
}

static int type_of(int dirfd, const struct dirent *e, mode_t *ret)
{
    struct stat st;

    if (e->d_type != DT_UNKNOWN && e->d_type != DT_CHR) {
        *ret = DTTOIF(e->d_type);
        return 0;
    }
    if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    *ret = is_whiteout(st.st_mode, st.st_rdev) ? S_IFIFO : st.st_mode & S_IFMT;
    return 0;
}

static int read_names(struct overlay *o, DIR *d, struct overlay_names *out)
{
    struct dirent *e;
    int r;

    while ((r = io_next_entry(d, &e)) > 0) {
        mode_t type = 0;
        r = type_of(dirfd(d), e, &type);
        if (r < 0)
            return r;
        *VEC_ADD(out) = (struct overlay_name){xstrdup(e->d_name), type, upper_ino(o, e->d_ino)};
    }
    return r;
}

int overlay_upper_names(struct overlay *o, int fd, struct overlay_names *ret)
{
    _cleanup_(overlay_names_done) struct overlay_names names = {0};
    _cleanup_(closedirp) DIR *d = NULL;
    int r = io_open_dir(fd, ".", &d);

    if (r == 0)
        r = read_names(o, d, &names);
    if (r < 0)
        return r;
    if (names.n)
        qsort(names.v, names.n, sizeof(*names.v), by_name);
    *ret = names;
    names = (struct overlay_names){0};
    return 0;
}

int overlay_go(int *fd, const char *name)
{
    int next = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (next < 0)
        return -errno;
    close(*fd);
    *fd = next;
    return 0;
}

/* Moves an upper's entry into the listing, with the inode number that a lookup will give. */
static int list_upper(struct overlay *o, const struct overlay_dir *dir, struct overlay_name *from,
                      struct overlay_names *out)
{
    struct overlay_entry e;

    if (from->type == S_IFIFO)
        return 0;
    int r = find_upper(o, dir->fd, from->name, &e);
    if (r < 0)
        return r;
    from->ino = numbers_get(&o->numbers, place_of(dir, from->name), e.type, e.ino);
    *VEC_ADD(out) = *from;
    from->name = NULL;
    return 0;
}

static void list_base(struct overlay *o, const struct overlay_dir *dir, const struct tree_entry *t,
                      struct overlay_names *out)
{
    struct overlay_entry e;

    show_base(o, dir, t, &e);
    e.ino = numbers_get(&o->numbers, place_of(dir, t->name), e.type, e.ino);
    *VEC_ADD(out) = (struct overlay_name){xstrdup(t->name), e.type, e.ino};
}

static int merge_names(struct overlay *o, const struct overlay_dir *dir,
                       struct overlay_names *upper, const struct tree *tree,
                       struct overlay_names *out)
{
    size_t u = 0, n = tree ? tree->n : 0;

    for (size_t b = 0; u < upper->n || b < n;) {
        int order = u == upper->n ? 1
                    : b == n      ? -1
                                  : strcmp(upper->v[u].name, tree->entries[b].name);
        if (order <= 0) {
            int r = list_upper(o, dir, &upper->v[u++], out);
            if (r < 0)
                return r;
        } else {
            list_base(o, dir, &tree->entries[b], out);
        }
        b += order >= 0;
    }
    return 0;
}

int overlay_list(struct overlay *o, const struct overlay_dir *dir, struct overlay_names *ret)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    _cleanup_(overlay_names_done) struct overlay_names upper = {0}, names = {0};
    int r = 0;

    if (!oid_is_zero(&dir->base))
        r = tree_load(o->repo, &dir->base, &tree);
    if (r == 0 && dir->fd >= 0)
        r = overlay_upper_names(o, dir->fd, &upper);
    if (r == 0)
        r = merge_names(o, dir, &upper, tree, &names);
    if (r < 0)
        return r;
    *ret = names;
    names = (struct overlay_names){0};
    return 0;
}

int overlay_is_empty(struct overlay *o, const struct overlay_dir *dir)
{
    _cleanup_(overlay_names_done) struct overlay_names names = {0};
    int r = overlay_list(o, dir, &names);

    return r < 0 ? r : names.n == 0;
}

/* Changing */

/* Those of the upper's own inode: we must be able to read and write. */
static mode_t real_mode(mode_t type, mode_t shown)
{
    return shown | (S_ISDIR(type) ? 0700 : 0600);
}

int overlay_set_mode(int fd, mode_t type, mode_t mode)
{
    mode_t shown = mode & SHOWN_BITS;
    mode_t real = real_mode(type, shown);

    if (real != shown) {
        char text[8];
        int len = snprintf(text, sizeof(text), "%o", shown);
        if (fsetxattr(fd, XATTR_MODE, text, len, 0) < 0)
            return -errno;
    } else if (fremovexattr(fd, XATTR_MODE) < 0 && errno != ENODATA) {
        return -errno;
    }
    return fchmod(fd, real) < 0 ? -errno : 0;
}

int overlay_set_base(int fd, const struct oid *base)
{
    char hex[OID_HEX + 1];

    return fsetxattr(fd, XATTR_BASE, oid_hex(base, hex), OID_HEX, 0) < 0 ? -errno : 0;
}

static int set_number(int fd, const char *tag, uint64_t number)
{
    char text[17];
    int len = snprintf(text, sizeof(text), "%" PRIx64, number);

    return fsetxattr(fd, tag, text, len, 0) < 0 ? -errno : 0;
}

static int set_ino(int fd, uint64_t ino)
{
    return set_number(fd, XATTR_INO, ino);
}

int overlay_set_reserved(int fd, uint64_t reserved)
{
    if (reserved)
        return set_number(fd, XATTR_RESERVED, reserved);
    return fremovexattr(fd, XATTR_RESERVED) < 0 && errno != ENODATA ? -errno : 0;
}

int64_t overlay_file_room(int dirfd, const char *name)
{
    struct stat st;
    struct overlay_entry e = {.type = S_IFREG};
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    int r = read_tags(fd, &e);
    return r < 0 ? r : overlay_room(&e, st.st_size);
}

int64_t overlay_room_at(struct overlay *o, int dirfd, const char *name)
{
    _cleanup_(overlay_names_done) struct overlay_names inside = {0};
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (S_ISREG(st.st_mode))
        return overlay_file_room(dirfd, name);
    if (!S_ISDIR(st.st_mode))
        return ROOM_LEAST;
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 ? -errno : overlay_upper_names(o, fd, &inside);
    return r < 0 ? r : (int64_t)(1 + inside.n) * ROOM_LEAST;
}

int overlay_set_mtime(int fd, int64_t mtime)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, clock_timespec(mtime)};

    return futimens(fd, times) < 0 ? -errno : 0;
}

static const char *new_temporary(struct overlay *o, char out[TEMPORARY_MAX])
{
    snprintf(out, TEMPORARY_MAX, "t%" PRIu64, ++o->temporaries);
    return out;
}

/* Gives what is under construction its name, over a whiteout if there is one. On failure it is
 * removed. */
static int place(struct overlay *o, const char *temporary, mode_t type,
                 const struct overlay_dir *dir, const char *name)
{
    int r = 0;

    if (!S_ISDIR(type)) {
        if (renameat(o->work, temporary, dir->fd, name) == 0)
            return 0;
        r = -errno;
        unlinkat(o->work, temporary, 0);
        return r;
    }
    if (renameat2(o->work, temporary, dir->fd, name, RENAME_NOREPLACE) == 0)
        return 0;
    /* A directory cannot replace a whiteout: they change places. */
    if (errno != EEXIST || renameat2(o->work, temporary, dir->fd, name, RENAME_EXCHANGE) < 0)
        r = -errno;
    io_remove_tree(o->work, temporary);
    return r;
}

/* Finishes what make_* and copy_up have built in `work` as an open file or directory. */
static int tag(int fd, const struct overlay_entry *e, uint64_t ino)
{
    int r = overlay_set_mode(fd, e->type, e->mode);

    if (r == 0 && S_ISDIR(e->type) && !oid_is_zero(&e->base))
        r = overlay_set_base(fd, &e->base);
    if (r == 0 && ino)
        r = set_ino(fd, ino);
    return r;
}

static int upper_entry_of(struct overlay *o, int fd, struct overlay_entry *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    e->upper = true;
    e->ino = upper_ino(o, st.st_ino);
    return 0;
}

static int create_temporary(struct overlay *o, const char *temporary)
{
    int fd = openat(o->work, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd < 0 ? -errno : fd;
}

/* A new file whose mode needs no attribute, where nothing is, not even a whiteout (-EEXIST): then
 * one operation makes it. What the umask took away comes after; whoever dies before has told nobody
 * of the file. */
static int make_in_place(struct overlay *o, const struct overlay_dir *dir, const char *name,
                         struct overlay_entry *e)
{
    struct stat st;
    _cleanup_close_ int fd =
        openat(dir->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, e->mode);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || ((st.st_mode & 07777) != e->mode && fchmod(fd, e->mode) < 0)) {
        int err = -errno;
        unlinkat(dir->fd, name, 0);
        return err;
    }
    e->upper = true;
    e->ino = upper_ino(o, st.st_ino);
    return TAKE_FD(fd);
}

static int make_in_work(struct overlay *o, const struct overlay_dir *dir, const char *name,
                        struct overlay_entry *e)
{
    char temporary[TEMPORARY_MAX];
    _cleanup_close_ int fd = create_temporary(o, new_temporary(o, temporary));

    if (fd < 0)
        return fd;
    int r = tag(fd, e, 0);
    if (r == 0)
        r = upper_entry_of(o, fd, e);
    if (r < 0) {
        unlinkat(o->work, temporary, 0);
        return r;
    }
    r = place(o, temporary, e->type, dir, name);
    return r < 0 ? r : TAKE_FD(fd);
}

int overlay_make_file(struct overlay *o, const struct overlay_dir *dir, const char *name,
                      mode_t mode, struct overlay_entry *ret, int *ret_fd)
{
    struct overlay_entry e = {.type = S_IFREG, .mode = mode & SHOWN_BITS};
    int fd = real_mode(e.type, e.mode) == e.mode ? make_in_place(o, dir, name, &e) : -EEXIST;

    if (fd == -EEXIST)
        fd = make_in_work(o, dir, name, &e);
    if (fd < 0)
        return fd;
    numbers_drop(&o->numbers, place_of(dir, name));
    *ret = e;
    *ret_fd = fd;
    return 0;
}

/* An upper directory as `e` says; with `ino` unless 0, and with `mtime` unless negative. */
static int build_dir(struct overlay *o, const struct overlay_dir *dir, const char *name,
                     struct overlay_entry *e, uint64_t ino, int64_t mtime)
{
    char temporary[TEMPORARY_MAX];

    if (mkdirat(o->work, new_temporary(o, temporary), 0700) < 0)
        return -errno;
    _cleanup_close_ int fd =
        openat(o->work, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 ? -errno : tag(fd, e, ino);
    if (r == 0)
        r = upper_entry_of(o, fd, e);
    if (r == 0 && mtime >= 0)
        r = overlay_set_mtime(fd, mtime);
    if (r < 0) {
        unlinkat(o->work, temporary, AT_REMOVEDIR);
        return r;
    }
    return place(o, temporary, S_IFDIR, dir, name);
}

int overlay_make_dir(struct overlay *o, const struct overlay_dir *dir, const char *name,
                     mode_t mode, struct overlay_entry *ret)
{
    struct overlay_entry e = {.type = S_IFDIR, .mode = mode & SHOWN_BITS};
    int r = build_dir(o, dir, name, &e, 0, -1);

    if (r == 0) {
        numbers_drop(&o->numbers, place_of(dir, name));
        *ret = e;
    }
    return r;
}

/* `mtime` negative: now. */
static int build_link(struct overlay *o, const struct overlay_dir *dir, const char *name,
                      const char *target, int64_t mtime, struct overlay_entry *ret)
{
    char temporary[TEMPORARY_MAX];
    struct stat st;

    if (symlinkat(target, o->work, new_temporary(o, temporary)) < 0)
        return -errno;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, clock_timespec(mtime)};
    if ((mtime >= 0 && utimensat(o->work, temporary, times, AT_SYMLINK_NOFOLLOW) < 0) ||
        fstatat(o->work, temporary, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        int err = -errno;
        unlinkat(o->work, temporary, 0);
        return err;
    }
    int r = place(o, temporary, S_IFLNK, dir, name);
    if (r == 0)
        *ret = (struct overlay_entry){
            .type = S_IFLNK, .upper = true, .mode = 0777, .ino = upper_ino(o, st.st_ino)};
    return r;
}

int overlay_make_link(struct overlay *o, const struct overlay_dir *dir, const char *name,
                      const char *target, struct overlay_entry *ret)
{
    int r = build_link(o, dir, name, target, -1, ret);

    if (r == 0)
        numbers_drop(&o->numbers, place_of(dir, name));
    return r;
}

/* Copying up */

static int copy_up_file(struct overlay *o, const struct overlay_dir *dir, const char *name,
                        bool empty, struct overlay_entry *e)
{
    char temporary[TEMPORARY_MAX];
    struct overlay_entry copy = *e;
    _cleanup_close_ int fd = create_temporary(o, new_temporary(o, temporary));

    if (fd < 0)
        return fd;
    int r = empty ? 0 : blob_copy(o->repo, &e->base, fd);
    if (r == 0)
        r = tag(fd, &copy, e->ino);
    if (r == 0)
        r = overlay_set_mtime(fd, o->base_mtime);
    /* The content was durable in the repository; it must not be less so under its new name. */
    if (r == 0 && !empty && fdatasync(fd) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(o->work, temporary, 0);
        return r;
    }
    return place(o, temporary, S_IFREG, dir, name);
}

static int copy_up_link(struct overlay *o, const struct overlay_dir *dir, const char *name,
                        const struct overlay_entry *e)
{
    struct overlay_entry copy;
    _cleanup_free_ char *target = NULL;
    int r = blob_target(o->repo, &e->base, &target);

    if (r == 0)
        r = build_link(o, dir, name, target, o->base_mtime, &copy);
    if (r == 0)
        numbers_keep(&o->numbers, place_of(dir, name), S_IFLNK, e->ino);
    return r;
}

int overlay_copy_up(struct overlay *o, const struct overlay_dir *dir, const char *name, bool empty,
                    struct overlay_entry *e)
{
    struct overlay_entry copy = *e;
    int r;

    if (e->upper)
        return 0;
    if (e->kind == ENTRY_MODULE)
        return -EROFS;
    if (S_ISDIR(e->type))
        r = build_dir(o, dir, name, &copy, e->ino, o->base_mtime);
    else if (S_ISLNK(e->type))
        r = copy_up_link(o, dir, name, e);
    else
        r = copy_up_file(o, dir, name, empty, e);
    if (r == 0)
        e->upper = true;
    return r;
}

int overlay_copy_nameless(struct overlay *o, const struct overlay_entry *e, int *ret_fd)
{
    char temporary[TEMPORARY_MAX];
    _cleanup_close_ int fd = create_temporary(o, new_temporary(o, temporary));

    if (fd < 0)
        return fd;
    unlinkat(o->work, temporary, 0);
    int r = blob_copy(o->repo, &e->base, fd);
    if (r == 0)
        r = overlay_set_mode(fd, e->type, e->mode);
    if (r == 0)
        r = overlay_set_mtime(fd, o->base_mtime);
    if (r == 0)
        *ret_fd = TAKE_FD(fd);
    return r;
}

/* Removing and moving */

/* Puts a whiteout in the place of what the upper has there; the old one is gone. */
static int replace_by_whiteout(struct overlay *o, const struct overlay_dir *dir, const char *name,
                               mode_t type)
{
    char temporary[TEMPORARY_MAX];

    if (mkfifoat(o->work, new_temporary(o, temporary), 0600) < 0)
        return -errno;
    if (renameat2(o->work, temporary, dir->fd, name, S_ISDIR(type) ? RENAME_EXCHANGE : 0) < 0) {
        int err = -errno;
        unlinkat(o->work, temporary, 0);
        return err;
    }
    /* What cannot be removed now is removed when the workspace is next opened. */
    io_remove_tree(o->work, temporary);
    return 0;
}

/* 1 if the base has something of that name, 0 if not. */
static int in_base(struct overlay *o, const struct overlay_dir *dir, const char *name)
{
    int r = find_base(o, dir, name, NULL);

    return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

int64_t overlay_room_left_behind(struct overlay *o, const struct overlay_dir *dir, const char *name)
{
    int r = in_base(o, dir, name);

    return r > 0 ? ROOM_LEAST : r;
}

int overlay_remove(struct overlay *o, const struct overlay_dir *dir, const char *name,
                   const struct overlay_entry *e)
{
    char temporary[TEMPORARY_MAX];

    if (!e->upper)
        return mkfifoat(dir->fd, name, 0600) < 0 ? -errno : 0;
    int hides = in_base(o, dir, name);
    if (hides < 0)
        return hides;
    if (hides)
        return replace_by_whiteout(o, dir, name, e->type);
    if (!S_ISDIR(e->type))
        return unlinkat(dir->fd, name, 0) < 0 ? -errno : 0;
    /* It may be full of whiteouts, so it goes in one step first. */
    if (renameat(dir->fd, name, o->work, new_temporary(o, temporary)) < 0)
        return -errno;
    io_remove_tree(o->work, temporary);
    return 0;
}

/* `hides`: the base has something of the old name, so a whiteout must stay there. */
static int rename_plain(const struct overlay_dir *from, const char *name,
                        const struct overlay_dir *to, const char *to_name, bool hides)
{
    if (!hides)
        return renameat(from->fd, name, to->fd, to_name) < 0 ? -errno : 0;
    if (renameat2(from->fd, name, to->fd, to_name, RENAME_WHITEOUT) == 0)
        return 0;
    if (errno != EINVAL && errno != EPERM && errno != EOPNOTSUPP)
        return -errno;
    if (renameat(from->fd, name, to->fd, to_name) < 0 || mkfifoat(from->fd, name, 0600) < 0)
        return -errno;
    return 0;
}

static int rename_dir(struct overlay *o, const struct overlay_dir *from, const char *name,
                      const struct overlay_dir *to, const char *to_name, bool hides)
{
    struct stat st;

    if (fstatat(to->fd, to_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        int r = S_ISDIR(st.st_mode) ? replace_by_whiteout(o, to, to_name, S_IFDIR) : 0;
        if (r < 0)
            return r;
    } else if (errno != ENOENT || mkfifoat(to->fd, to_name, 0600) < 0) {
        return -errno;
    }
    if (renameat2(from->fd, name, to->fd, to_name, RENAME_EXCHANGE) < 0)
        return -errno;
    if (!hides)
        unlinkat(from->fd, name, 0);
    return 0;
}

int overlay_rename(struct overlay *o, const struct overlay_dir *from, const char *name,
                   const struct overlay_entry *e, const struct overlay_dir *to, const char *to_name)
{
    int hides = in_base(o, from, name);

    if (hides < 0)
        return hides;
    int r = S_ISDIR(e->type) ? rename_dir(o, from, name, to, to_name, hides)
                             : rename_plain(from, name, to, to_name, hides);
    if (r == 0)
        numbers_move(&o->numbers, place_of(from, name), place_of(to, to_name));
    return r;
}

int overlay_exchange(struct overlay *o, const struct overlay_dir *a, const char *a_name,
                     const struct overlay_dir *b, const char *b_name)
{
    if (renameat2(a->fd, a_name, b->fd, b_name, RENAME_EXCHANGE) < 0)
        return -errno;
    numbers_exchange(&o->numbers, place_of(a, a_name), place_of(b, b_name));
    return 0;
}

/* Probing */

int overlay_probe(int dirfd, struct diag *reterr)
{
    int r = 0;

    io_remove_tree(dirfd, ".probe");
    io_remove_tree(dirfd, ".probe-fifo");
    if (mkdirat(dirfd, ".probe", 0700) < 0)
        return diag_fail(reterr, -errno, "cannot make a directory: %s", strerror(errno));
    _cleanup_close_ int fd = openat(dirfd, ".probe", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        r = diag_fail(reterr, -errno, "cannot open a directory: %s", strerror(errno));
    else if (set_ino(fd, 1) < 0)
        r = diag_fail(reterr, -EOPNOTSUPP, "its filesystem keeps no extended attributes of users");
    else if (mkfifoat(dirfd, ".probe-fifo", 0600) < 0)
        r = diag_fail(reterr, -EOPNOTSUPP, "its filesystem keeps no FIFOs");
    else if (renameat2(dirfd, ".probe", dirfd, ".probe-fifo", RENAME_EXCHANGE) < 0)
        r = diag_fail(reterr, -EOPNOTSUPP, "its filesystem cannot exchange two names");
    io_remove_tree(dirfd, ".probe");
    io_remove_tree(dirfd, ".probe-fifo");
    return r;
}
