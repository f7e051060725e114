#include "repo/watch.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#define MASK                                                                                       \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_ONLYDIR |           \
     IN_EXCL_UNLINK)
/* A burst is over after this long without an event; while it lasts, it is told of this often. */
#define QUIET_MS   5
#define BURST_TELL (20 * NS_PER_MS)
/* News that could not be taken in are told again after this long, which doubles. */
#define RETRY_FIRST_MS   50
#define RETRY_LONGEST_MS 5000

/* A watched directory: one below refs/, where everything counts, or a top one, where only names
 * that refs depend on do. `watched` is indexed by inotify's descriptor. */
struct watched {
    char *path; /* NULL: not in use */
    bool top;
};

struct watch {
    int inotify;
    int stop; /* eventfd */
    pthread_t thread;
    VEC(struct watched) watched;
    char *git_dir, *common_dir;
    int (*changed)(void *arg);
    void *arg;
    int retry_ms; /* -1: what was told was taken in */
    bool full;    /* the limit of watches was reached and logged */
};

static int watch_dir(struct watch *w, const char *path, bool top)
{
    int wd = inotify_add_watch(w->inotify, path, MASK);

    if (wd < 0)
        return -errno;
    while (w->watched.n <= (size_t)wd)
        VEC_ADD(&w->watched);
    free(w->watched.v[wd].path);
    w->watched.v[wd] = (struct watched){xstrdup(path), top};
    return 0;
}

static bool is_dir(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Watches `path` and all directories in it. Each is watched before it is read: what is made
 * meanwhile is seen by one or the other. What vanishes meanwhile is none of our business. */
static int watch_below(struct watch *w, const char *path)
{
    int r = watch_dir(w, path, false);

    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    _cleanup_(closedirp) DIR *dir = r == 0 ? opendir(path) : NULL;
    struct dirent *e;
    while (r == 0 && dir && (e = readdir(dir))) {
        if (e->d_name[0] == '.' || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
            continue;
        _cleanup_free_ char *sub = xasprintf("%s/%s", path, e->d_name);
        if (e->d_type == DT_DIR || is_dir(sub))
            r = watch_below(w, sub);
    }
    return r;
}

static int watch_top(struct watch *w, const char *dir)
{
    _cleanup_free_ char *refs = xasprintf("%s/refs", dir);
    int r = watch_dir(w, dir, true);

    return r < 0 ? r : watch_below(w, refs);
}

static int watch_all(struct watch *w)
{
    int r = watch_top(w, w->common_dir);

    return r == 0 && strcmp(w->git_dir, w->common_dir) ? watch_top(w, w->git_dir) : r;
}

/* While running there is nobody to fail to: say it, once. */
static void watch_more(struct watch *w, int r)
{
    if (r == 0 || w->full)
        return;
    w->full = true;
    log_error("watch-incomplete", "reason=\"%s\" hint=\"raise fs.inotify.max_user_watches\"",
              strerrordesc_np(-r));
}

static bool ends_in_lock(const char *name)
{
    size_t n = strlen(name);

    return n >= 5 && !strcmp(name + n - 5, ".lock");
}

/* Whether the event can mean that a ref changed. Lock files come and go before and after the change
 * that they guard, which is a rename to the name without ".lock". */
static bool take_event(struct watch *w, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW) {
        watch_more(w, watch_all(w));
        return true;
    }
    if (e->wd < 0 || (size_t)e->wd >= w->watched.n || !w->watched.v[e->wd].path)
        return false;
    struct watched *dir = &w->watched.v[e->wd];
    if (e->mask & IN_IGNORED) {
        free(TAKE(dir->path));
        return false;
    }
    if (!e->len || ends_in_lock(e->name))
        return false;
    bool refs = !strcmp(e->name, "refs");
    if (dir->top && !refs && strcmp(e->name, "HEAD") && strcmp(e->name, "packed-refs"))
        return false;
    if (e->mask & IN_ISDIR && e->mask & (IN_CREATE | IN_MOVED_TO)) {
        _cleanup_free_ char *sub = xasprintf("%s/%s", dir->path, e->name);
        watch_more(w, watch_below(w, sub));
    }
    return true;
}

/* Takes in all events that are there. True if one counts. */
static bool take_events(struct watch *w)
{
    char room[64 * (sizeof(struct inotify_event) + NAME_MAX + 1)]
        __attribute__((aligned(__alignof__(struct inotify_event))));
    bool counts = false;
    ssize_t n;

    while ((n = read(w->inotify, room, sizeof(room))) > 0)
        for (char *p = room; p < room + n;) {
            const struct inotify_event *e = (const struct inotify_event *)p;
            counts |= take_event(w, e);
            p += sizeof(*e) + e->len;
        }
    return counts;
}

enum wake { WAKE_STOP, WAKE_EVENT, WAKE_TIMEOUT };

static enum wake wait_for_event(struct watch *w, int timeout_ms)
{
    struct pollfd fds[] = {{w->stop, POLLIN}, {w->inotify, POLLIN}};
    int n;

    while ((n = poll(fds, ARRAY_SIZE(fds), timeout_ms)) < 0)
        assert(errno == EINTR);
    if (fds[0].revents)
        return WAKE_STOP;
    return n ? WAKE_EVENT : WAKE_TIMEOUT;
}

static void tell(struct watch *w)
{
    if (w->changed(w->arg) == 0)
        w->retry_ms = -1;
    else if (w->retry_ms < 0)
        w->retry_ms = RETRY_FIRST_MS;
    else if (w->retry_ms < RETRY_LONGEST_MS)
        w->retry_ms *= 2;
}

/* A burst has begun: tells of it at once, now and then while it lasts, and when it has ended if
 * anything came since. False: to stop. */
static bool follow_burst(struct watch *w)
{
    bool news = true;
    int64_t told = 0;

    for (;;) {
        if (news && clock_mono() - told >= BURST_TELL) {
            news = false;
            tell(w);
            told = clock_mono();
        }
        switch (wait_for_event(w, QUIET_MS)) {
        case WAKE_STOP:
            return false;
        case WAKE_EVENT:
            news |= take_events(w);
            break;
        case WAKE_TIMEOUT:
            if (news)
                tell(w);
            return true;
        }
    }
}

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    enum wake wake = WAKE_EVENT;

    pthread_setname_np(pthread_self(), "onward-watch");
    while (wake != WAKE_STOP) {
        wake = wait_for_event(w, w->retry_ms);
        if (wake == WAKE_TIMEOUT)
            tell(w);
        else if (wake == WAKE_EVENT && take_events(w) && !follow_burst(w))
            wake = WAKE_STOP;
    }
    return NULL;
}

