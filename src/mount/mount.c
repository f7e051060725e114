#include "mount/mount.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "mount/requests.h"
#include "mount/takeover.h"

#define WORKERS      16 /* most libfuse threads; it starts one when all are busy */
#define IDLE_WORKERS 4  /* those that it keeps: on two CPUs 2 to 16 made no difference */
#define SLOW_WORKERS 16
#define WAKE_SIGNAL  SIGUSR1
#define KNOW_TRIES   5000 /* one second */

struct mount {
    struct front front;        /* first: it is what requests are given */
    struct takeover *takeover; /* NULL: nobody came before us, nobody comes after us */
    char *mountpoint;
    bool over; /* it has ended, and not only we */
    bool mounted;
    pthread_t server;                        /* who is in mount_serve() */
    enum { MOUNTED, SERVING, SERVED } stage; /* of mount_serve(): not begun, in it, done */
};

/* What libfuse says, kept while mounting (it becomes the reason), logged afterwards. */
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;
static struct buf said;
static bool keep_said;

__attribute__((format(printf, 2, 0))) static void on_fuse_log(enum fuse_log_level level,
                                                              const char *fmt, va_list ap)
{
    _cleanup_(buf_done) struct buf text = {0};

    buf_vaddf(&text, fmt, ap);
    while (text.len && text.data[text.len - 1] == '\n')
        text.data[--text.len] = 0;
    pthread_mutex_lock(&said_lock);
    if (keep_said) {
        buf_addf(&said, "%s%s", said.len ? "; " : "", buf_str(&text));
    } else if (level <= FUSE_LOG_WARNING) {
        log_warn("fuse", "message=\"%s\"", buf_str(&text));
    }
    pthread_mutex_unlock(&said_lock);
}

static void listen_to_fuse(bool keep)
{
    pthread_mutex_lock(&said_lock);
    keep_said = keep;
    buf_clear(&said);
    pthread_mutex_unlock(&said_lock);
}

/* Is this a place to mount on? libfuse would mount over a full directory without asking. */
static int check_mountpoint(const char *path, struct diag *reterr)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        int e = errno;
        if (e == ENOTCONN)
            return diag_fail(reterr, -e,
                             "cannot mount on %s: a daemon that died left its mount there; run "
                             "`fusermount3 -uz %s` and try again",
                             path, path);
        if (e == ENOENT)
            return diag_fail(reterr, -e, "cannot mount on %s: no such directory; make it first",
                             path);
        return diag_fail(reterr, -e, "cannot mount on %s: %s", path, strerror(e));
    }
    if (!S_ISDIR(st.st_mode))
        return diag_fail(reterr, -ENOTDIR, "cannot mount on %s: not a directory", path);
    _cleanup_(closedirp) DIR *dir = opendir(path);
    if (!dir)
        return diag_fail(reterr, -errno, "cannot mount on %s: %s", path, strerror(errno));
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            return diag_fail(reterr, -ENOTEMPTY,
                             "cannot mount on %s: the directory is not empty (it holds %s, …)",
                             path, e->d_name);
    return 0;
}

/* libfuse takes options as an argument vector; commas in a value are escaped with a backslash. */
static void add_option(struct fuse_args *args, const char *key, const char *value)
{
    _cleanup_(buf_done) struct buf o = {0};

    buf_adds(&o, key);
    for (; value && *value; value++) {
        if (*value == ',' || *value == '\\')
            buf_addc(&o, '\\');
        buf_addc(&o, *value);
    }
    if (fuse_opt_add_arg(args, "-o") < 0 || fuse_opt_add_arg(args, o.data) < 0)
        abort();
}

static ssize_t on_read(int fd, void *buf, size_t len, void *userdata)
{
    struct mount *m = userdata;
    ssize_t n;

    if (m->takeover && takeover_read(m->takeover, buf, len, &n))
        return n;
    do
        n = intake_read(m->front.intake, fd, buf, len);
    while (m->takeover && takeover_saw_read(m->takeover, buf, n));
    return n;
}

