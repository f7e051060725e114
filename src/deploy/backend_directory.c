/* Publishes a site's inputs as directories:
 *
 *     <directory>/<id>/         a version: the inputs at revision <id>, at their paths
 *     <directory>/current       symlink to the version that is in force
 *     <directory>/.onward       who publishes here: one line with the site's name; locked meanwhile
 *     <directory>/.new-<id>     a version in the making
 *     <directory>/.old-<id>     one on its way out
 *
 * Invariants
 *   D1  A directory named by an id was complete, and on disk, when it got that name.
 *   D2  `current` always names a version, by one rename.
 *   D3  What `current` names is never removed nor changed in place.
 *   D4  Nothing outside <directory> is touched. Below the part of it that the configuration spells
 *       out, before the first name that comes from the repository, no symlink is followed.
 *   D5  Two sites never publish to one directory.
 *   D6  A version's time of change is when it was last in force; 0: never.
 *
 * Many calls at once make what they have written durable together (sync_group.h).
 *
 * Observing compares all of that with what it should be, and changes nothing; applying the same
 * revision again makes it right. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/io.h"
#include "deploy/backend.h"
#include "deploy/publication.h"
#include "deploy/request.h"
#include "deploy/sync_group.h"

#define OWNER_FILE   ".onward"
#define CURRENT      "current"
#define CURRENT_NEW  ".new-current"
#define STAGE_PREFIX ".new-"
#define TRASH_PREFIX ".old-"

struct backend_directory {
    struct backend backend;
    struct sync_group *syncs;
};

/* One call. */
struct publishing {
    const struct backend_config *config;
    const struct backend_request *request;
    struct backend_result *result;
    char id[OID_HEX + 1], stage[sizeof(STAGE_PREFIX) + OID_HEX];
    int64_t deadline; /* mono */
    struct buf where; /* <directory>, for messages */
    int dirfd;
    int owner; /* <directory>/.onward, locked */
    bool ours; /* …it said so before this call */
    struct sync_member sync;
    struct publication publication;
};

static void publishing_done(struct publishing *p)
{
    sync_member_leave(&p->sync);
    publication_done(&p->publication);
    buf_done(&p->where);
    free((void *)p->publication.paths);
    closep(&p->owner);
    closep(&p->dirfd);
}

/* Says how it ended. Returns -1, which only means that the result is set. */
static int end(struct publishing *p, enum backend_end how, const char *what, int err)
{
    if (err)
        backend_result_set(p->result, how, "%s: %s: %s", buf_str(&p->where), what, strerror(-err));
    else
        backend_result_set(p->result, how, "%s: %s", buf_str(&p->where), what);
    return -1;
}

static bool is_stopped(const struct publishing *p)
{
    struct pollfd fd = {p->request->stop_fd, POLLIN, 0};

    return p->request->stop_fd >= 0 && poll(&fd, 1, 0) > 0;
}

static bool halt(void *arg)
{
    const struct publishing *p = arg;

    return clock_mono() >= p->deadline || is_stopped(p);
}

/* How a publication's failure ends the call. */
static int end_publication(struct publishing *p, int err, const struct diag *why)
{
    enum backend_end how = err != -ECANCELED ? err == -EINVAL ? BACKEND_STALLED : BACKEND_FAILED
                           : is_stopped(p)   ? BACKEND_STOPPED
                                             : BACKEND_TIMEOUT;

    return end(p, how, diag_text(why, err), 0);
}

/* ---- where --------------------------------------------------------------------------------------
 */

/* The length of the part that the configuration spells out: whole components, with their slash. */
static size_t root_length(const char *pattern)
{
    size_t n = strcspn(pattern, "{");

    while (n > 1 && pattern[n - 1] != '/')
        n--;
    return n;
}

/* Opens the directory `name` in `dirfd`, without following it; makes it, durably, if it is not
 * there and `make`. */
static int enter_directory(int dirfd, const char *name, bool make)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dirfd, name, flags);

    if (fd >= 0 || errno != ENOENT || !make)
        return fd < 0 ? -errno : fd;
    if ((mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST) || fsync(dirfd) < 0)
        return -errno;
    fd = openat(dirfd, name, flags);
    return fd < 0 ? -errno : fd;
}

