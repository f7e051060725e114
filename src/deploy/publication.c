#include "deploy/publication.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

/* How much of a directory is taken. */
enum reach {
    REACH_NONE,
    REACH_PART, /* something below it */
    REACH_ALL,
};

void publication_done(struct publication *p)
{
    buf_done(&p->path);
}

/* Whether `dir` is `path` or holds it. */
static bool holds(const char *dir, const char *path)
{
    size_t len = strlen(dir);

    return !strncmp(dir, path, len) && (!path[len] || path[len] == '/');
}

static enum reach reach_of(const struct publication *p, const char *path)
{
    enum reach reach = REACH_NONE;

    for (size_t i = 0; i < p->npaths; i++) {
        if (!strcmp(p->paths[i], ".") || holds(p->paths[i], path))
            return REACH_ALL;
        if (!*path || holds(path, p->paths[i]))
            reach = REACH_PART;
    }
    return reach;
}

/* Lengthens the path by a name; returns the length before, for leave(). */
static size_t enter(struct publication *p, const char *name)
{
    size_t before = p->path.len;

    if (before)
        buf_addc(&p->path, '/');
    buf_adds(&p->path, name);
    return before;
}

static void leave(struct publication *p, size_t before)
{
    p->path.len = before;
    p->path.data[before] = 0;
}

/* The limits that hold for each entry. */
static int admit(struct publication *p, struct diag *reterr)
{
    if (p->halt(p->halt_arg))
        return diag_fail(reterr, -ECANCELED, "stopped at %s", buf_str(&p->path));
    if (++p->entries > PUBLICATION_ENTRIES_MOST)
        return diag_fail(reterr, -EINVAL, "more than %d files", PUBLICATION_ENTRIES_MOST);
    if (p->depth > PUBLICATION_DEPTH_MOST)
        return diag_fail(reterr, -EINVAL, "directories are nested more than %d deep",
                         PUBLICATION_DEPTH_MOST);
    return 0;
}

static int fail(const struct publication *p, int err, const char *what, struct diag *reterr)
{
    return diag_fail(reterr, err, "cannot %s %s: %s", what, buf_str(&p->path), strerror(-err));
}

/* What is done with one entry that is taken; 0 to go on. */
typedef int visit_fn(struct publication *p, const struct tree_entry *e, enum reach reach, int dirfd,
                     struct diag *reterr);

/* Calls `visit` for the entries of `tree` that are taken; the path names each one meanwhile. Ends
 * with the first that is not 0. `ret_n` counts them. */
static int each_taken(struct publication *p, const struct tree *tree, enum reach reach, int dirfd,
                      visit_fn *visit, size_t *ret_n, struct diag *reterr)
{
    int r = 0;

    p->depth++;
    for (size_t i = 0; i < tree->n && r == 0; i++) {
        const struct tree_entry *e = &tree->entries[i];
        size_t before = enter(p, e->name);
        enum reach below = reach == REACH_ALL ? reach : reach_of(p, buf_str(&p->path));
        if (below == REACH_ALL || (below == REACH_PART && e->kind == ENTRY_DIR)) {
            ++*ret_n;
            r = admit(p, reterr);
            if (r == 0)
                r = visit(p, e, below, dirfd, reterr);
        }
        leave(p, before);
    }
    p->depth--;
    return r;
}

static int load_tree(struct publication *p, const struct oid *oid, struct tree **ret,
                     struct diag *reterr)
{
    int r = tree_load(p->repo, oid, ret);

    return r < 0 ? fail(p, r, "read", reterr) : 0;
}

/* A link's target as the kernel takes it. */
static int load_target(struct publication *p, const struct oid *oid, struct blob **ret,
                       struct diag *reterr)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    int r = blob_load(p->repo, oid, &blob);

    if (r < 0)
        return fail(p, r, "read", reterr);
    if (blob->size == 0 || blob->size >= PATH_MAX || memchr(blob->data, 0, blob->size))
        return diag_fail(reterr, -EINVAL, "%s is a symlink to what is no path", buf_str(&p->path));
    *ret = TAKE(blob);
    return 0;
}

