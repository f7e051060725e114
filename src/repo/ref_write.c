/* The writing half of refs.h: compare-and-swap. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/io.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/ref_mark.h"
#include "repo/refs.h"
#include "repo/revision.h"

#define LOCK_PATIENCE    NS_PER_SEC
#define WAIT_FIRST       (2 * NS_PER_MS)
#define WAIT_LONGEST     (50 * NS_PER_MS)
#define SYMBOLIC_DEEPEST 5 /* as Git */

/* One attempt, by libgit2; returns its code. */
struct ref_change {
    int (*attempt)(struct handle *h, const struct ref_change *c);
    const char *name;
    const struct oid *from, *to;
    const char *why;
};

static int attempt_update(struct handle *h, const struct ref_change *c)
{
    git_reference *ref = NULL;
    int code = git_reference_create_matching(&ref, h->git, c->name, oid_git(c->to), 1,
                                             oid_git(c->from), c->why);

    git_reference_free(ref);
    /* It was to be at `from` and is gone. */
    return code == GIT_ENOTFOUND && !oid_is_zero(c->from) ? GIT_EMODIFIED : code;
}

static int attempt_delete(struct handle *h, const struct ref_change *c)
{
    git_reference *ref = NULL;
    int code = git_reference_lookup(&ref, h->git, c->name);

    if (code == GIT_ENOTFOUND)
        return 0;
    if (code < 0)
        return code;
    const git_oid *at = git_reference_target(ref);
    /* The lookup's value is what the deletion compares with, under the lock. */
    if (at && git_oid_equal(at, oid_git(c->from)))
        code = git_reference_delete(ref);
    else
        code = GIT_EMODIFIED;
    git_reference_free(ref);
    return code == GIT_ENOTFOUND ? 0 : code;
}

/* A lock that someone holds, or whose directory a packing program has just removed: it passes. */
static bool is_passing(int code)
{
    return code == GIT_ELOCKED ||
           (code < 0 && giterr_vanished() && strstr(giterr_text(), "failed to rename lockfile"));
}

/* libgit2 could not read the object that the ref is to name, which was written and read back a
 * moment ago: for want of a descriptor, say. It passes, too. */
static bool is_blind(int code)
{
    return code < 0 && strstr(giterr_text(), "target OID for the reference doesn't exist");
}

/* It is said to have been moved, and is where it was: a packing program took its file away between
 * two looks of libgit2. It passes. */
static bool is_mistaken(struct handle *h, const struct ref_change *c, int code)
{
    git_oid at;

    return code == GIT_EMODIFIED && git_reference_name_to_id(&at, h->git, c->name) == 0 &&
           git_oid_equal(&at, oid_git(c->from));
}

/* The lock file that is in the way, if there is one. The caller frees. */
static char *find_lock(const struct repo *repo, const char *name, struct stat *ret)
{
    char *path = xasprintf("%s/%s.lock", repo->common_dir, name);

    if (stat(path, ret) == 0)
        return path;
    free(path);
    path = xasprintf("%s/packed-refs.lock", repo->common_dir);
    if (stat(path, ret) == 0)
        return path;
    free(path);
    return NULL;
}

/* Not -EAGAIN: who loses a race tries again at once, and would find the lock again. */
static int tell_locked(const struct repo *repo, const char *name, struct diag *reterr)
{
    struct stat st;
    _cleanup_free_ char *lock = find_lock(repo, name, &st);

    if (!lock)
        return diag_fail(reterr, -EBUSY, "%s is locked by another program", name);
    return diag_fail(reterr, -EBUSY,
                     "%s is locked since %" PRId64 " s; if no git program is at work there, one "
                     "has died: rm %s",
                     name, (clock_real() - clock_ns(st.st_mtim)) / NS_PER_SEC, lock);
}

/* Makes what the ref's file is, and every directory on the way to it, durable. Who packs refs does
 * that, too. */
