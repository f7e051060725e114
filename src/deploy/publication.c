#include "deploy/publication.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"

#define PIECE (64 << 10) /* bytes of a file that are looked at together */

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

static enum publication_reach reach_of(const struct publication *p, const char *path)
{
    enum publication_reach reach = REACH_NONE;

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
static int admit(struct publication *p)
{
    if (p->halt(p->halt_arg))
        return diag_fail(p->reterr, -ECANCELED, "stopped at %s", buf_str(&p->path));
    if (++p->entries > PUBLICATION_ENTRIES_MOST)
        return diag_fail(p->reterr, -EINVAL, "more than %d files", PUBLICATION_ENTRIES_MOST);
    if (p->depth > PUBLICATION_DEPTH_MOST)
        return diag_fail(p->reterr, -EINVAL, "directories are nested more than %d deep",
                         PUBLICATION_DEPTH_MOST);
    return 0;
}

static int fail(const struct publication *p, int err, const char *what)
{
    return diag_fail(p->reterr, err, "cannot %s %s: %s", what, buf_str(&p->path), strerror(-err));
}

/* Visits an entry if it is taken; the path names it meanwhile. */
static int look_at(struct publication *p, const struct tree_entry *e, enum publication_reach reach,
                   int dirfd)
{
    size_t before = enter(p, e->name);
    enum publication_reach below = reach == REACH_ALL ? reach : reach_of(p, buf_str(&p->path));
    int r = 0;

    if (below == REACH_ALL || (below == REACH_PART && e->kind == ENTRY_DIR)) {
        r = admit(p);
        if (r == 0)
            r = p->visit(p, e, below, dirfd);
    }
    leave(p, before);
    return r;
}

/* Which entries of the tree that the path names the paths lead to: few, where thousands of sites
 * are in one directory. Free it. */
static bool *find_wanted(const struct publication *p, const struct tree *tree)
{
    bool *wanted = xcalloc(tree->n, sizeof(*wanted));
    size_t len = p->path.len;

    for (size_t i = 0; i < p->npaths; i++) {
        if (len && !holds(p->path.data, p->paths[i]))
            continue;
        const char *name = p->paths[i] + len + (len && p->paths[i][len]);
        _cleanup_free_ char *first = xstrndup(name, strcspn(name, "/"));
        const struct tree_entry *e = tree_find(tree, first);
        if (e)
            wanted[e - tree->entries] = true;
    }
    return wanted;
}

/* Visits the entries of `tree` that are taken, in their order. Ends with the first visit that is
 * not 0. */
static int each_taken(struct publication *p, const struct tree *tree, enum publication_reach reach,
                      int dirfd)
{
    _cleanup_free_ bool *wanted = reach == REACH_ALL ? NULL : find_wanted(p, tree);
    int r = 0;

    p->depth++;
    for (size_t i = 0; i < tree->n && r == 0; i++)
        if (!wanted || wanted[i])
            r = look_at(p, &tree->entries[i], reach, dirfd);
    p->depth--;
    return r;
}

static int load_tree(struct publication *p, const struct oid *oid, struct tree **ret)
{
    int r = tree_load(p->repo, oid, ret);

    return r < 0 ? fail(p, r, "read") : 0;
}

/* A link's target as the kernel takes it. */
static int load_target(struct publication *p, const struct oid *oid, struct blob **ret)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    int r = blob_load(p->repo, oid, &blob);

    if (r < 0)
        return fail(p, r, "read");
    if (blob->size == 0 || blob->size >= PATH_MAX || memchr(blob->data, 0, blob->size))
        return diag_fail(p->reterr, -EINVAL, "%s is a symlink to what is no path",
                         buf_str(&p->path));
    *ret = TAKE(blob);
    return 0;
}

#define DIR_MODE 0755