static mode_t mode_of(const struct tree_entry *e)
{
    return e->kind == ENTRY_FILE ? 0644 : 0755;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static int write_file(struct publication *p, const struct tree_entry *e, int dirfd,
                      struct diag *reterr)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    int r = blob_load(p->repo, &e->oid, &blob);

    if (r < 0)
        return fail(p, r, "read", reterr);
    _cleanup_close_ int fd =
        openat(dirfd, e->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(p, -errno, "write", reterr);
    r = io_write_full(fd, blob->data, blob->size);
    if (r == 0 && (fchmod(fd, mode_of(e)) < 0 || fsync(fd) < 0))
        r = -errno;
    p->bytes += blob->size;
    return r < 0 ? fail(p, r, "write", reterr) : 0;
}

static int write_link(struct publication *p, const struct tree_entry *e, int dirfd,
                      struct diag *reterr)
{
    _cleanup_(blob_unrefp) struct blob *target = NULL;
    int r = load_target(p, &e->oid, &target, reterr);

    if (r < 0)
        return r;
    return symlinkat(target->data, dirfd, e->name) < 0 ? fail(p, -errno, "write", reterr) : 0;
}

static int write_tree(struct publication *p, const struct oid *oid, enum reach reach, int dirfd,
                      struct diag *reterr);

static int write_dir(struct publication *p, const struct tree_entry *e, enum reach reach, int dirfd,
                     struct diag *reterr)
{
    if (mkdirat(dirfd, e->name, 0700) < 0)
        return fail(p, -errno, "make", reterr);
    _cleanup_close_ int fd =
        openat(dirfd, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail(p, -errno, "open", reterr);
    int r = e->kind == ENTRY_DIR ? write_tree(p, &e->oid, reach, fd, reterr) : 0;
    if (r == 0 && (fchmod(fd, mode_of(e)) < 0 || fsync(fd) < 0))
        r = fail(p, -errno, "write", reterr);
    return r;
}

static int write_entry(struct publication *p, const struct tree_entry *e, enum reach reach,
                       int dirfd, struct diag *reterr)
{
    switch (e->kind) {
    case ENTRY_FILE:
    case ENTRY_EXEC:
        return write_file(p, e, dirfd, reterr);
    case ENTRY_LINK:
        return write_link(p, e, dirfd, reterr);
    default: /* a submodule is an empty directory, as everywhere */
        return write_dir(p, e, reach, dirfd, reterr);
    }
}

static int write_tree(struct publication *p, const struct oid *oid, enum reach reach, int dirfd,
                      struct diag *reterr)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    size_t n = 0;
    int r = load_tree(p, oid, &tree, reterr);

    return r < 0 ? r : each_taken(p, tree, reach, dirfd, write_entry, &n, reterr);
}

int publication_write(struct publication *p, int dirfd, struct diag *reterr)
{
    p->entries = p->bytes = 0;
    return write_tree(p, &p->root, reach_of(p, ""), dirfd, reterr);
}

/* ---- comparing --------------------------------------------------------------------------------
 */

/* What differs ends a comparison with this, which is no errno. */
#define DIFFERENT 1

/* Whether the open file holds these bytes and nothing more. */
static int same_bytes(int fd, const struct blob *blob)
{
    char chunk[65536];
    size_t at = 0;

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return at == blob->size ? 0 : DIFFERENT;
        if (at + n > blob->size || memcmp(chunk, (const char *)blob->data + at, n) != 0)
            return DIFFERENT;
        at += n;
    }
}

static int compare_file(struct publication *p, const struct tree_entry *e, int dirfd,
                        struct diag *reterr)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    _cleanup_close_ int fd = openat(dirfd, e->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 07777) != mode_of(e))
        return DIFFERENT;
    int r = blob_load(p->repo, &e->oid, &blob);
    if (r < 0)
        return fail(p, r, "read", reterr);
    r = same_bytes(fd, blob);
    p->bytes += blob->size;
    return r < 0 ? fail(p, r, "compare", reterr) : r;
}

static int compare_link(struct publication *p, const struct tree_entry *e, int dirfd,
                        struct diag *reterr)
{
    _cleanup_(blob_unrefp) struct blob *target = NULL;
    char there[PATH_MAX];
    int r = load_target(p, &e->oid, &target, reterr);

    if (r < 0)
        return r;
    ssize_t n = readlinkat(dirfd, e->name, there, sizeof(there));
    return n >= 0 && (size_t)n == target->size && !memcmp(there, target->data, n) ? 0 : DIFFERENT;
}

/* How many names the directory holds. */
static int count_names(int dirfd, size_t *ret)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return -errno;
    *ret = 0;
    for (const struct dirent *e; (e = readdir(dir));)
        *ret += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    return 0;
}

static int compare_tree(struct publication *p, const struct oid *oid, enum reach reach, int dirfd,
                        struct diag *reterr);

static int compare_dir(struct publication *p, const struct tree_entry *e, enum reach reach,
                       int dirfd, struct diag *reterr)
{
    _cleanup_close_ int fd =
        openat(dirfd, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || (st.st_mode & 07777) != mode_of(e))
        return DIFFERENT;
    return compare_tree(p, e->kind == ENTRY_DIR ? &e->oid : NULL, reach, fd, reterr);
}

static int compare_entry(struct publication *p, const struct tree_entry *e, enum reach reach,
                         int dirfd, struct diag *reterr)
{
    switch (e->kind) {
    case ENTRY_FILE:
    case ENTRY_EXEC:
        return compare_file(p, e, dirfd, reterr);
    case ENTRY_LINK:
        return compare_link(p, e, dirfd, reterr);
    default:
        return compare_dir(p, e, reach, dirfd, reterr);
    }
}

/* `oid` NULL: nothing may be there (a submodule). */
static int compare_tree(struct publication *p, const struct oid *oid, enum reach reach, int dirfd,
                        struct diag *reterr)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    size_t wanted = 0, there = 0;
    int r = oid ? load_tree(p, oid, &tree, reterr) : 0;

    if (r == 0 && oid)
        r = each_taken(p, tree, reach, dirfd, compare_entry, &wanted, reterr);
    if (r)
        return r;
    r = count_names(dirfd, &there);
    if (r < 0)
        return fail(p, r, "list", reterr);
    return there == wanted ? 0 : DIFFERENT;
}

int publication_compare(struct publication *p, int dirfd, struct diag *reterr)
{
    p->entries = p->bytes = 0;
    int r = compare_tree(p, &p->root, reach_of(p, ""), dirfd, reterr);
    return r < 0 ? r : r != DIFFERENT;
}