static ssize_t on_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct mount *m = userdata;
    ssize_t n;

    if (m->takeover && takeover_write(m->takeover, iov, count, &n))
        return n;
    if (m->takeover)
        takeover_sees_write(m->takeover, fd, iov, count);
    return writev(fd, iov, count);
}

static const struct fuse_custom_io custom_io = {.read = on_read, .writev = on_writev};

static int open_session(struct mount *m, const struct mount_config *config, struct diag *reterr)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

    fuse_opt_add_arg(&args, "onwardfs");
    add_option(&args, "fsname=", config->source);
    add_option(&args, "subtype=onwardfs", NULL);
    if (config->allow_other)
        add_option(&args, "allow_other", NULL);
    if (config->allow_other || config->check_modes)
        add_option(&args, "default_permissions", NULL);
    if (config->read_only)
        add_option(&args, "ro", NULL);
    if (config->options && *config->options)
        add_option(&args, config->options, NULL);
    add_option(&args, "nosuid,nodev", NULL);
    m->front.session = fuse_session_new(&args, &requests, sizeof(requests), &m->front);
    fuse_opt_free_args(&args);
    if (!m->front.session)
        return diag_fail(reterr, -EINVAL, "cannot mount: %s",
                         said.len ? said.data : "libfuse refused the options");
    int fd = m->takeover ? takeover_fd(m->takeover) : -1;
    if (fd < 0 && fuse_session_mount(m->front.session, config->mountpoint) < 0)
        return diag_fail(reterr, -EPERM, "cannot mount on %s: %s", config->mountpoint,
                         said.len ? said.data : "is /dev/fuse there, and may this user mount?");
    m->mounted = true;
    int r = fuse_session_custom_io(m->front.session, &custom_io,
                                   fd < 0 ? fuse_session_fd(m->front.session) : fd);
    return r < 0 ? diag_fail(reterr, r, "cannot mount: libfuse refused: %s", strerror(-r)) : 0;
}

/* A reply may have been written that makes the kernel know the node, and not been read yet. */
static bool may_come_to_be_known(struct mount *m, uint64_t id)
{
    _cleanup_(node_unrefp) struct node *node = node_table_get(m->front.table, id);

    if (node)
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS / 5}, NULL);
    return node;
}

static void drop_node(const struct node_notice *x, void *arg)
{
    struct mount *m = arg;
    off_t from = x->content ? 0 : -1; /* negative: attributes only */

    /* It fails when the kernel does not know the node (any more), or the mount has ended. */
    for (int i = 0; i < KNOW_TRIES; i++)
        if (fuse_lowlevel_notify_inval_inode(m->front.session, x->id, from, 0) != -ENOENT ||
            !may_come_to_be_known(m, x->id))
            return;
}

static void drop_name(const struct node_notice *x, void *arg)
{
    struct mount *m = arg;

    if (x->stays)
        fuse_lowlevel_notify_expire_entry(m->front.session, x->id, x->name, strlen(x->name),
                                          FUSE_LL_EXPIRE_ONLY);
    else
        fuse_lowlevel_notify_inval_entry(m->front.session, x->id, x->name, strlen(x->name));
}

/* Passes the question of node_table_flush() on to the node that an id stands for. */
struct filter {
    struct node_table *table;
    bool (*mine)(struct node *node, void *arg);
    void *arg;
};

static bool is_mine(uint64_t id, void *arg)
{
    const struct filter *filter = arg;
    _cleanup_(node_unrefp) struct node *node = node_table_get(filter->table, id);

    return node && filter->mine(node, filter->arg);
}

static int on_flush(bool (*mine)(struct node *node, void *arg), void *mine_arg, void *arg)
{
    struct front *f = &((struct mount *)arg)->front;
    int r = f->flusher ? flusher_run(f->flusher) : 0;

    if (r == 0)
        intake_wait_stores(f->intake, is_mine, &(struct filter){f->table, mine, mine_arg});
    return r;
}

/* Nodes first: from then on no reply brings back a name that is gone. The two kinds have a thread
 * each, as telling of a name waits for whatever holds its directory, which may in turn have to tell
 * of a node. */