static mode_t mode_of(const struct tree_entry *e)
{
    return e->kind == ENTRY_FILE ? 0644 : DIR_MODE;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* Piece by piece: a file may be larger than memory. */
static int write_content(struct publication *p, const struct oid *oid, int fd)
{
    _cleanup_free_ char *piece = xmalloc(PIECE); /* the stack is as deep as the tree */
    uint64_t at = 0;
    ssize_t n;

    while ((n = blob_read(p->repo, oid, piece, PIECE, at)) > 0) {
        int r = io_write_full(fd, piece, n);
        if (r < 0)
            return fail(p, r, "write");
        at += n;
        p->bytes += n;
    }
    return n < 0 ? fail(p, n, "read") : 0;
}

/* The last that is done with a file or a directory that was written. */
static int finish(struct publication *p, int fd, mode_t mode)
{
    if (fchmod(fd, mode) < 0 || (!p->unsynced && fsync(fd) < 0))
        return fail(p, -errno, "write");
    return 0;
}

static int write_file(struct publication *p, const struct tree_entry *e, int dirfd)
{
    _cleanup_close_ int fd =
        openat(dirfd, e->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return fail(p, -errno, "write");
    int r = write_content(p, &e->oid, fd);
    return r < 0 ? r : finish(p, fd, mode_of(e));
}

static int write_link(struct publication *p, const struct tree_entry *e, int dirfd)
{
    _cleanup_(blob_unrefp) struct blob *target = NULL;
    int r = load_target(p, &e->oid, &target);

    if (r < 0)
        return r;
    return symlinkat(target->data, dirfd, e->name) < 0 ? fail(p, -errno, "write") : 0;
}

static int write_tree(struct publication *p, const struct oid *oid, enum publication_reach reach,
                      int dirfd);

static int write_dir(struct publication *p, const struct tree_entry *e,
                     enum publication_reach reach, int dirfd)
{
    if (mkdirat(dirfd, e->name, 0700) < 0)
        return fail(p, -errno, "make");
    _cleanup_close_ int fd =
        openat(dirfd, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail(p, -errno, "open");
    int r = e->kind == ENTRY_DIR ? write_tree(p, &e->oid, reach, fd) : 0;
    return r < 0 ? r : finish(p, fd, mode_of(e));
}

static int write_entry(struct publication *p, const struct tree_entry *e,
                       enum publication_reach reach, int dirfd)
{
    switch (e->kind) {
    case ENTRY_FILE:
    case ENTRY_EXEC:
        return write_file(p, e, dirfd);
    case ENTRY_LINK:
        return write_link(p, e, dirfd);
    default: /* a submodule is an empty directory, as everywhere */
        return write_dir(p, e, reach, dirfd);
    }
}

static int write_tree(struct publication *p, const struct oid *oid, enum publication_reach reach,
                      int dirfd)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    int r = load_tree(p, oid, &tree);

    return r < 0 ? r : each_taken(p, tree, reach, dirfd);
}

static void begin(struct publication *p, publication_visit *visit, struct diag *reterr)
{
    p->visit = visit;
    p->reterr = reterr;
    p->entries = p->bytes = 0;
}

int publication_write(struct publication *p, int dirfd, struct diag *reterr)
{
    begin(p, write_entry, reterr);
    int r = write_tree(p, &p->root, reach_of(p, ""), dirfd);
    return r < 0 ? r : finish(p, dirfd, DIR_MODE);
}

/* ---- what differs -----------------------------------------------------------------------------
 */

#define DIGEST_MOST 3 /* differences that are named in one line */

void differences_done(struct differences *d)
{
    buf_done(&d->list);
    buf_done(&d->digest);
    d->n = 0;
}

void differences_add(struct differences *d, const char *what, const char *path)
{
    if (d->n < DIGEST_MOST) {
        buf_adds(&d->digest, d->n ? ", " : "");
        buf_add_visible(&d->digest, path);
        buf_addf(&d->digest, " (%s)", what);
    } else if (d->n == DIGEST_MOST) {
        buf_adds(&d->digest, ", …");
    }
    if (d->list.len < DIFFERENCES_MOST) {
        buf_addf(&d->list, "%s ", what);
        buf_add_visible(&d->list, path);
        buf_addc(&d->list, '\n');
        if (d->list.len >= DIFFERENCES_MOST)
            buf_adds(&d->list, "and more\n");
    }
    d->n++;
}

/* ---- comparing --------------------------------------------------------------------------------
 */

/* Ends a comparison that only asks whether anything differs; no errno. */
#define DIFFERENT 1

/* What differs at the path that is looked at. */
static int differ(struct publication *p, const char *what)
{
    const char *path = p->path.len ? buf_str(&p->path) : ".";

    if (!p->found)
        return DIFFERENT;
    differences_add(p->found, what, path);
    return 0;
}

/* Whether the open file holds what the blob does and nothing more. */
static int compare_content(struct publication *p, const struct oid *oid, int fd)
{
    _cleanup_free_ char *theirs = xmalloc(PIECE), *ours = xmalloc(PIECE);
    uint64_t at = 0;

    for (;;) {
        ssize_t n = read(fd, theirs, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(p, -errno, "compare");
        ssize_t m = blob_read(p->repo, oid, ours, n ? n : 1, at);
        if (m < 0)
            return fail(p, m, "read");
        if (m != n || memcmp(ours, theirs, n) != 0)
            return differ(p, "content");
        if (n == 0)
            return 0;
        at += n;
        p->bytes += n;
    }
}

/* Whose it is and what it may do. */
static int compare_rights(struct publication *p, const struct stat *st, mode_t mode, int fd)
{
    int r = st->st_uid != p->owner ? differ(p, "owner") : 0;

    if (r == 0 && ((st->st_mode & 07777) != mode ||
                   (S_ISREG(st->st_mode) && fgetxattr(fd, "security.capability", NULL, 0) > 0)))
        r = differ(p, "mode");
    return r;
}

/* What it means that an entry could not be opened as what it should be. */
static int differ_open(struct publication *p, int err)
{
    switch (err) {
    case ENOENT:
        return differ(p, "missing");
    case EACCES:
        return differ(p, "mode");
    case ELOOP:
    case ENOTDIR:
    case EINVAL:
    case ENXIO:
    case ENODEV:
        return differ(p, "kind");
    default:
        return fail(p, -err, "open");
    }
}

static int compare_file(struct publication *p, const struct tree_entry *e, int dirfd)
{
    _cleanup_close_ int fd = openat(dirfd, e->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return differ_open(p, errno);
    if (fstat(fd, &st) < 0)
        return fail(p, -errno, "look at");
    if (!S_ISREG(st.st_mode))
        return differ(p, "kind");
    int r = compare_rights(p, &st, mode_of(e), fd);
    return r ? r : compare_content(p, &e->oid, fd);
}

static int compare_link(struct publication *p, const struct tree_entry *e, int dirfd)
{
    _cleanup_(blob_unrefp) struct blob *target = NULL;
    char there[PATH_MAX];
    int r = load_target(p, &e->oid, &target);

    if (r < 0)
        return r;
    ssize_t n = readlinkat(dirfd, e->name, there, sizeof(there));
    if (n < 0)
        return differ_open(p, errno);
    return (size_t)n == target->size && !memcmp(there, target->data, n) ? 0 : differ(p, "target");
}

static int compare_tree(struct publication *p, const struct oid *oid, enum publication_reach reach,
                        int dirfd);

static int compare_dir(struct publication *p, const struct tree_entry *e,
                       enum publication_reach reach, int dirfd)
{
    _cleanup_close_ int fd =
        openat(dirfd, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return differ_open(p, errno);
    return compare_tree(p, e->kind == ENTRY_DIR ? &e->oid : NULL, reach, fd);
}

static int compare_kind(struct publication *p, const struct tree_entry *e,
                        enum publication_reach reach, int dirfd)
{
    switch (e->kind) {
    case ENTRY_FILE:
    case ENTRY_EXEC:
        return compare_file(p, e, dirfd);
    case ENTRY_LINK:
        return compare_link(p, e, dirfd);
    default:
        return compare_dir(p, e, reach, dirfd);
    }
}

static void show(struct publication *p, const struct tree_entry *e, int dirfd, const char *name)
{
    if (p->found && p->found->patch)
        drift_patch_add(p->found->patch, buf_str(&p->path), e, dirfd, name);
}

static int compare_entry(struct publication *p, const struct tree_entry *e,
                         enum publication_reach reach, int dirfd)
{
    size_t before = p->found ? p->found->n : 0;
    int r = compare_kind(p, e, reach, dirfd);

    if (r == 0 && p->found && p->found->n != before && e->kind != ENTRY_DIR &&
        e->kind != ENTRY_MODULE)
        show(p, e, dirfd, e->name);
    return r;
}

/* Whether a name of the directory that the path names is one that each_taken() visits. */
static bool is_taken(struct publication *p, const struct tree *tree, const char *name,
                     enum publication_reach reach)
{
    const struct tree_entry *e = tree ? tree_find(tree, name) : NULL;

    if (!e || reach == REACH_ALL)
        return e;
    size_t before = enter(p, name);
    enum publication_reach below = reach_of(p, buf_str(&p->path));
    leave(p, before);
    return below == REACH_ALL || (below == REACH_PART && e->kind == ENTRY_DIR);
}

/* `tree` NULL: nothing may be there (a submodule). */
static int find_extra(struct publication *p, const struct tree *tree, enum publication_reach reach,
                      int dirfd)
{
    _cleanup_(closedirp) DIR *dir = NULL;
    struct dirent *e;
    int r = io_open_dir(dirfd, ".", &dir);

    if (r < 0)
        return fail(p, r, "list");
    while ((r = io_next_entry(dir, &e)) > 0) {
        if (is_taken(p, tree, e->d_name, reach))
            continue;
        size_t before = enter(p, e->d_name);
        r = p->halt(p->halt_arg)
                ? diag_fail(p->reterr, -ECANCELED, "stopped at %s", buf_str(&p->path))
                : differ(p, "extra");
        if (r == 0)
            show(p, NULL, dirfd, e->d_name);
        leave(p, before);
        if (r != 0)
            return r;
    }
    return r < 0 ? fail(p, r, "list") : 0;
}

static int compare_tree(struct publication *p, const struct oid *oid, enum publication_reach reach,
                        int dirfd)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    struct stat st;
    int r = oid ? load_tree(p, oid, &tree) : 0;

    if (r == 0)
        r = fstat(dirfd, &st) < 0 ? fail(p, -errno, "look at")
                                  : compare_rights(p, &st, DIR_MODE, dirfd);
    if (r == 0 && tree)
        r = each_taken(p, tree, reach, dirfd);
    return r ? r : find_extra(p, tree, reach, dirfd);
}

int publication_compare(struct publication *p, int dirfd, struct differences *found,
                        struct diag *reterr)
{
    size_t before = found ? found->n : 0;

    begin(p, compare_entry, reterr);
    p->found = found;
    int r = compare_tree(p, &p->root, reach_of(p, ""), dirfd);
    return r < 0 ? r : r != DIFFERENT && (!found || found->n == before);
}