/* Goes down from `fd`, which is closed, by the components of `path`. */
static int descend(int fd, char *path, bool make)
{
    char *rest;

    for (char *name = strtok_r(path, "/", &rest); name && fd >= 0;
         name = strtok_r(NULL, "/", &rest)) {
        int below = enter_directory(fd, name, make);
        close(fd);
        fd = below;
    }
    return fd;
}

/* Opens <directory>, making what is not there of it if `make` (D4). -ENOENT, without a result: it
 * is not there, and not made. */
static int open_directory(struct publishing *p, bool make)
{
    size_t root = root_length(p->config->directory);
    _cleanup_free_ char *top = xstrndup(p->config->directory, root);
    int r = request_expand(p->config->directory, p->request->site, false, &p->where);

    if (r < 0)
        return end(p, BACKEND_STALLED, "the site's name or team cannot name a directory", 0);
    _cleanup_free_ char *below = xstrdup(p->where.data + root);
    r = make ? io_make_dirs(AT_FDCWD, top, 0755) : 0;
    int fd = r < 0 ? r : open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        r = r < 0 ? r : -errno;
        return r == -ENOENT && !make ? r : end(p, BACKEND_FAILED, "cannot open the directory", r);
    }
    p->dirfd = descend(fd, below, make);
    if (p->dirfd >= 0 || (p->dirfd == -ENOENT && !make))
        return p->dirfd < 0 ? p->dirfd : 0;
    if (p->dirfd == -ELOOP || p->dirfd == -ENOTDIR)
        return end(p, BACKEND_STALLED, "a symlink or a file is in the way to it", 0);
    return end(p, BACKEND_FAILED, "cannot open the directory", p->dirfd);
}

/* Opens and locks what says who publishes here. -ENOENT, without a result: nothing does, and
 * `make` does not make it. */
