#include "repo/repo.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/io.h"
#include "repo/faults.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/scratches.h"
#include "repo/source.h"
#include "repo/spill.h"

#define EXTENSIONS "extensions."
/* Blobs up to this size are read from memory: so small that as many of them fit as there may be
 * readers, each in the midst of one. */
#define BLOB_SHARE 16
#define BLOB_MOST  (UINT64_C(8) << 20)

/* Objects come and go in all sizes, from many threads, and the C library would keep what they leave
 * free: one heap for each thread, and large blocks inside the heaps once a few have come and gone.
 * With this, memory is what the caches hold and a third more; without, two thirds. */
static void heap_setup(void)
{
    mallopt(M_ARENA_MAX, 4);
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

/* Options of libgit2 that are global to the process. Its own object cache is off: trees and blobs
 * have ours, which is bounded and shared by all handles. */
static void libgit2_setup(void)
{
    static const char *extensions[] = {"preciousobjects"};

    git_libgit2_init();
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 1);
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 1);
    git_libgit2_opts(GIT_OPT_ENABLE_CACHING, 0);
    git_libgit2_opts(GIT_OPT_SET_EXTENSIONS, extensions, ARRAY_SIZE(extensions));
}

static void process_setup(void)
{
    heap_setup();
    libgit2_setup();
}

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The target of a `gitdir: PATH` file, or of a `commondir` file (prefix ""), relative to `dir`;
 * NULL if it is not one. The caller frees. */
static char *read_pointer(const char *dir, const char *name, const char *prefix)
{
    _cleanup_free_ char *file = xasprintf("%s/%s", dir, name);
    _cleanup_(buf_done) struct buf text = {0};

    if (io_read_file(AT_FDCWD, file, 65536, &text) < 0 || !text.len ||
        strncmp(text.data, prefix, strlen(prefix)))
        return NULL;
    char *target = text.data + strlen(prefix);
    target += strspn(target, " ");
    target[strcspn(target, "\r\n")] = 0;
    return *target == '/' ? xstrdup(target) : xasprintf("%s/%s", dir, target);
}

/* The directory with `config` that belongs to `path`, found the way Git does but without believing
 * that it can be opened: to explain why it cannot. The caller frees. */
static char *find_config_dir(const char *path)
{
    _cleanup_free_ char *dot_git = xasprintf("%s/.git", path);
    _cleanup_free_ char *dir =
        is_dir(dot_git) ? xstrdup(dot_git) : read_pointer(path, ".git", "gitdir:");
    char *common;

    if (!dir)
        dir = xstrdup(path);
    common = read_pointer(dir, "commondir", "");
    return common ? common : TAKE(dir);
}

static int explain_extension(const git_config_entry *entry, void *arg)
{
    struct diag *why = arg;
    const char *value = entry->value ? entry->value : "";

    if (strncmp(entry->name, EXTENSIONS, strlen(EXTENSIONS)))
        return 0;
    const char *name = entry->name + strlen(EXTENSIONS);
    if (!strcmp(name, "noop") || !strcmp(name, "preciousobjects"))
        return 0;
    if (!strcmp(name, "objectformat"))
        diag_fail(why, 0,
                  "it stores %s object ids (extensions.objectFormat); only SHA-1 is supported",
                  strcasecmp(value, "sha256") ? value : "SHA-256");
    else if (!strcmp(name, "refstorage"))
        diag_fail(why, 0,
                  "it stores its refs as %s (extensions.refStorage); only files are supported",
                  value);
    else if (!strcmp(name, "partialclone"))
        diag_fail(why, 0,
                  "it is a partial clone (extensions.partialClone = %s), whose objects are "
                  "elsewhere; clone it without --filter",
                  value);
    else if (!strcmp(name, "worktreeconfig"))
        diag_fail(why, 0,
                  "it has configuration per work tree (extensions.worktreeConfig), which is "
                  "not supported; mount a bare clone of it");
    else
        diag_fail(why, 0, "it uses the extension '%s', which is not supported", name);
    return GIT_EUSER;
}

/* Sets `why` if the repository's format is one that libgit2 refuses. */
static void explain_format(const char *path, struct diag *why)
{
    _cleanup_free_ char *dir = find_config_dir(path);
    _cleanup_free_ char *file = xasprintf("%s/config", dir);
    git_config *config = NULL;
    int32_t version;

    if (git_config_open_ondisk(&config, file) < 0)
        return;
    if (git_config_get_int32(&version, config, "core.repositoryformatversion") == 0 && version > 1)
        diag_fail(why, 0, "its core.repositoryFormatVersion is %d; at most 1 is supported",
                  version);
    else if (version == 1)
        git_config_foreach(config, explain_extension, why);
    git_config_free(config);
}

