#include "stage/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/map.h"
#include "check/check.h"
#include "repo/revision.h"
#include "stage/autocommit.h"
#include "stage/commit.h"
#include "stage/direct.h"
#include "stage/keep_ref.h"
#include "stage/listing.h"
#include "stage/overlay_node.h"
#include "stage/proposals.h"
#include "stage/snapshot.h"
#include "tree/table.h"

/* Descriptors that are kept open for later: so many, or this share of what the process may have. */
#define OPEN_FILES_MOST  256
#define OPEN_FILES_SHARE 4

struct staging {
    struct staging_config config;
    char *host;
    struct stage_env env;
    pthread_mutex_t lock;  /* guards the fields below */
    struct map workspaces; /* name → struct workspace, or `broken` */
    int64_t mtime;
    struct node *root;
};

/* Stands for a workspace that is on disk but cannot be opened. */
static char broken;

struct staging_node {
    struct node node;
    struct staging *staging;
};

static struct staging *staging_of(struct node *node)
{
    return ((struct staging_node *)node)->staging;
}

/* With the lock held. */
static void has_changed(struct staging *s)
{
    int64_t now = clock_real();

    s->mtime = now > s->mtime ? now : s->mtime + 1;
}

static void on_ended(void *arg, const char *name)
{
    struct staging *s = arg;

    pthread_mutex_lock(&s->lock);
    struct workspace *ws = map_del(&s->workspaces, name);
    has_changed(s);
    pthread_mutex_unlock(&s->lock);
    workspace_unref(ws);
}

static void on_vanished(void *arg, const char *name)
{
    struct staging *s = arg;

    node_changes(s->config.table,
                 (struct node_change[]){{s->root, NULL, true}, {s->root, name, false}}, 2);
}

/* The workspace of that name, referenced. -ENOENT; -EIO: it cannot be opened. */
static int get(struct staging *s, const char *name, struct workspace **ret)
{
    pthread_mutex_lock(&s->lock);
    void *found = map_get(&s->workspaces, name);
    int r = !found ? -ENOENT : found == &broken ? -EIO : 0;
    if (r == 0)
        *ret = workspace_ref(found);
    pthread_mutex_unlock(&s->lock);
    return r;
}

static int on_find(void *arg, const char *name, struct workspace **ret)
{
    return get(arg, name, ret);
}

/* The directory `staging/` */

static int staging_getattr(struct node *node, struct stat *st)
{
    struct staging *s = staging_of(node);

    st->st_mode = S_IFDIR | (s->config.shared ? 01777 : 0755);
    pthread_mutex_lock(&s->lock);
    st->st_mtim = clock_timespec(s->mtime);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static int staging_lookup(struct node *dir, const char *name, struct node **ret)
{
    _cleanup_(workspace_unrefp) struct workspace *ws = NULL;
    int r = get(staging_of(dir), name, &ws);

    if (r == 0)
        *ret = overlay_root(ws);
    return r;
}

static int staging_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct staging *s = staging_of(dir);
    struct listing l = {0};

    pthread_mutex_lock(&s->lock);
    map_foreach (it, &s->workspaces)
        listing_add(&l, it->key, S_IFDIR, node_ino(s->config.root_ino, it->key));
    pthread_mutex_unlock(&s->lock);
    listing_finish(&l);
    listing_emit(&l, cookie, sink);
    listing_done(&l);
    return 0;
}

/* The base of a new workspace: what stands behind the '@' of its name, or head (zero if there is
 * none). */
static int find_base(struct staging *s, const char *name, struct oid *ret)
{
    const char *at = strchr(name, '@');

    if (at)
        return revision_resolve(s->config.repo, at + 1, ret);
    *ret = (struct oid){0};
    int r = mainline_head(s->config.mainline, ret);
    return r == -ENOENT ? 0 : r;
}

/* With the lock held, so that no two make the same name. */
static int open_new(struct staging *s, const char *name, const struct caller *who,
                    const struct oid *base, struct workspace **ret)
{
    _cleanup_(diag_done) struct diag why = {0};

    if (map_get(&s->workspaces, name))
        return -EEXIST;
    if (s->config.most_workspaces && s->workspaces.live >= s->config.most_workspaces)
        return -EDQUOT;
    struct workspace *ws;
    int r = workspace_create(&s->env, name, who, base, &ws, &why);
    if (r < 0) {
        log_error("workspace-not-made", "workspace=%s reason=\"%s\"", name, diag_text(&why, r));
        return r;
    }
    map_put(&s->workspaces, name, ws);
    has_changed(s);
    *ret = workspace_ref(ws);
    return 0;
}

