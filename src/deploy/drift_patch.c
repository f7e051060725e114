#include "deploy/drift_patch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "repo/diff.h"
#include "repo/entry_name.h"
#include "repo/scratch.h"
#include "repo/tree_edit.h"

/* Two trees that hold nothing but what differs: as it should be, and as it is. */
struct drift_patch {
    struct repo *repo;
    struct scratch *scratch;
    struct tree_edits was, is;
    struct {
        VEC(char *);
    } paths;
    struct buf left_out; /* "# …" lines */
};

/* One path on one side. */
struct side {
    bool there;
    enum entry_kind kind;
    struct oid oid;
};

struct drift_patch *drift_patch_new(struct repo *repo)
{
    struct drift_patch *d = NEW(struct drift_patch);

    d->repo = repo;
    d->scratch = scratch_new(repo, DRIFT_PATCH_FILE_MOST);
    return d;
}

void drift_patch_free(struct drift_patch *d)
{
    if (!d)
        return;
    tree_edits_done(&d->was);
    tree_edits_done(&d->is);
    vec_foreach (path, &d->paths)
        free(*path);
    free(d->paths.v);
    buf_done(&d->left_out);
    scratch_free(d->scratch);
    free(d);
}

static void leave_out(struct drift_patch *d, const char *path, const char *why)
{
    buf_adds(&d->left_out, "# ");
    buf_add_visible(&d->left_out, path);
    buf_addf(&d->left_out, ": not shown: %s\n", why);
}

/* The reason why a side is not shown, or NULL. */
static const char *look_at_ours(const struct drift_patch *d, const struct tree_entry *e,
                                struct side *ret)
{
    uint64_t size;

    if (!e)
        return NULL;
    if (blob_size(d->repo, &e->oid, &size) < 0)
        return "it cannot be read from the repository";
    *ret = (struct side){true, e->kind, e->oid};
    return size > DRIFT_PATCH_FILE_MOST ? "it is too large" : NULL;
}

static const char *look_at_link(struct drift_patch *d, int dirfd, const char *name,
                                struct side *ret)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dirfd, name, target, sizeof(target));

    if (n < 0 || sink_blob(scratch_sink(d->scratch), target, n, &ret->oid, NULL) < 0)
        return "it cannot be read";
    ret->there = true;
    ret->kind = ENTRY_LINK;
    return NULL;
}

static const char *look_at_file(struct drift_patch *d, int dirfd, const char *name,
                                struct side *ret)
{
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return "it cannot be read";
    if (!(st.st_mode & S_IROTH))
        return "not everybody may read it";
    if (st.st_size > DRIFT_PATCH_FILE_MOST)
        return "it is too large";
    if (sink_blob_fd(scratch_sink(d->scratch), fd, st.st_size, &ret->oid, NULL) < 0)
        return "it cannot be read";
    ret->there = true;
    ret->kind = st.st_mode & S_IXUSR ? ENTRY_EXEC : ENTRY_FILE;
    return NULL;
}

static const char *look_at_theirs(struct drift_patch *d, int dirfd, const char *name,
                                  struct side *ret)
{
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : "it cannot be read";
    if (S_ISLNK(st.st_mode))
        return look_at_link(d, dirfd, name, ret);
    return S_ISREG(st.st_mode) ? look_at_file(d, dirfd, name, ret) : "it is no file";
}

void drift_patch_add(struct drift_patch *d, const char *path, const struct tree_entry *e, int dirfd,
                     const char *name)
{
    struct side was = {0}, is = {0};

    if (d->paths.n == DRIFT_PATCH_PATHS)
        return;
    const char *why = entry_name_is_gits(name) ? "Git has no such names" : look_at_ours(d, e, &was);
    if (!why)
        why = look_at_theirs(d, dirfd, name, &is);
    if (why) {
        leave_out(d, path, why);
        return;
    }
    *VEC_ADD(&d->paths) = xstrdup(path);
    if (was.there)
        tree_edits_add(&d->was, xstrdup(path), was.kind, &was.oid);
    if (is.there)
        tree_edits_add(&d->is, xstrdup(path), is.kind, &is.oid);
}

void drift_patch_print(struct drift_patch *d, struct buf *out)
{
    struct sink_place place = {d->repo, scratch_sink(d->scratch)};
    static const struct oid nothing;
    struct oid was, is;
    size_t before = out->len;

    if (!d->paths.n || tree_edits_put(&place, &nothing, &d->was, &was, NULL) < 0 ||
        tree_edits_put(&place, &nothing, &d->is, &is, NULL) < 0)
        d->paths.n = 0;
    vec_foreach (path, &d->paths) {
        size_t room = DRIFT_PATCH_MOST - (out->len - before);
        if (diff_patch(d->repo, &was, &is, (const char *const *)path, 1, room, out) < 0)
            leave_out(d, *path, "the patch would be too large");
    }
    if (d->paths.n == DRIFT_PATCH_PATHS)
        buf_adds(&d->left_out, "# not more is shown\n");
    buf_adds(out, buf_str(&d->left_out));
}