/* What Git wants in safe.directory: the top of the work tree, or the directory of a bare one. */
static char *safe_directory(const char *path)
{
    size_t n = strlen(path);

    return n > 5 && !strcmp(path + n - 5, "/.git") ? xstrndup(path, n - 5) : xstrdup(path);
}

/* libgit2 reports the owner as GIT_EOWNER, or, when no safe.directory is set at all, as a setting
 * that was not found. */
static bool is_foreign(int code)
{
    return code == GIT_EOWNER || (code == GIT_ENOTFOUND && strstr(giterr_text(), "safe.directory"));
}

/* Why the repository at `path`, which exists, could not be opened, from libgit2's `code`. */
static int explain(const char *path, int code, struct diag *reterr)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *words = xstrdup(giterr_text());
    _cleanup_free_ char *safe = safe_directory(path);
    int err = giterr_errno(code);

    if (is_foreign(code))
        return diag_fail(reterr, -EACCES,
                         "%s belongs to another user; if you trust it: "
                         "git config --global --add safe.directory %s",
                         path, safe);
    explain_format(path, &why);
    if (why.text)
        return diag_fail(reterr, -EOPNOTSUPP, "cannot use %s: %s", path, why.text);
    if (code == GIT_ENOTFOUND)
        return diag_fail(reterr, -EINVAL, "%s is not a Git repository", path);
    return diag_fail(reterr, err, "cannot open %s: %s", path, words);
}

/* Finds out whether the repository can be used at all, and where its parts are. */
static int find_parts(struct repo *repo, struct diag *reterr)
{
    git_repository *git = NULL;
    int code = git_repository_open_ext(&git, repo->path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);

    if (code < 0)
        return explain(repo->path, code, reterr);
    repo->git_dir = realpath(git_repository_path(git), NULL);
    repo->common_dir = repo->git_dir ? realpath(git_repository_commondir(git), NULL) : NULL;
    int err = repo->common_dir ? 0 : -errno;
    git_repository_free(git);
    if (err < 0)
        return diag_fail(reterr, err, "cannot open %s: %s", repo->path, strerrordesc_np(-err));
    repo->objects_dir = xasprintf("%s/objects", repo->common_dir);
    return 0;
}

int repo_open(const char *path, struct repo **ret, struct diag *reterr)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    _cleanup_(repo_freep) struct repo *repo = NEW(struct repo);
    struct handle *first;

    pthread_once(&once, process_setup);
    pthread_mutex_init(&repo->idle_lock, NULL);
    repo->faults = faults_new();
    repo->scratches = scratches_new();
    repo->path = realpath(path, NULL);
    if (!repo->path)
        return diag_fail(reterr, -errno, "cannot open %s: %s", path, strerrordesc_np(errno));
    int r = find_parts(repo, reterr);
    if (r == 0)
        r = handle_borrow(repo, &first, reterr);
    if (r < 0)
        return r;
    handle_give_back(first);
    repo_cache_limit(repo, REPO_CACHE);
    repo->spill = spill_new(repo);
    *ret = TAKE(repo);
    return 0;
}

void repo_free(struct repo *repo)
{
    if (!repo)
        return;
    source_free(repo->source);
    spill_free(repo->spill);
    handle_close_all(repo);
    scratches_free(repo->scratches);
    faults_free(repo->faults);
    cache_free(repo->trees);
    cache_free(repo->blobs);
    pthread_mutex_destroy(&repo->idle_lock);
    free(repo->path);
    free(repo->git_dir);
    free(repo->common_dir);
    free(repo->objects_dir);
    free(repo);
}

const char *repo_git_dir(const struct repo *repo)
{
    return repo->git_dir;
}

const char *repo_common_dir(const struct repo *repo)
{
    return repo->common_dir;
}

static void bound(struct cache **cache, uint64_t bytes, bool newest_stays)
{
    struct cache_bounds bounds = {bytes, .newest_stays = newest_stays, .in_memory = true};

    if (*cache)
        cache_rebound(*cache, &bounds);
    else
        *cache = cache_new(&bounds);
}

void repo_cache_limit(struct repo *repo, uint64_t bytes)
{
    uint64_t most = bytes / 4 / BLOB_SHARE;

    bound(&repo->trees, bytes / 4, true);
    bound(&repo->blobs, bytes / 4, false);
    repo->blob_most = most < BLOB_MOST ? most : BLOB_MOST;
    repo->blob_held = bytes / 4 / 2;
    source_free(repo->source);
    repo->source = source_new(repo, bytes / 2);
}

void repo_spool_in(struct repo *repo, const char *dir)
{
    spill_in(repo->spill, dir);
}

void repo_on_fault(struct repo *repo, repo_fault_fn *fault, void *arg)
{
    faults_listen(repo->faults, fault, arg);
}