static int staging_mkdir(struct node *dir, const struct caller *who, const char *name, mode_t mode,
                         struct node **ret)
{
    struct staging *s = staging_of(dir);
    _cleanup_(workspace_unrefp) struct workspace *ws = NULL;
    struct oid base;

    int r = workspace_check_name(name);
    if (r == 0)
        r = find_base(s, name, &base);
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    r = open_new(s, name, who, &base, &ws);
    pthread_mutex_unlock(&s->lock);
    if (r == 0)
        *ret = overlay_root(ws);
    return r;
}

static int only_if_clean(struct workspace *ws)
{
    struct oid tree;
    int r = snapshot_id(ws, &tree, NULL, NULL);

    return r < 0 ? r : oid_equal(&tree, &ws->base_tree) ? 0 : -ENOTEMPTY;
}

static int staging_rmdir(struct node *dir, const struct caller *who, const char *name)
{
    _cleanup_(workspace_unrefp) struct workspace *ws = NULL;
    int r = get(staging_of(dir), name, &ws);

    if (r < 0)
        return r;
    if (workspace_may_change(ws, who) < 0)
        return -EPERM;
    return workspace_end(ws, only_if_clean);
}

/* There is nothing but workspaces here, and their names stay. */

static int refuse_create(struct node *dir, const struct caller *who, const char *name, mode_t mode,
                         struct node **ret)
{
    return -EPERM;
}

static int refuse_symlink(struct node *dir, const struct caller *who, const char *name,
                          const char *target, struct node **ret)
{
    return -EPERM;
}

static int refuse_rename(struct node *dir, const struct caller *who, const char *name,
                         struct node *to_dir, const char *to_name, unsigned flags)
{
    return -EPERM;
}

static void staging_node_free(struct node *node)
{
    stage_env_unref(&staging_of(node)->env);
}

static const struct node_ops staging_ops = {
    .kind = "staging",
    .flags = NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER,
    .getattr = staging_getattr,
    .lookup = staging_lookup,
    .readdir = staging_readdir,
    .create = refuse_create,
    .mkdir = staging_mkdir,
    .symlink = refuse_symlink,
    .rmdir = staging_rmdir,
    .rename = refuse_rename,
    .free = staging_node_free,
};

/* Opening */

/* What an opened workspace needs from now on. */
static void start(struct staging *s, struct workspace *ws)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = ws->state.kept ? keep_ref_make(&s->config, ws->name, &ws->state.base, &why) : 0;

    if (r < 0)
        log_error("base-not-kept", "workspace=%s reason=\"%s\"", ws->name, diag_text(&why, r));
    autocommit_arm(s->env.autocommit, ws);
}

static void open_one(struct staging *s, const char *name)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_(workspace_unrefp) struct workspace *ws = NULL;
    int r = workspace_open(&s->env, name, &ws, &why);

    if (r == 0)
        r = commit_recover(ws, &why);
    if (r < 0) /* harms only this one */
        log_error("workspace-broken", "workspace=%s reason=\"%s\"", name, diag_text(&why, r));
    if (r == 0)
        start(s, ws);
    map_put(&s->workspaces, name, r < 0 ? (void *)&broken : TAKE(ws));
}

static bool is_kept(const char *ref, void *arg)
{
    struct staging *s = arg;
    bool kept = false;

    map_foreach (it, &s->workspaces) {
        const struct workspace *ws = it->value;
        _cleanup_free_ char *own = keep_ref_name(&s->config, it->key);
        if (!strcmp(own, ref)) /* of one that cannot be opened, nobody knows */
            kept = it->value == &broken || ws->state.kept;
    }
    return kept;
}

static int scan(struct staging *s)
{
    _cleanup_(closedirp) DIR *d = NULL;
    struct dirent *e;
    int r = io_open_dir(s->env.dir, ".", &d);

    while (r >= 0 && (r = io_next_entry(d, &e)) > 0) {
        if (e->d_name[0] == '.') /* W4 */
            io_remove_tree(s->env.dir, e->d_name);
        else if (workspace_check_name(e->d_name) == 0)
            open_one(s, e->d_name);
    }
    return r;
}