static void on_changed(const struct node_notice *notices, size_t n, void *arg)
{
    struct mount *m = arg;
    _cleanup_free_ struct node_notice *nodes = xcalloc(n, sizeof(*nodes));
    _cleanup_free_ struct node_notice *names = xcalloc(n, sizeof(*names));
    size_t nnodes = 0, nnames = 0;

    for (size_t i = 0; i < n; i++)
        if (notices[i].name)
            names[nnames++] = notices[i];
        else
            nodes[nnodes++] = notices[i];
    notifier_tell(m->front.notifier, nodes, nnodes);
    if (nnames)
        notifier_tell(m->front.names, names, nnames);
}

static int push_content(uint64_t id, const void *data, size_t len, void *arg)
{
    struct mount *m = arg;
    struct fuse_bufvec whole = FUSE_BUFVEC_INIT(len);

    whole.buf[0].mem = (void *)data;
    return fuse_lowlevel_notify_store(m->front.session, id, 0, &whole, 0);
}

/* As <linux/fuse.h> has it since 6.18. */
#define NOTIFY_PRUNE 9
struct prune_out {
    uint32_t count, padding;
    uint64_t spare;
};

static int prune(const uint64_t *ids, size_t n, void *arg)
{
    struct mount *m = arg;
    struct prune_out out = {.count = n};
    struct fuse_out_header header = {.len = sizeof(header) + sizeof(out) + n * sizeof(*ids),
                                     .error = NOTIFY_PRUNE};
    struct iovec iov[] = {
        {&header, sizeof(header)}, {&out, sizeof(out)}, {(void *)ids, n * sizeof(*ids)}};

    return writev(fuse_session_fd(m->front.session), iov, ARRAY_SIZE(iov)) < 0 ? -errno : 0;
}

static void on_crowded(void *arg)
{
    evictor_wake(((struct mount *)arg)->front.evictor);
}

static const struct node_listener mount_listener = {
    .changed = on_changed, .flush = on_flush, .crowded = on_crowded};

static int start_threads(struct mount *m, const struct node_bounds *bounds, struct diag *reterr)
{
    int r = notifier_new(drop_node, m, &m->front.notifier);

    if (r == 0)
        r = notifier_new(drop_name, m, &m->front.names);
    if (r == 0)
        r = prefetch_new(m->front.table, push_content, m, &m->front.prefetch);
    if (r == 0)
        r = evictor_new(m->front.table, bounds, prune, m, &m->front.evictor);
    if (r < 0)
        return diag_fail(reterr, r, "cannot start a thread: %s", strerror(-r));
    node_table_bound(m->front.table, bounds);
    m->front.slow = pool_new("slow", SLOW_WORKERS);
    node_table_listen(m->front.table, &mount_listener, m);
    return 0;
}

static int start_flusher(struct mount *m, const struct mount_config *config, struct diag *reterr)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", config->mountpoint, config->short_file);
    int r = config->read_only ? 0 : flusher_new(path, &m->front.flusher);

    return r < 0 ? diag_fail(reterr, r, "cannot start a process: %s", strerror(-r)) : 0;
}

/* A mount that is taken over is not looked at: nobody answers yet. */
static int prepare(struct mount *m, const struct mount_config *config, struct diag *reterr)
{
    int r = config->succession ? takeover_new(config->succession, &m->takeover, reterr) : 0;

    if (r == 0 && (!m->takeover || takeover_fd(m->takeover) < 0))
        r = check_mountpoint(config->mountpoint, reterr);
    if (r < 0)
        return r;
    if (m->takeover) {
        m->front.once = takeover_once(m->takeover);
        node_table_inherit(m->front.table, takeover_legacy(m->takeover));
    }
    return start_flusher(m, config, reterr);
}

int mount_new(const struct mount_config *config, struct node_table *table, struct node *root,
              struct mount **ret, struct diag *reterr)
{
    struct mount *m = NEW(struct mount);