static int sync_file(const struct repo *repo, const char *name)
{
    _cleanup_free_ char *path = xstrdup(name);
    _cleanup_close_ int dir = open(repo->common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (r == -ENOENT && dir >= 0)
        return 0;

    for (char *slash; r == 0 && (slash = strrchr(path, '/')); *slash = 0)
        r = io_sync_parent(dir, path);
    return r;
}

/* libgit2 failed. The ref may have been moved all the same, and only not be durable: it is known to
 * be so only if syncing it now succeeds. */
static int settle_update(struct handle *h, const struct ref_change *c, int code,
                         struct diag *reterr)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct revision_brief brief;
    int unread = is_blind(code) ? revision_brief(h->repo, c->to, &brief) : 0;

    if (unread < 0)
        return diag_fail(reterr, unread, "cannot change %s: the revision that it is to name: %s",
                         c->name, strerrordesc_np(-unread));
    int err = giterr_fail(code, &why, "cannot change %s", c->name);
    char hex[OID_HEX + 1];
    git_oid at;

    if (c->attempt != attempt_update)
        return diag_fail(reterr, err, "%s", diag_text(&why, err));
    code = git_reference_name_to_id(&at, h->git, c->name);
    if (code < 0 && code != GIT_ENOTFOUND)
        return diag_fail(reterr, err, "%s; whether it moved cannot be read now: %s",
                         diag_text(&why, err), giterr_text());
    if (code < 0 || !git_oid_equal(&at, oid_git(c->to)))
        return diag_fail(reterr, err, "%s", diag_text(&why, err));
    int r = sync_file(h->repo, c->name);
    if (r == 0)
        return 0;
    return diag_fail(reterr, r, "%s is at %s now, but the disk has not confirmed it: %s", c->name,
                     oid_hex(c->to, hex), strerrordesc_np(-r));
}

static int change_ref(struct handle *h, const struct ref_change *c, struct diag *reterr)
{
    int64_t until = clock_mono() + LOCK_PATIENCE, wait = WAIT_FIRST;
    int code;

    while ((code = c->attempt(h, c)) < 0 &&
           (is_passing(code) || is_blind(code) || is_mistaken(h, c, code)) &&
           clock_mono() < until) {
        struct timespec t = clock_timespec(wait);
        nanosleep(&t, NULL);
        wait = wait * 2 < WAIT_LONGEST ? wait * 2 : WAIT_LONGEST;
    }
    if (code >= 0)
        return 0;
    if (is_passing(code))
        return tell_locked(h->repo, c->name, reterr);
    if (code == GIT_EMODIFIED)
        return diag_fail(reterr, -EAGAIN, "%s was moved by someone else", c->name);
    return settle_update(h, c, code, reterr);
}

/* The name of the direct ref that `name` leads to, itself if it is direct. The caller frees. */
static char *follow(struct handle *h, const char *name)
{
    char *at = xstrdup(name);

    for (int i = 0; i < SYMBOLIC_DEEPEST; i++) {
        git_reference *ref = NULL;
        const char *target = NULL;
        if (git_reference_lookup(&ref, h->git, at) == 0)
            target = git_reference_symbolic_target(ref);
        char *next = xstrdup_or_null(target);
        git_reference_free(ref);
        if (!next)
            break;
        free(at);
        at = next;
    }
    return at;
}

/* After our change, which ended so: is our lock still there? libgit2 does not say when it cannot
 * remove it. */
static bool is_unclean(const struct repo *repo, const char *name, int r)
{
    _cleanup_free_ char *lock = xasprintf("%s/%s.lock", repo->common_dir, name);
    struct stat st;

    return r != -EAGAIN && r != -EBUSY && (r < 0 || lstat(lock, &st) == 0);
}

int ref_update(struct repo *repo, const char *name, const struct oid *from, const struct oid *to,
               const char *why, struct diag *reterr)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    int r = handle_borrow(repo, &h, reterr);

    if (r < 0)
        return r;
    _cleanup_free_ char *direct = follow(h, name);
    struct ref_change c = {attempt_update, direct, from, to, why};
    ref_mark_set(repo, direct, to);
    r = change_ref(h, &c, reterr);
    ref_mark_clear(repo, direct, is_unclean(repo, direct, r));
    return r;
}

int ref_sync(struct repo *repo, const char *name, struct diag *reterr)
{
    int r = sync_file(repo, name);

    return r < 0 ? diag_fail(reterr, r, "the disk has not confirmed where %s is: %s", name,
                             strerrordesc_np(-r))
                 : 0;
}

int ref_delete(struct repo *repo, const char *name, const struct oid *from, struct diag *reterr)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    int r = handle_borrow(repo, &h, reterr);

    if (r < 0)
        return r;
    struct ref_change c = {.attempt = attempt_delete, .name = name, .from = from};
    ref_mark_set(repo, name, from);
    r = change_ref(h, &c, reterr);
    ref_mark_clear(repo, name, is_unclean(repo, name, r));
    return r;
}