static void watch_destroy(struct watch *w)
{
    closep(&w->inotify);
    closep(&w->stop);
    vec_foreach (dir, &w->watched)
        free(dir->path);
    free(w->watched.v);
    free(w->git_dir);
    free(w->common_dir);
    free(w);
}
DEFINE_CLEANUP(struct watch *, watch_destroy)

static int fail(int r, const struct watch *w, struct diag *reterr)
{
    const char *hint = r == -ENOSPC   ? " (raise fs.inotify.max_user_watches)"
                       : r == -EMFILE ? " (raise fs.inotify.max_user_instances)"
                                      : "";

    return diag_fail(reterr, r, "cannot watch the refs of %s: %s%s", w->common_dir,
                     strerrordesc_np(-r), hint);
}

int watch_new(struct repo *repo, int (*changed)(void *arg), void *arg, struct watch **ret,
              struct diag *reterr)
{
    _cleanup_(watch_destroyp) struct watch *w = NEW(struct watch);

    w->changed = changed;
    w->arg = arg;
    w->retry_ms = -1;
    w->git_dir = xstrdup(repo_git_dir(repo));
    w->common_dir = xstrdup(repo_common_dir(repo));
    w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    w->stop = w->inotify < 0 ? -1 : eventfd(0, EFD_CLOEXEC);
    if (w->stop < 0)
        return fail(-errno, w, reterr);
    int r = watch_all(w);
    if (r == 0)
        r = -pthread_create(&w->thread, NULL, watch_main, w);
    if (r < 0)
        return fail(r, w, reterr);
    *ret = TAKE(w);
    return 0;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    int r = eventfd_write(w->stop, 1);
    assert(r == 0);
    pthread_join(w->thread, NULL);
    watch_destroy(w);
}