    m->front = (struct front){.table = table, .uid = getuid(), .gid = getgid()};
    m->front.intake = intake_new();
    m->mountpoint = xstrdup(config->mountpoint);
    node_table_set_root(table, root);
    int r = prepare(m, config, reterr);
    if (r < 0) {
        mount_free(m);
        return r;
    }
    fuse_set_log_func(on_fuse_log);
    listen_to_fuse(true);
    r = open_session(m, config, reterr);
    listen_to_fuse(false);
    if (r == 0)
        r = start_threads(m, &config->bounds, reterr);
    if (r < 0) {
        mount_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

static void on_wake(int signal)
{
}

static int begin(struct mount *m)
{
    _cleanup_(diag_done) struct diag why = {0};

    if (!m->takeover)
        return 0;
    int r = takeover_begin(m->takeover, m->front.session, &why);
    if (r < 0)
        log_error("not-taken-over", "reason=\"%s\"", diag_text(&why, r));
    else
        takeover_tell(m->takeover, &m->front);
    return r;
}

int mount_serve(struct mount *m, void (*ready)(void *arg), void *arg)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();

    m->front.ready = ready;
    m->front.ready_arg = arg;
    m->server = pthread_self();
    /* Without SA_RESTART: it ends the wait of the main loop, which then sees that it is to exit. */
    sigaction(WAKE_SIGNAL, &(struct sigaction){.sa_handler = on_wake}, NULL);
    fuse_loop_cfg_set_max_threads(config, WORKERS);
    fuse_loop_cfg_set_idle_threads(config, IDLE_WORKERS);
    fuse_loop_cfg_set_clone_fd(config, 0);
    int r = begin(m);
    __atomic_store_n(&m->stage, SERVING, __ATOMIC_RELEASE);
    if (r == 0)
        r = fuse_session_loop_mt(m->front.session, config);
    m->over = r == 0;
    fuse_loop_cfg_destroy(config);
    __atomic_store_n(&m->stage, SERVED, __ATOMIC_RELEASE);
    return r < 0 ? r : 0;
}

/* While requests are answered, or when the connection is gone: see notifier.h, prefetch.h. */
static void stop_threads(struct mount *m)
{
    if (m->front.prefetch)
        prefetch_stop(m->front.prefetch);
    if (m->front.evictor)
        evictor_stop(m->front.evictor);
    if (m->front.names)
        notifier_stop(m->front.names);
    if (m->front.notifier)
        notifier_stop(m->front.notifier);
    if (m->front.flusher)
        flusher_stop(m->front.flusher);
}

void mount_end(struct mount *m)
{
    stop_threads(m);
    fuse_session_exit(m->front.session);
    int stage;
    /* Again and again: a signal that comes just before the loop begins to wait would be lost. One
     * that comes before it is handled would kill us. */
    while ((stage = __atomic_load_n(&m->stage, __ATOMIC_ACQUIRE)) != SERVED) {
        if (stage == SERVING)
            pthread_kill(m->server, WAKE_SIGNAL);
        nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
    }
}

/* Not what somebody else may take over. */
static void unmount(struct mount *m)
{
    bool ours = !m->takeover || takeover_fd(m->takeover) < 0;

    if (m->takeover && (ours || m->over))
        takeover_renounce(m->takeover);
    if (m->mounted && ours)
        fuse_session_unmount(m->front.session);
    else if (m->over)
        takeover_unmount(m->takeover, m->mountpoint);
}

void mount_free(struct mount *m)
{
    if (!m)
        return;
    stop_threads(m);
    node_table_listen(m->front.table, NULL, NULL);
    pool_free(m->front.slow);
    unmount(m);
    if (m->front.session)
        fuse_session_destroy(m->front.session);
    flusher_free(m->front.flusher);
    intake_free(m->front.intake);
    evictor_free(m->front.evictor);
    prefetch_free(m->front.prefetch);
    notifier_free(m->front.names);
    notifier_free(m->front.notifier);
    node_table_inherit(m->front.table, NULL);
    takeover_free(m->takeover);
    free(m->mountpoint);
    free(m);
}