static int lock_owner(struct publishing *p, bool make)
{
    int flags = (make ? O_RDWR | O_CREAT : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    struct stat st;

    p->owner = openat(p->dirfd, OWNER_FILE, flags, 0644);
    if (p->owner < 0 && errno == ENOENT)
        return -ENOENT;
    if (p->owner < 0 && errno != ELOOP && errno != EISDIR)
        return end(p, BACKEND_FAILED, OWNER_FILE, -errno);
    if (p->owner < 0 || fstat(p->owner, &st) < 0 || !S_ISREG(st.st_mode))
        return end(p, BACKEND_STALLED, OWNER_FILE " is not a file: remove it", 0);
    p->publication.owner = st.st_uid; /* as this file system has it: it may know no root */
    if (flock(p->owner, (make ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0)
        return end(p, BACKEND_LATER, "another process publishes to the same directory", 0);
    return 0;
}

/* Whose the directory is: 1 this site's, 0 nobody's, -1. */
static int read_owner(struct publishing *p)
{
    _cleanup_(buf_done) struct buf text = {0};
    int r = io_read_fd(p->owner, PATH_MAX, &text);

    if (r < 0)
        return end(p, BACKEND_FAILED, OWNER_FILE, r);
    if (!text.len)
        return 0;
    text.data[strcspn(text.data, "\n")] = 0;
    if (!strcmp(text.data, p->request->site->name))
        return 1;
    backend_result_set(p->result, BACKEND_STALLED,
                       "%s belongs to site %s: put {site} into the backend's directory, or "
                       "remove its " OWNER_FILE,
                       p->where.data, text.data);
    return -1;
}

/* Makes sure that this is the only one who publishes here (D5). */
static int take_ownership(struct publishing *p)
{
    _cleanup_(buf_done) struct buf name = {0};
    int r = lock_owner(p, true);

    if (r == 0)
        r = read_owner(p);
    p->ours = r == 1;
    if (r)
        return r < 0 ? -1 : 0;
    buf_addf(&name, "%s\n", p->request->site->name);
    r = io_pwrite_full(p->owner, name.data, name.len, 0);
    return r < 0 ? end(p, BACKEND_FAILED, OWNER_FILE, r) : 0;
}

/* ---- versions -----------------------------------------------------------------------------------
 */

static bool is_leftover(const char *name)
{
    return !strncmp(name, STAGE_PREFIX, strlen(STAGE_PREFIX)) ||
           !strncmp(name, TRASH_PREFIX, strlen(TRASH_PREFIX));
}

struct version {
    char *name;
    int64_t time; /* D6 */
};

struct versions {
    VEC(struct version);
};

static void versions_done(struct versions *v)
{
    vec_foreach (e, v)
        free(e->name);
    free(v->v);
}

/* Lists the names that `wanted` accepts. */
static int list(int dirfd, bool (*wanted)(const char *name), struct versions *ret)
{
    _cleanup_(closedirp) DIR *dir = NULL;
    struct dirent *e;
    struct stat st;
    int r = io_open_dir(dirfd, ".", &dir);

    if (r < 0)
        return r;
    while ((r = io_next_entry(dir, &e)) > 0) {
        if (!wanted(e->d_name) || fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        *VEC_ADD(ret) = (struct version){.name = xstrdup(e->d_name), .time = clock_ns(st.st_mtim)};
    }
    return r;
}

/* Removes what a crash left half made or half removed. */
static int clean(struct publishing *p)
{
    _cleanup_(versions_done) struct versions left = {0};
    int r = list(p->dirfd, is_leftover, &left);

    vec_foreach (e, &left)
        if (r == 0)
            r = io_remove_tree(p->dirfd, e->name);
    return r < 0 ? end(p, BACKEND_FAILED, "cannot remove what an earlier attempt left", r) : 0;
}

/* Takes a version out of sight by one rename, then away. */
static int discard(struct publishing *p, const char *name)
{
    _cleanup_free_ char *trash = xasprintf(TRASH_PREFIX "%s", name);

    if (renameat(p->dirfd, name, p->dirfd, trash) < 0)
        return -errno;
    return io_remove_tree(p->dirfd, trash);
}

/* 1 if the version is there and exactly right, 0 if it must be written; -1. */
static int is_complete(struct publishing *p)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_close_ int fd =
        openat(p->dirfd, p->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return 0;
    int r = publication_compare(&p->publication, fd, NULL, &why);
    return r < 0 ? end_publication(p, r, &why) : r;
}

/* Writes the version beside its place, durably. */
static int write_stage(struct publishing *p)
{
    static const struct timespec never[2];
    _cleanup_(diag_done) struct diag why = {0};

    if (mkdirat(p->dirfd, p->stage, 0700) < 0)
        return end(p, BACKEND_FAILED, p->stage, -errno);
    _cleanup_close_ int fd =
        openat(p->dirfd, p->stage, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return end(p, BACKEND_FAILED, p->stage, -errno);
    p->publication.unsynced = p->sync.together;
    int r = publication_write(&p->publication, fd, &why);
    if (r < 0)
        return end_publication(p, r, &why);
    if (futimens(fd, never) < 0) /* D6 */
        return end(p, BACKEND_FAILED, p->stage, -errno);
    r = p->sync.together ? sync_member_wait(&p->sync) : 0;
    return r < 0 ? end(p, BACKEND_FAILED, p->stage, r) : 0;
}

/* Makes durable which names <directory> has. */
static int sync_names(struct publishing *p)
{
    if (p->sync.together)
        return sync_member_wait(&p->sync);
    return fsync(p->dirfd) < 0 ? -errno : 0;
}

/* Gives the staged version its name (D1). What had the name is exchanged for it in one step, since
 * `current` may name it (D3), and then removed. */
static int put_in_place(struct publishing *p)
{
    int r = renameat2(p->dirfd, p->stage, p->dirfd, p->id, RENAME_NOREPLACE);

    if (r < 0 && errno == EEXIST) {
        r = renameat2(p->dirfd, p->stage, p->dirfd, p->id, RENAME_EXCHANGE);
        if (r == 0 && (r = io_remove_tree(p->dirfd, p->stage)) < 0)
            return end(p, BACKEND_FAILED, p->stage, r);
    }
    r = r < 0 ? -errno : sync_names(p);
    return r < 0 ? end(p, BACKEND_FAILED, p->id, r) : 0;
}

static int make_version(struct publishing *p)
{
    int r = is_complete(p);

    if (r != 0)
        return r < 0 ? r : 0;
    r = write_stage(p);
    if (r == 0)
        r = put_in_place(p);
    if (r < 0)
        io_remove_tree(p->dirfd, p->stage); /* the next call tries again if this fails */
    return r;
}

/* ---- current ------------------------------------------------------------------------------------
 */

/* What `current` names; "" when there is none. -errno, -EINVAL when it is no symlink. */
static int read_current(struct publishing *p, char ret[PATH_MAX])
{
    ssize_t n = readlinkat(p->dirfd, CURRENT, ret, PATH_MAX - 1);

    if (n < 0 && errno != ENOENT)
        return -errno;
    ret[n < 0 ? 0 : n] = 0;
    return 0;
}

static bool is_version(const char *name)
{
    struct oid oid;

    return oid_parse(name, &oid) == 0;
}

/* D6. The kernel's own "now" is too coarse to tell one version from the next. */
static int touch(struct publishing *p, const char *version)
{
    struct timespec now = clock_timespec(clock_real()), times[] = {now, now};

    if (!is_version(version) || utimensat(p->dirfd, version, times, AT_SYMLINK_NOFOLLOW) == 0 ||
        errno == ENOENT)
        return 0;
    return end(p, BACKEND_FAILED, version, -errno);
}

/* Puts the new symlink in the place of what somebody made of `current`, which goes. */
static int replace_current(struct publishing *p)
{
    int r = 0;

    if (renameat2(p->dirfd, CURRENT_NEW, p->dirfd, CURRENT, RENAME_EXCHANGE) < 0)
        r = -errno;
    else
        r = io_remove_tree(p->dirfd, CURRENT_NEW);
    if (r == 0)
        buf_adds(&p->result->log, "removed what was in the place of \"" CURRENT "\"\n");
    return r;
}

/* Nobody has ever published here: a `current` that is no symlink is not ours. */
static int refuse_current(struct publishing *p)
{
    return end(p, BACKEND_STALLED, "\"" CURRENT "\" is there, but not a symlink", 0);
}

static int move_current(struct publishing *p)
{
    char now[PATH_MAX];
    int r = read_current(p, now);
    bool strange = r == -EINVAL;

    if (strange && !p->ours)
        return refuse_current(p);
    if (r < 0 && !strange)
        return end(p, BACKEND_FAILED, CURRENT, r);
    if (!strange && touch(p, now) < 0)
        return -1;
    if (!strange && !strcmp(now, p->id))
        return 0;
    if (symlinkat(p->id, p->dirfd, CURRENT_NEW) < 0)
        return end(p, BACKEND_FAILED, CURRENT_NEW, -errno);
    if (strange)
        r = replace_current(p);
    else
        r = renameat(p->dirfd, CURRENT_NEW, p->dirfd, CURRENT) < 0 ? -errno : 0;
    if (r == 0)
        r = sync_names(p);
    return r < 0 ? end(p, BACKEND_FAILED, CURRENT, r) : touch(p, p->id);
}

static int newest_first(const void *a, const void *b)
{
    const struct version *x = a, *y = b;

    if (x->time != y->time)
        return x->time > y->time ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Removes the versions beyond `keep`, oldest first, and those that never were in force, but not the
 * one that is. The site is where it should be by then: what cannot be removed is said in the log.
 */
static void prune(struct publishing *p)
{
    _cleanup_(versions_done) struct versions versions = {0};
    int kept = 1, r = list(p->dirfd, is_version, &versions); /* 1: the one in force */

    if (versions.n)
        qsort(versions.v, versions.n, sizeof(*versions.v), newest_first);
    vec_foreach (v, &versions) {
        if (r < 0)
            break;
        if (!strcmp(v->name, p->id) || (v->time > 0 && kept++ < p->config->keep))
            continue;
        r = discard(p, v->name);
        if (r == 0)
            buf_addf(&p->result->log, "removed version %s\n", v->name);
    }
    if (r < 0)
        buf_addf(&p->result->log, "cannot remove an old version: %s\n", strerror(-r));
}

/* ---- the vtable ---------------------------------------------------------------------------------
 */

static void begin(struct publishing *p, struct repo *repo)
{
    const struct site *site = p->request->site;
    const char **paths = xcalloc(site->include.n + 1, sizeof(*paths));
    size_t n = 0;

    paths[n++] = site->source;
    vec_foreach (path, &site->include)
        paths[n++] = *path;
    oid_hex(&p->request->to, p->id);
    snprintf(p->stage, sizeof(p->stage), STAGE_PREFIX "%s", p->id);
    p->deadline = clock_mono() + p->request->timeout;
    p->publication = (struct publication){.repo = repo,
                                          .root = p->request->to_tree,
                                          .paths = paths,
                                          .npaths = n,
                                          .halt = halt,
                                          .halt_arg = p,
                                          .owner = geteuid()};
}

static void backend_directory_apply(struct backend *b, const struct backend_request *request,
                                    struct backend_result *ret)
{
    _cleanup_(publishing_done) struct publishing p = {
        .config = b->config, .request = request, .result = ret, .dirfd = -1, .owner = -1};

    begin(&p, b->repo);
    if (open_directory(&p, true) < 0)
        return;
    sync_group_join(container_of(b, struct backend_directory, backend)->syncs, p.dirfd, &p.sync);
    if (take_ownership(&p) < 0 || clean(&p) < 0 || make_version(&p) < 0 || move_current(&p) < 0)
        return;
    ret->end = BACKEND_DONE;
    buf_addf(&ret->log, "version %s: %zu entries, %llu bytes\n", p.id, p.publication.entries,
             (unsigned long long)p.publication.bytes);
    prune(&p);
}

/* ---- observing ----------------------------------------------------------------------------------
 */

/* Whether `current` names the version. */
static int observe_current(struct publishing *p, struct differences *found)
{
    char now[PATH_MAX];
    int r = read_current(p, now);

    if (r < 0 && r != -EINVAL)
        return end(p, BACKEND_FAILED, CURRENT, r);
    if (r < 0)
        differences_add(found, "kind", CURRENT);
    else if (!*now)
        differences_add(found, "missing", CURRENT);
    else if (strcmp(now, p->id) != 0)
        differences_add(found, "target", CURRENT);
    return 0;
}

/* Whether the version is what the revision holds. Its paths stand without its name. */
static int observe_version(struct publishing *p, struct differences *found)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_close_ int fd =
        openat(p->dirfd, p->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno != ENOENT && errno != ELOOP && errno != ENOTDIR)
        return end(p, BACKEND_FAILED, p->id, -errno);
    if (fd < 0) {
        differences_add(found, errno == ENOENT ? "missing" : "kind", p->id);
        return 0;
    }
    int r = publication_compare(&p->publication, fd, found, &why);
    return r < 0 ? end_publication(p, r, &why) : 0;
}

/* Everything below <directory> that is in force. */
static int observe_directory(struct publishing *p, struct differences *found)
{
    int r = lock_owner(p, false);

    if (r == -ENOENT) {
        differences_add(found, "missing", OWNER_FILE);
    } else {
        r = r < 0 ? r : read_owner(p);
        if (r == 0)
            differences_add(found, "content", OWNER_FILE);
        if (r < 0)
            return r;
    }
    if (observe_current(p, found) < 0)
        return -1;
    return observe_version(p, found);
}

static void backend_directory_observe(struct backend *b, const struct backend_request *request,
                                      struct backend_result *ret)
{
    _cleanup_(drift_patch_freep) struct drift_patch *patch = drift_patch_new(b->repo);
    _cleanup_(differences_done) struct differences found = {.patch = patch};
    _cleanup_(publishing_done) struct publishing p = {
        .config = b->config, .request = request, .result = ret, .dirfd = -1, .owner = -1};

    begin(&p, b->repo);
    int r = open_directory(&p, false);
    if (r == -ENOENT)
        differences_add(&found, "missing", p.where.data);
    else if (r < 0 || observe_directory(&p, &found) < 0)
        return;
    ret->end = found.n ? BACKEND_DRIFTED : BACKEND_DONE;
    if (!found.n)
        return;
    backend_result_set(ret, BACKEND_DRIFTED, "%zu differ%s: %s", found.n, found.n == 1 ? "s" : "",
                       found.digest.data);
    buf_add(&ret->log, found.list.data, found.list.len);
    drift_patch_print(patch, &ret->log);
}

static void backend_directory_free(struct backend *backend)
{
    struct backend_directory *b = container_of(backend, struct backend_directory, backend);

    sync_group_free(b->syncs);
    free(b);
}

static const struct backend_ops ops = {
    .call = {[VERB_APPLY] = backend_directory_apply, [VERB_OBSERVE] = backend_directory_observe},
    .free = backend_directory_free};

int backend_directory_new(const struct backend_config *config, struct backend **ret,
                          struct diag *reterr)
{
    if (!config->directory || *config->directory != '/')
        return diag_fail(reterr, -EINVAL,
                         "backend %s: directory must be an absolute path, not \"%s\"", config->name,
                         config->directory ? config->directory : "");
    struct backend_directory *b = NEW(struct backend_directory);
    b->backend.ops = &ops;
    b->syncs = sync_group_new();
    *ret = &b->backend;
    return 0;
}
