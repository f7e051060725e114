#include "stage/workspace.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/map.h"
#include "base/pool.h"
#include "repo/revision.h"
#include "stage/author.h"
#include "stage/keep_ref.h"
#include "stage/overlay_news.h"
#include "stage/workspace_state.h"

#define NAME_MOST  128
#define BURY_TRIES 100
#define WAIT_MOST  32 /* threads for one workspace's commit */

int workspace_check_name(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *at = strchr(name, '@');
    size_t len = at ? (size_t)(at - name) : strlen(name);

    if (strlen(name) > NAME_MOST)
        return -ENAMETOOLONG;
    if (len == 0 || name[0] == '.' || strspn(name, allowed) < len || (at && !at[1]))
        return -EINVAL;
    for (const char *p = name; *p; p++)
        if (iscntrl((unsigned char)*p))
            return -EINVAL;
    return 0;
}

/* Memory */

void stage_env_ref(struct stage_env *env)
{
    __atomic_add_fetch(&env->refs, 1, __ATOMIC_RELAXED);
}

void stage_env_unref(struct stage_env *env)
{
    if (__atomic_sub_fetch(&env->refs, 1, __ATOMIC_ACQ_REL) == 0)
        env->free(env);
}

static void init_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;

    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(lock, &attr);
    pthread_rwlockattr_destroy(&attr);
}

static struct workspace *new_workspace(struct stage_env *env, const char *name, int dir)
{
    struct workspace *ws = NEW(struct workspace);

    stage_env_ref(env);
    ws->env = env;
    ws->refs = 1;
    ws->name = xstrdup(name);
    ws->dir = dir;
    ws->upper = ws->next.upper = ws->overlay.work = -1;
    ws->overlay.repo = env->config->repo;
    ws->ino = node_ino(env->config->root_ino, name);
    ws->instance = hash_bytes(&(int64_t){clock_real()}, sizeof(int64_t), ws->ino);
    ws->room.used = -1;
    init_lock(&ws->freeze);
    init_lock(&ws->tree);
    pthread_mutex_init(&ws->resync, NULL);
    pthread_mutex_init(&ws->listing, NULL);
    pthread_mutex_init(&ws->known, NULL);
    pthread_mutex_init(&ws->committing, NULL);
    pthread_mutex_init(&ws->saying, NULL);
    ws->changed_at = clock_mono();
    ws->autocommit_set_at = clock_real();
    return ws;
}

struct workspace *workspace_ref(struct workspace *ws)
{
    __atomic_add_fetch(&ws->refs, 1, __ATOMIC_RELAXED);
    return ws;
}