static int open_dir(struct staging *s, struct diag *reterr)
{
    _cleanup_close_ int state = open(s->config.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (state < 0 || (mkdirat(state, "workspaces", 0700) < 0 && errno != EEXIST))
        return diag_fail(reterr, -errno, "state directory %s: %s", s->config.state_dir,
                         strerror(errno));
    s->env.dir = openat(state, "workspaces", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->env.dir < 0 || fstat(s->env.dir, &st) < 0 || fsync(state) < 0)
        return diag_fail(reterr, -errno, "%s/workspaces: %s", s->config.state_dir, strerror(errno));
    s->mtime = clock_ns(st.st_mtim);
    int r = overlay_probe(s->env.dir, reterr);
    return r < 0 ? diag_prefix(reterr, r, "state directory %s", s->config.state_dir) : 0;
}

/* Nothing of the staging area is used any more. */
static void on_unused(struct stage_env *env)
{
    struct staging *s = container_of(env, struct staging, env);

    closep(&s->env.dir);
    fd_cache_free(s->env.fds);
    checks_free(s->env.checks);
    proposals_unref(s->env.proposals);
    pthread_mutex_destroy(&s->lock);
    free(s->host);
    free(s);
}

static unsigned open_files_most(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / OPEN_FILES_SHARE > OPEN_FILES_MOST)
        return OPEN_FILES_MOST;
    return limit.rlim_cur / OPEN_FILES_SHARE;
}

static struct checks *open_checks(const struct staging_config *config)
{
    _cleanup_free_ char *trees =
        config->mountpoint ? xasprintf("%s/.onward/trees", config->mountpoint) : NULL;
    const struct checks_config checks = {
        .repo = config->repo,
        .host = config->checks,
        .nhost = config->nchecks,
        .trees = trees,
        .most_file_size = config->most_file_size,
    };

    return checks_new(&checks);
}

int staging_new(const struct staging_config *config, struct staging **ret, struct diag *reterr)
{
    struct staging *s = NEW(struct staging);

    s->config = *config;
    s->config.host = s->host = xstrdup(config->host);
    s->env = (struct stage_env){
        .refs = 1,
        .free = on_unused,
        .config = &s->config,
        .fds = fd_cache_new(open_files_most()),
        .checks = open_checks(config),
        .dir = -1,
        .ended = on_ended,
        .vanished = on_vanished,
        .find = on_find,
        .arg = s,
    };
    s->env.proposals = proposals_new(&s->config, &s->env);
    pthread_mutex_init(&s->lock, NULL);
    int r = autocommit_new(&s->env.autocommit);
    if (r < 0)
        diag_fail(reterr, r, "cannot start a thread: %s", strerror(-r));
    else
        r = open_dir(s, reterr);
    if (r == 0) {
        r = scan(s);
        if (r < 0)
            diag_fail(reterr, r, "%s/workspaces: %s", config->state_dir, strerror(-r));
    }
    if (r == 0)
        keep_ref_prune(config, is_kept, s);
    if (r < 0) {
        staging_free(s);
        return r;
    }
    proposals_recover(s->env.proposals);
    s->root = node_new(config->table, &staging_ops, sizeof(struct staging_node), config->root_ino);
    ((struct staging_node *)s->root)->staging = s;
    stage_env_ref(&s->env);
    *ret = s;
    return 0;
}

static void keep_number(const struct node_told *told, void *arg)
{
    _cleanup_(workspace_unrefp) struct workspace *ws = NULL;

    if (get(arg, told->top, &ws) < 0)
        return;
    workspace_lock_names(ws);
    numbers_keep(&ws->overlay.numbers, numbers_place(told->dir_ino, told->name), told->type,
                 told->ino);
    workspace_unlock_names(ws);
}

void staging_inherit(struct staging *s)
{
    if (s)
        node_table_told(s->config.table, s->config.root_ino, keep_number, s);
}

void staging_end(struct staging *s)
{
    if (!s)
        return;
    checks_end(s->env.checks);
    autocommit_end(s->env.autocommit);
}

void staging_free(struct staging *s)
{
    struct map workspaces;

    if (!s)
        return;
    autocommit_free(s->env.autocommit);
    s->env.autocommit = NULL;
    pthread_mutex_lock(&s->lock);
    workspaces = s->workspaces;
    s->workspaces = (struct map){0};
    pthread_mutex_unlock(&s->lock);
    map_foreach (it, &workspaces)
        workspace_unref(it->value == &broken ? NULL : it->value);
    map_done(&workspaces, NULL);
    node_unref(s->root);
    stage_env_unref(&s->env);
}

struct node *staging_root(struct staging *s)
{
    return s->root;
}

struct proposals *staging_proposals(struct staging *s)
{
    return s->env.proposals;
}

int staging_land(struct staging *s, const struct staging_change *change, struct staging_landed *ret,
                 struct buf *reasons)
{
    return direct_land(&s->env, change, ret, reasons);
}