void workspace_unref(struct workspace *ws)
{
    if (!ws || __atomic_sub_fetch(&ws->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    closep(&ws->upper);
    closep(&ws->next.upper);
    closep(&ws->overlay.work);
    closep(&ws->dir);
    numbers_done(&ws->overlay.numbers);
    pthread_rwlock_destroy(&ws->freeze);
    pthread_rwlock_destroy(&ws->tree);
    pthread_mutex_destroy(&ws->resync);
    pthread_mutex_destroy(&ws->listing);
    pthread_mutex_destroy(&ws->known);
    pthread_mutex_destroy(&ws->committing);
    pthread_mutex_destroy(&ws->saying);
    free(ws->unsaved);
    free(ws->state.owner);
    free(ws->name);
    stage_env_unref(ws->env);
    free(ws);
}

int workspace_may_change(const struct workspace *ws, const struct caller *who)
{
    return who->uid == 0 || who->uid == ws->state.uid ? 0 : -EACCES;
}

void workspace_base(struct workspace *ws, struct oid *ret, int64_t *ret_mtime)
{
    workspace_lock_read(ws);
    *ret = ws->state.base;
    *ret_mtime = ws->state.base_mtime;
    workspace_unlock_read(ws);
}

/* Locks */

void workspace_lock_read(struct workspace *ws)
{
    pthread_rwlock_rdlock(&ws->tree);
}

void workspace_unlock_read(struct workspace *ws)
{
    pthread_rwlock_unlock(&ws->tree);
}

void workspace_lock_names(struct workspace *ws)
{
    pthread_rwlock_rdlock(&ws->freeze);
    pthread_rwlock_wrlock(&ws->tree);
}

void workspace_unlock_names(struct workspace *ws)
{
    pthread_rwlock_unlock(&ws->tree);
    pthread_rwlock_unlock(&ws->freeze);
}

void workspace_lock_data(struct workspace *ws)
{
    pthread_rwlock_rdlock(&ws->freeze);
    pthread_rwlock_rdlock(&ws->tree);
}

void workspace_unlock_data(struct workspace *ws)
{
    pthread_rwlock_unlock(&ws->tree);
    pthread_rwlock_unlock(&ws->freeze);
}

void workspace_lock_frozen(struct workspace *ws)
{
    pthread_rwlock_wrlock(&ws->freeze);
}

void workspace_unlock_frozen(struct workspace *ws)
{
    bool moved = ws->moved;

    ws->moved = false;
    pthread_rwlock_unlock(&ws->freeze);
    if (moved)
        overlay_news_moved(ws);
}

/* Who holds it may be waiting for the mount, and that for a thread of our pool. */
int workspace_lock_committing(struct workspace *ws)
{
    if (pthread_mutex_trylock(&ws->committing) == 0)
        return 0;
    if (atomic_fetch_add(&ws->waiting, 1) >= WAIT_MOST) {
        ws->waiting--;
        return -EBUSY;
    }
    pool_wait_begin();
    pthread_mutex_lock(&ws->committing);
    pool_wait_end();
    ws->waiting--;
    return 0;
}

void workspace_unlock_committing(struct workspace *ws)
{
    pthread_mutex_unlock(&ws->committing);
}

/* Opening and making */

static char *upper_name(uint64_t n)
{
    return xasprintf("upper.%" PRIu64, n);
}

static int open_dir(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static uint64_t seed_of(const struct workspace *ws, uint64_t upper)
{
    return hash_bytes(&upper, sizeof(upper), ws->ino);
}

/* What a base and an upper's number stand for. */
static int open_ground(const struct workspace *ws, const struct oid *base, uint64_t number,
                       struct workspace_ground *ret, struct diag *reterr)
{
    _cleanup_free_ char *upper = upper_name(number);
    struct revision_brief brief = {0};
    char hex[OID_HEX + 1];

    if (!oid_is_zero(base)) {
        int r = revision_brief(ws->env->config->repo, base, &brief);
        if (r < 0)
            return diag_fail(reterr, -EIO, "its base %s cannot be read: %s", oid_hex(base, hex),
                             strerror(-r));
    }
    int fd = open_dir(ws->dir, upper);
    if (fd < 0)
        return diag_fail(reterr, -EIO, "%s: %s", upper, strerror(-fd));
    *ret = (struct workspace_ground){brief.tree, fd};
    return 0;
}

/* Stands on it from here on, as `state` says. */
static void stand_on(struct workspace *ws, const struct workspace_ground *ground)
{
    closep(&ws->upper);
    ws->upper = ground->upper;
    ws->base_tree = ground->tree;
    ws->overlay.base_mtime = ws->state.base_mtime;
    numbers_reset(&ws->overlay.numbers, seed_of(ws, ws->state.upper));
}

/* The end of the life of an upper: it has no name from here on. */
static int discard_upper(struct workspace *ws, uint64_t number)
{
    _cleanup_free_ char *upper = upper_name(number);
    _cleanup_free_ char *grave = xasprintf("old%" PRIu64, number);

    io_remove_tree(ws->overlay.work, grave);
    if (renameat(ws->dir, upper, ws->overlay.work, grave) < 0)
        return -errno;
    /* What cannot be removed now is removed when the workspace is next opened. */
    io_remove_tree(ws->overlay.work, grave);
    return 0;
}

/* Brings `state` to say `next`. When that fails, it says what it did before; or, when that fails
 * too, which is logged, perhaps not: then both uppers must stay. */
static int replace_state(struct workspace *ws, const struct workspace_state *next,
                         bool *ret_unclear)
{
    int r = workspace_state_save(ws->dir, next);

    *ret_unclear = false;
    if (r == 0 || workspace_state_is(ws->dir, &ws->state))
        return r;
    int again = workspace_state_save(ws->dir, &ws->state);
    *ret_unclear = again < 0;
    if (again < 0)
        log_error("workspace-not-saved", "workspace=%s reason=\"%s\"", ws->name, strerror(-again));
    return r;
}

static int empty_work(struct workspace *ws)
{
    int r = io_remove_tree(ws->dir, "work");

    if (r == 0 && mkdirat(ws->dir, "work", 0700) < 0)
        r = -errno;
    if (r == 0)
        r = open_dir(ws->dir, "work");
    if (r < 0)
        return r;
    ws->overlay.work = r;
    return 0;
}

/* W3: a cancelled move may only have been recorded by taking its upper away. */
static void forget_cancelled(struct workspace *ws)
{
    _cleanup_free_ char *upper = upper_name(ws->state.upper + 1);

    if (!oid_is_zero(&ws->state.next_base) && faccessat(ws->dir, upper, F_OK, 0) < 0 &&
        errno == ENOENT)
        ws->state.next_base = (struct oid){0};
}

/* `at`: the name that its directory has on disk as yet. */
static int open_at(struct stage_env *env, const char *at, const char *name, struct workspace **ret,
                   struct diag *reterr)
{
    struct workspace_ground ground;
    int dir = open_dir(env->dir, at);

    if (dir < 0)
        return dir;
    _cleanup_(workspace_unrefp) struct workspace *ws = new_workspace(env, name, dir);
    int r = workspace_state_load(dir, &ws->state, reterr);
    if (r == 0)
        r = open_ground(ws, &ws->state.base, ws->state.upper, &ground, reterr);
    if (r < 0)
        return r;
    stand_on(ws, &ground);
    forget_cancelled(ws);
    ws->autocommit = ws->state.autocommit;
    r = empty_work(ws);
    if (r < 0)
        return diag_fail(reterr, r, "work: %s", strerror(-r));
    *ret = TAKE(ws);
    return 0;
}

int workspace_open(struct stage_env *env, const char *name, struct workspace **ret,
                   struct diag *reterr)
{
    return open_at(env, name, name, ret, reterr);
}

/* The time that everything of a new base shows: its committer's, but later than that of the base
 * before, or the kernel would take changed content for the old. */
static int base_time(struct repo *repo, const struct oid *base, int64_t before, int64_t *ret)
{
    struct revision_brief brief;

    if (oid_is_zero(base)) {
        *ret = clock_real();
        return 0;
    }
    int r = revision_brief(repo, base, &brief);
    if (r < 0)
        return r;
    int64_t time = clock_from_seconds(brief.time);
    *ret = time > before ? time : before + 1;
    return 0;
}

/* Writes a new workspace's files into `dir`. */
static int fill_new(const struct stage_env *env, int dir, const struct caller *who,
                    const struct oid *base, bool kept)
{
    struct workspace_state state = {
        .uid = who->uid, .gid = who->gid, .base = *base, .upper = 1, .kept = kept};
    int r = base_time(env->config->repo, base, -1, &state.base_mtime);

    if (r < 0)
        return r;
    if (mkdirat(dir, "upper.1", 0700) < 0)
        return -errno;
    _cleanup_free_ char *owner = author_account(who->uid);
    state.owner = owner;
    return workspace_state_save(dir, &state);
}

/* It is given its name when nothing but that can go wrong. */
static int create(struct stage_env *env, const char *name, const struct caller *who,
                  const struct oid *base, struct workspace **ret, struct diag *reterr)
{
    _cleanup_(workspace_unrefp) struct workspace *ws = NULL;
    _cleanup_free_ char *draft = xasprintf(".new-%s", name);
    int r = io_remove_tree(env->dir, draft);

    if (r == 0 && mkdirat(env->dir, draft, 0700) < 0)
        r = -errno;
    _cleanup_close_ int dir = r == 0 ? open_dir(env->dir, draft) : r;
    if (dir < 0)
        return dir;
    r = fill_new(env, dir, who, base, keep_ref_needed(name));
    if (r == 0)
        r = open_at(env, draft, name, &ws, reterr);
    if (r == 0 && renameat2(env->dir, draft, env->dir, name, RENAME_NOREPLACE) < 0)
        r = -errno;
    if (r == 0 && fsync(env->dir) < 0) {
        r = -errno;
        renameat(env->dir, name, env->dir, draft);
    }
    if (r < 0)
        io_remove_tree(env->dir, draft);
    else
        *ret = TAKE(ws);
    return r;
}

/* The ref is there before the workspace is. */
int workspace_create(struct stage_env *env, const char *name, const struct caller *who,
                     const struct oid *base, struct workspace **ret, struct diag *reterr)
{
    bool kept = keep_ref_needed(name);
    int r = kept ? keep_ref_make(env->config, name, base, reterr) : 0;

    if (r == 0)
        r = create(env, name, who, base, ret, reterr);
    if (r < 0 && kept)
        keep_ref_drop(env->config, name);
    return r;
}

/* Moving to another base */

/* An upper to move to, in the making. */
struct new_upper {
    uint64_t number;
    struct oid tree;                   /* of the base that it will stand on */
    int64_t mtime;                     /* of that base */
    const struct graft_source *source; /* NULL: it shows the base */
    const struct kept_dirs *keep;
};

static int fill_upper(struct workspace *ws, int fd, const struct new_upper *new)
{
    struct graft g = {
        .overlay =
            {
                .repo = ws->overlay.repo,
                .work = ws->overlay.work,
                .numbers.seed = seed_of(ws, new->number),
                .base_mtime = new->mtime,
                .temporaries = ws->overlay.temporaries,
            },
        .root = {.fd = fd, .base = new->tree, .ino = ws->ino},
    };
    int r = new->source ? graft_tree(&g, new->source) : 0;

    if (r == 0)
        r = graft_dirs(&g, new->keep);
    ws->overlay.temporaries = g.overlay.temporaries;
    return r;
}

/* Durable on return, and open in `ret`. */
static int make_upper(struct workspace *ws, const struct new_upper *new,
                      struct workspace_ground *ret)
{
    _cleanup_free_ char *name = upper_name(new->number);
    int r = io_remove_tree(ws->dir, name);

    if (r == 0 && mkdirat(ws->dir, name, 0700) < 0)
        r = -errno;
    _cleanup_close_ int fd = r == 0 ? open_dir(ws->dir, name) : r;
    if (fd < 0)
        return fd;
    r = fill_upper(ws, fd, new);
    if (r == 0 && (fsync(fd) < 0 || fsync(ws->dir) < 0))
        r = -errno;
    if (r == 0)
        *ret = (struct workspace_ground){new->tree, TAKE_FD(fd)};
    return r;
}

/* What is known of a base before the workspace is on it. */
static int look_at_base(const struct workspace *ws, const struct oid *base, struct new_upper *new)
{
    struct revision_brief brief = {0};
    int r = revision_brief(ws->env->config->repo, base, &brief);

    if (r == 0)
        r = base_time(ws->env->config->repo, base, ws->state.base_mtime, &new->mtime);
    new->tree = brief.tree;
    return r;
}

int workspace_prepare_move(struct workspace *ws, const struct oid *base,
                           const struct kept_dirs *keep, struct diag *reterr)
{
    struct workspace_state next = ws->state;
    struct new_upper new = {.number = ws->state.upper + 1, .keep = keep};
    struct workspace_ground ground = {.upper = -1};
    bool unclear;
    int r = look_at_base(ws, base, &new);

    if (r == 0)
        r = make_upper(ws, &new, &ground);
    next.next_base = *base;
    next.next_mtime = new.mtime;
    if (r == 0)
        r = replace_state(ws, &next, &unclear);
    if (r < 0) {
        closep(&ground.upper);
        discard_upper(ws, new.number);
        return diag_fail(reterr, r, "cannot prepare the workspace for its new base: %s",
                         strerror(-r));
    }
    ws->state.next_base = next.next_base;
    ws->state.next_mtime = next.next_mtime;
    closep(&ws->next.upper);
    ws->next = ground;
    return 0;
}

/* Either of the two does it (W3). */
void workspace_cancel_move(struct workspace *ws)
{
    if (oid_is_zero(&ws->state.next_base))
        return;
    ws->state.next_base = (struct oid){0};
    closep(&ws->next.upper);
    discard_upper(ws, ws->state.upper + 1);
    int r = workspace_state_save(ws->dir, &ws->state);
    if (r < 0)
        log_error("workspace-not-saved", "workspace=%s reason=\"%s\"", ws->name, strerror(-r));
}

/* The workspace is on another upper from here on. */
static void adopt(struct workspace *ws, const struct workspace_state *next,
                  const struct workspace_ground *ground)
{
    pthread_rwlock_wrlock(&ws->tree);
    ws->state = *next;
    room_forget(ws);
    ws->era++;
    ws->moved = true;
    stand_on(ws, ground);
    overlay_news_keep_numbers(ws);
    pthread_rwlock_unlock(&ws->tree);
}

/* The announced state, as it is when the move has happened. */
static struct workspace_state moved(const struct workspace *ws)
{
    struct workspace_state next = ws->state;

    next.base = ws->state.next_base;
    next.base_mtime = ws->state.next_mtime;
    next.next_base = (struct oid){0};
    next.kept = false;
    next.upper++;
    return next;
}

/* After a crash the ground was not prepared in this life. */
static int take_next(struct workspace *ws, struct workspace_ground *ret, struct diag *reterr)
{
    if (ws->next.upper < 0)
        return open_ground(ws, &ws->state.next_base, ws->state.upper + 1, ret, reterr);
    *ret = ws->next;
    ws->next.upper = -1;
    return 0;
}

int workspace_finish_move(struct workspace *ws, struct diag *reterr)
{
    uint64_t old = ws->state.upper;
    struct workspace_state next = moved(ws);
    struct workspace_ground ground;
    bool kept = ws->state.kept;
    int r = take_next(ws, &ground, reterr);

    if (r < 0)
        return r;
    adopt(ws, &next, &ground);
    r = workspace_state_save(ws->dir, &ws->state);
    if (r < 0) { /* W3: `state` still announces the move, so the old upper must stay */
        log_error("workspace-not-saved", "workspace=%s reason=\"%s\"", ws->name, strerror(-r));
        return 0;
    }
    discard_upper(ws, old);
    if (kept)
        keep_ref_drop(ws->env->config, ws->name);
    return 0;
}

void workspace_settle_move(struct workspace *ws, bool moved)
{
    if (moved)
        workspace_finish_move(ws, NULL);
    else
        workspace_cancel_move(ws);
}

int workspace_rebase(struct workspace *ws, const struct workspace_rebase *to, struct diag *reterr)
{
    uint64_t old = ws->state.upper;
    struct graft_source source = {to->shown, to->ours, ws->upper, to->share};
    struct new_upper new = {.number = old + 1, .source = &source, .keep = to->keep};
    struct workspace_state next = ws->state;
    struct workspace_ground ground = {.upper = -1};
    bool kept = ws->state.kept, unclear = false;

    assert(oid_is_zero(&ws->state.next_base));
    int r = look_at_base(ws, &to->base, &new);
    if (r == 0)
        r = make_upper(ws, &new, &ground);
    next.base = to->base;
    next.base_mtime = new.mtime;
    next.upper = new.number;
    next.kept = false;
    if (r == 0)
        r = replace_state(ws, &next, &unclear);
    if (r < 0) {
        closep(&ground.upper);
        if (!unclear)
            discard_upper(ws, new.number);
        return diag_fail(reterr, r, "cannot move the workspace to its new base: %s", strerror(-r));
    }
    adopt(ws, &next, &ground);
    discard_upper(ws, old);
    if (kept)
        keep_ref_drop(ws->env->config, ws->name);
    return 0;
}

int workspace_set_autocommit(struct workspace *ws, int64_t after)
{
    int64_t now = clock_real();
    bool unclear;

    workspace_lock_frozen(ws);
    struct workspace_state next = ws->state;
    next.autocommit = after;
    int r = ws->ended ? -ESTALE : replace_state(ws, &next, &unclear);
    if (r == 0) {
        ws->state.autocommit = after;
        ws->autocommit = after;
        ws->autocommit_set_at = now > ws->autocommit_set_at ? now : ws->autocommit_set_at + 1;
    }
    workspace_unlock_frozen(ws);
    return r;
}

/* As io_replace_file() leaves them. */
static bool is_draft(const char *name)
{
    size_t len = strlen(name);

    return len > 4 && !strcmp(name + len - 4, ".new");
}

void workspace_tidy(struct workspace *ws)
{
    _cleanup_free_ char *current = upper_name(ws->state.upper);
    _cleanup_(overlay_names_done) struct overlay_names names = {0};

    if (overlay_upper_names(&ws->overlay, ws->dir, &names) < 0)
        return;
    vec_foreach (n, &names)
        if ((!strncmp(n->name, "upper.", 6) && strcmp(n->name, current)) || is_draft(n->name))
            io_remove_tree(ws->dir, n->name);
}

/* Ending */

/* Who began to write its outcome or a message before it ended may still finish: then there is one
 * more name, once or twice. */
static void bury(const struct workspace *ws, const char *grave)
{
    int r = -ENOTEMPTY;

    for (int i = 0; i < BURY_TRIES && r == -ENOTEMPTY; i++)
        r = io_remove_tree(ws->env->dir, grave);
    if (r < 0) /* W4: the next start removes it */
        log_warn("workspace-not-removed", "workspace=%s reason=\"%s\"", ws->name, strerror(-r));
}

int workspace_end(struct workspace *ws, int (*only_if)(struct workspace *ws))
{
    _cleanup_free_ char *grave = xasprintf(".old-%016" PRIx64, ws->instance);
    int r = 0;

    workspace_lock_frozen(ws);
    if (ws->ended)
        r = -ESTALE;
    else if (only_if)
        r = only_if(ws);
    pthread_rwlock_wrlock(&ws->tree);
    if (r == 0 && renameat2(ws->env->dir, ws->name, ws->env->dir, grave, RENAME_NOREPLACE) < 0)
        r = -errno;
    if (r == 0)
        ws->ended = true;
    pthread_rwlock_unlock(&ws->tree);
    workspace_unlock_frozen(ws);
    if (r < 0)
        return r;
    if (fsync(ws->env->dir) < 0)
        log_error("workspace-not-removed", "workspace=%s reason=\"%s\"", ws->name, strerror(errno));
    if (ws->state.kept)
        keep_ref_drop(ws->env->config, ws->name);
    ws->env->ended(ws->env->arg, ws->name);
    overlay_news_ended(ws);
    bury(ws, grave);
    return 0;
}
