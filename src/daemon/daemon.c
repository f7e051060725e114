#include "daemon/daemon.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/helper.h"
#include "base/keeper.h"
#include "base/keeping.h"
#include "base/log.h"
#include "coord/lease.h"
#include "daemon/durable.h"
#include "daemon/history_wait.h"
#include "daemon/identity.h"
#include "daemon/packer.h"
#include "daemon/rollback.h"
#include "daemon/state_dir.h"
#include "deploy/journal.h"
#include "deploy/reconcile.h"
#include "mount/mount.h"
#include "onward/version.h"
#include "repo/batch.h"
#include "repo/litter.h"
#include "repo/oid_json.h"
#include "repo/ref_mark.h"
#include "repo/watch.h"
#include "site/restore.h"
#include "stage/author.h"
#include "stage/proposal_node.h"
#include "stage/staging.h"
#include "tree/stream.h"
#include "view/view.h"

/* Order of opening, which is the reverse of the order of closing:
 *
 *   repository, its refs → state directory and lease → ledger, history index, board → node table,
 * events, staging, views → mount (the kernel may ask from here on) → when it answers: watch,
 * reconciler
 *
 * News travels by callback: watch → mainline → history index, views, reconciler → board; commits in
 * staging move the mainline and so go the same way. */

#define LOCKS_MOST 2
#define GRACE      (10 * NS_PER_SEC) /* for running attempts when the mount ends */

struct daemon {
    const struct options *options;
    const struct config *config;
    char *host;
    char *note; /* who we are, for those who find our locks */
    int64_t started;
    struct repo *repo;
    struct mainline *mainline;
    char *state_dir; /* NULL: none was needed */
    struct lease *state_lock, *lease;
    char *idle_why; /* why this process deploys nothing; NULL: it does */
    char *doubt;    /* why what is synced may be lost all the same; NULL: it cannot */
    char *apart; /* what to say of a mount beside us that has other workspaces; NULL: none seen */
    struct ledger *ledger;
    struct history_index *history; /* NULL: there is no state directory to keep it in */
    struct fleet_board *board;
    struct node_table *table;
    struct node *events;
    struct staging *staging;
    struct proposals *proposals;
    struct node *proposals_dir;
    struct view *view;
    struct mount *mount;
    struct watch *watch;
    struct packer *packer;       /* NULL: this process does not write to the repository */
    pthread_rwlock_t steering;   /* held for reading by who uses `reconcile`, so it stays */
    struct reconcile *reconcile; /* set once the mount answers */
    const struct daemon_start *start;
    struct succession succession; /* not used without a supervisor */
};

static void follow_history(struct daemon *d)
{
    struct oid head = {0};

    mainline_head(d->mainline, &head);
    if (d->history)
        history_index_follow(d->history, &head);
}

static void on_mainline(void *arg)
{
    struct daemon *d = arg;

    follow_history(d);
    view_refs_changed(d->view);
    pthread_rwlock_rdlock(&d->steering);
    if (d->reconcile)
        reconcile_wake(d->reconcile);
    pthread_rwlock_unlock(&d->steering);
}

static int on_refs(void *arg)
{
    struct daemon *d = arg;
    _cleanup_(diag_done) struct diag why = {0};
    int r = mainline_refresh(d->mainline, &why);

    packer_wake(d->packer);
    if (r < 0)
        log_error("refs-unreadable", "repository=\"%s\" reason=\"%s\"", d->config->repository,
                  diag_text(&why, r));
    return r;
}

static void on_event(json_t *event, void *arg)
{
    struct daemon *d = arg;
    _cleanup_(buf_done) struct buf line = {0};

    json_write(event, 0, &line);
    buf_addc(&line, '\n');
    stream_append(d->events, line.data, line.len);
    json_decref(event);
}

/* A broken object or pack, from whatever thread came upon it. */
static void on_fault(const struct repo_fault *fault, void *arg)
{
    json_t *event = journal_event(fault->event, clock_real());

    if (fault->id)
        json_put_str(event, "object", fault->id);
    json_put_str(event, "reason", fault->reason);
    on_event(event, arg);
}

static void on_identity(uid_t uid, char **ret_name, char **ret_email, void *arg)
{
    struct daemon *d = arg;

    identity_find(d->config, d->host, uid, ret_name, ret_email);
}

/* Commits stop where deployments do: on a mainline that has lost what it had. */
static int on_admit(const struct oid *head, void *arg, struct diag *reterr)
{
    struct daemon *d = arg;
    struct oid seen = {0};
    int r = ledger_seen(d->ledger, head, &seen);

    if (r < 0 && r != -ENOENT)
        return diag_fail(reterr, r, "cannot tell what the mainline must still hold: %s",
                         strerror(-r));
    r = ledger_seen_holds(d->repo, &seen, head, reterr);
    return r == -ESTALE ? -EBUSY : r;
}

static int steer(struct daemon *d, const struct caller *who, const struct order *order,
                 struct diag *reterr)
{
    _cleanup_free_ char *name = NULL, *email = NULL;

    if (d->idle_why)
        return diag_fail(reterr, -EBUSY, "this mount does not reconcile: %s", d->idle_why);
    on_identity(who->uid, &name, &email, d);
    pthread_rwlock_rdlock(&d->steering);
    int r = d->reconcile ? reconcile_order(d->reconcile, name, order, reterr)
                         : diag_fail(reterr, -EAGAIN, "onwardfs is starting or ending; try again");
    pthread_rwlock_unlock(&d->steering);
    return r;
}

static int roll_back(struct daemon *d, const struct caller *who, const struct order *order,
                     struct buf *answer, struct diag *reterr)
{
    const struct staging_config names = {
        .host = d->host, .identity = on_identity, .identity_arg = d};
    _cleanup_(author_done) struct signature author = {0};
    const struct rollback rollback = {.repo = d->repo,
                                      .mainline = d->mainline,
                                      .staging = d->staging,
                                      .board = d->board,
                                      .author = &author,
                                      .order = order};

    author_of(&names, who->uid, &author);
    return rollback_run(&rollback, answer, reterr);
}

static int on_command(void *ctx, const struct caller *who, const char *line, struct buf *answer,
                      struct diag *reterr)
{
    _cleanup_(order_done) struct order order = {0};
    int r = order_parse(line, &order, reterr);

    if (r < 0)
        return r;
    return order.kind == ORDER_ROLLBACK ? roll_back(ctx, who, &order, answer, reterr)
                                        : steer(ctx, who, &order, reterr);
}

static void config_text(void *ctx, struct buf *out)
{
    config_render(((struct daemon *)ctx)->config, out);
}

static json_t *count_states(const struct fleet *fleet)
{
    json_t *states = json_object();

    for (int s = 0; s < SITE_STATES; s++) {
        int n = 0;
        vec_foreach (site, &fleet->sites)
            n += (*site)->state == (enum site_state)s;
        if (n)
            json_object_set_new(states, site_state_name(s), json_integer(n));
    }
    return states;
}

/* How far the history index is. */
static json_t *history_status(struct history_index *ix)
{
    json_t *j = json_object();
    struct history_progress p = {0};

    if (ix)
        history_index_progress(ix, &p);
    json_put_str(j, "state",
                 !ix          ? "none"
                 : p.current  ? "current"
                 : *p.problem ? "failed"
                              : "building");
    json_object_set_new(j, "revisions", json_integer(p.done));
    json_object_set_new(j, "of", json_integer(p.total));
    json_put_str(j, "problem", *p.problem ? p.problem : NULL);
    return j;
}

static size_t count_proposals(struct proposals *s)
{
    struct proposal_list list = {0};

    proposals_list(s, &list);
    size_t n = list.n;
    proposal_list_done(&list);
    return n;
}

/* `.onward/status.json`. */
static void status_text(void *ctx, struct buf *out)
{
    struct daemon *d = ctx;
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_peek(d->board);
    _cleanup_free_ char *ref = mainline_ref(d->mainline);
    _cleanup_(json_decrefp) json_t *j = json_object();
    char hex[OID_HEX + 1], when[CLOCK_TEXT];
    struct oid head;
    bool born = mainline_head(d->mainline, &head) == 0;

    json_put_str(j, "version", ONWARD_VERSION);
    json_put_str(j, "host", d->host);
    json_object_set_new(j, "pid", json_integer(getpid()));
    json_object_set_new(j, "supervisor", d->start->park ? json_integer(getppid()) : json_null());
    json_object_set_new(j, "upgraded", json_boolean(d->start->upgraded));
    json_put_str(j, "started", clock_format(d->started, when));
    json_put_str(j, "repository", d->config->repository);
    json_put_str(j, "mountpoint", d->config->mountpoint);
    json_put_str(j, "state", d->state_dir);
    json_put_str(j, "mainline", ref);
    json_put_str(j, "head", born ? oid_hex(&head, hex) : NULL);
    oid_put_json(j, "decided", &fleet->head);
    json_object_set_new(j, "reconciling", json_boolean(!d->idle_why));
    json_put_str(j, "idle_because", d->idle_why);
    json_put_str(j, "workspaces_apart", d->apart);
    json_put_str(j, "not_durable", d->doubt);
    json_put_str(j, "problem", fleet->problem);
    json_put_str(j, "paused", fleet->paused);
    json_object_set_new(j, "rollouts", fleet_rollouts_json(fleet));
    json_object_set_new(j, "sites", count_states(fleet));
    json_object_set_new(j, "proposals", json_integer(count_proposals(d->proposals)));
    json_object_set_new(j, "history", history_status(d->history));
    json_write(j, 1, out);
    buf_addc(out, '\n');
}

/* Workspaces are in the state directory: whoever looks for one here may have made it there. */
static void note_apart(struct daemon *d, const char *who)
{
    if (d->options->read_only)
        return;
    d->apart = xasprintf("this mount has workspaces of its own, in %s; those of another are not "
                         "here: %s",
                         d->state_dir, who);
    log_info("workspaces-apart", "note=\"%s\"", d->apart);
}

/* The lease on the repository is the right to deploy, and to clear away what a predecessor that was
 * killed has left locked or half-written. Who only shows gives it back. */
static void take_lease(struct daemon *d)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *path = xasprintf("%s/onwardfs.lock", repo_common_dir(d->repo));
    int r = lease_wait(path, d->note, &d->lease, &why);

    if (r == 0) {
        ref_marks_recover(d->repo);
        litter_clear(d->repo);
        int64_t since;
        if (state_dir_after_boot(d->state_dir, &since))
            litter_clear_torn(d->repo, since);
        batch_tidy(d->repo);
    } else {
        d->idle_why = xstrdup(diag_text(&why, r));
    }
    if (r == -EBUSY)
        note_apart(d, d->idle_why);
    if (d->options->no_reconcile) {
        free(d->idle_why);
        d->idle_why = xstrdup("mounted with -o noreconcile");
        lease_free(TAKE(d->lease));
    }
}

/* The state directory and the right to deploy. A second mount may look on, read-only. */
static int open_state(struct daemon *d, struct diag *reterr)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = state_dir_open(d->config->state, repo_common_dir(d->repo), d->note, &d->state_dir,
                           &d->state_lock, &why);

    if (r < 0 && !d->options->read_only) {
        return diag_fail(reterr, r, "%s", diag_text(&why, r));
    }
    if (r < 0)
        d->idle_why = xstrdup(diag_text(&why, r));
    else
        take_lease(d);
    return 0;
}

/* What starts commands, while there are no threads and no /dev/fuse. Those of backends are alone:
 * they are started by who has the lease only. */
static int begin_keeper(struct daemon *d, struct diag *reterr)
{
    _cleanup_free_ char *lock = xasprintf("%s/onwardfs.commands", repo_common_dir(d->repo)),
                        *found = d->start->commands ? NULL : helper_find(KEEPING_NAME);

    return keeper_begin(d->lease ? lock : NULL, d->start->commands ? d->start->commands : found,
                        reterr);
}

/* What the ledger remembers outside of the repository. */
static int keep_ledger_marks(struct daemon *d, struct diag *reterr)
{
    _cleanup_free_ char *marks = xasprintf("%s/ledger-marks", d->state_dir);
    _cleanup_free_ char *seen = xasprintf("%s/seen", d->state_dir);
    _cleanup_free_ char *branch = mainline_ref(d->mainline);
    struct ledger_mainline mainline = {.branch = branch, .history = d->history};
    int r = ledger_keep_marks(d->ledger, marks, reterr);

    mainline_head(d->mainline, &mainline.head);
    return r < 0 ? r : ledger_keep_seen(d->ledger, seen, &mainline, reterr);
}

static int open_repository(struct daemon *d, struct diag *reterr)
{
    int r = repo_open(d->config->repository, &d->repo, reterr);

    if (r == 0) {
        repo_cache_limit(d->repo, d->config->cache);
        r = mainline_new(d->repo, d->config->branch, &d->mainline, reterr);
    }
    if (r == 0)
        r = open_state(d, reterr);
    if (r == 0)
        r = ledger_open(d->repo, d->host, &d->ledger, reterr);
    if (r == 0 && d->state_dir)
        repo_spool_in(d->repo, d->state_dir);
    return r;
}

static bool mtime_is_change(const struct daemon *d)
{
    return d->options->mtime && !strcmp(d->options->mtime, "change");
}

/* The index is a convenience, and its making goes on behind the mount; but times that come out of
 * it must be right from the first look. */
static int open_history(struct daemon *d, struct diag *reterr)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = 0;

    if (d->state_dir) {
        _cleanup_free_ char *dir = xasprintf("%s/history", d->state_dir);
        r = history_index_open(d->repo, dir, &d->history, &why);
        if (r < 0)
            log_error("history-failed", "reason=\"%s\"", diag_text(&why, r));
        follow_history(d);
    }
    if (!mtime_is_change(d))
        return 0;
    if (!d->history)
        return diag_fail(reterr, r < 0 ? r : -EBUSY, "-o mtime=change needs the history index: %s",
                         r < 0 ? diag_text(&why, r) : d->idle_why);
    return history_wait(d->history, reterr);
}

static int open_staging(struct daemon *d, struct diag *reterr)
{
    struct staging_config config = {
        .repo = d->repo,
        .mainline = d->mainline,
        .table = d->table,
        .state_dir = d->state_dir,
        .host = d->host,
        .identity = on_identity,
        .identity_arg = d,
        .admit = on_admit,
        .admit_arg = d,
        .survives = restore_survives,
        .checks = d->config->checks.v,
        .nchecks = d->config->checks.n,
        .mountpoint = d->config->mountpoint,
        .root_ino = node_ino(VIEW_ROOT_INO, "staging"),
        .shared = d->options->allow_other,
        .most_workspaces = d->config->most_workspaces,
        .most_file_size = d->config->most_file_size,
        .most_workspace_size = d->config->most_workspace_size,
    };

    int r = d->options->read_only ? 0 : staging_new(&config, &d->staging, reterr);
    if (r < 0)
        return r;
    d->proposals =
        d->staging ? proposals_ref(staging_proposals(d->staging)) : proposals_new(&config, NULL);
    d->proposals_dir = proposals_dir_new(d->proposals, node_ino(VIEW_ROOT_INO, "proposals"));
    return 0;
}

/* Said, not refused: whoever tries things out does so in memory. */
static void say_doubt(struct daemon *d)
{
    d->doubt = d->options->read_only ? NULL : durable_doubt(d->state_dir, repo_common_dir(d->repo));
    if (!d->doubt)
        return;
    log_warn("not-durable", "reason=\"%s\" consequence=\"what was acknowledged may be lost\"",
             d->doubt);
    json_t *e = journal_event("not-durable", clock_real());
    json_put_str(e, "detail", d->doubt);
    on_event(e, d);
}

static int open_events(struct daemon *d, struct diag *reterr)
{
    /* Without a state directory (a second, read-only mount) there is nothing to record. */
    _cleanup_free_ char *path =
        d->state_dir ? xasprintf("%s/events", d->state_dir) : xstrdup("/dev/null");

    return stream_node_new(d->table, node_ino(VIEW_ROOT_INO, ".onward/events"), path, &d->events,
                           reterr);
}

static int open_nodes(struct daemon *d, struct diag *reterr)
{
    d->board = fleet_board_new();
    d->table = node_table_new();
    int r = open_events(d, reterr);
    if (r == 0) {
        repo_on_fault(d->repo, on_fault, d);
        r = open_staging(d, reterr);
    }
    if (r < 0)
        return r;
    say_doubt(d);
    struct view_config config = {
        .repo = d->repo,
        .mainline = d->mainline,
        .board = d->board,
        .ledger = d->ledger,
        .history = d->history,
        .mtime = mtime_is_change(d) ? VIEW_MTIME_CHANGE : VIEW_MTIME_REVISION,
        .table = d->table,
        .staging = d->staging ? staging_root(d->staging) : NULL,
        .proposals = d->proposals_dir,
        .events = d->events,
        .config_text = config_text,
        .status_text = status_text,
        .command = on_command,
        .ctx = d,
    };
    d->view = view_new(&config);
    return 0;
}

/* A successor must not wait until the last thread of ours is dead: it may be the one whom that
 * waits for (supervisor.h). */
static void leave_locks(struct daemon *d)
{
    struct parcel *ours = &d->succession.ours;
    const struct lease *locks[] = {d->state_lock, d->lease};

    for (size_t i = 0; i < ARRAY_SIZE(locks); i++)
        if (locks[i])
            ours->fds[ours->n++] = lease_fd(locks[i]);
    ours->tag = ours->n;
}

static int take_locks(struct daemon *d, struct diag *reterr)
{
    struct parcel *found = &d->succession.found;
    int r = d->start->park ? park_look(d->start->park, found) : -ENOENT;

    if (r < 0)
        return r == -ENOENT ? 0
                            : diag_fail(reterr, r, "cannot take the mount over: %s", strerror(-r));
    if (found->tag > LOCKS_MOST || found->tag > found->n)
        return diag_fail(reterr, -EBADMSG, "cannot take the mount over: something is missing");
    for (size_t i = 0; i < found->tag; i++)
        lease_inherit(found->fds[i]);
    return 0;
}

static int open_mount(struct daemon *d, struct diag *reterr)
{
    struct mount_config config = {
        .mountpoint = d->config->mountpoint,
        .source = d->config->repository,
        .allow_other = d->options->allow_other,
        .check_modes = d->options->default_permissions,
        .read_only = d->options->read_only,
        .bounds = {.nodes = d->config->most_inodes, .bytes = d->config->cache},
        .short_file = "README",
        .options = buf_str(&d->options->fuse),
        .succession = d->start->park ? &d->succession : NULL,
    };
    _cleanup_(node_unrefp) struct node *root = view_root(d->view);

    leave_locks(d);
    int r = mount_new(&config, d->table, root, &d->mount, reterr);
    if (r == 0)
        staging_inherit(d->staging);
    return r;
}

/* The mount answers: only now may backends, which work inside it, be started. */
static void on_ready(void *arg)
{
    struct daemon *d = arg;
    _cleanup_(diag_done) struct diag why = {0};
    struct reconcile_config config = {
        .repo = d->repo,
        .mainline = d->mainline,
        .ledger = d->ledger,
        .history = d->history,
        .board = d->board,
        .backends = d->config->backends.v,
        .nbackends = d->config->backends.n,
        .mountpoint = d->config->mountpoint,
        .host = d->host,
        .enabled = !d->idle_why,
        .disabled_why = d->idle_why,
        .event = on_event,
        .event_arg = d,
    };
    struct reconcile *r = NULL;

    int err = reconcile_start(&config, &r, &why);
    if (err < 0) {
        struct fleet *fleet = fleet_new();
        fleet->problem = xstrdup(diag_text(&why, err));
        fleet_board_publish(d->board, fleet); /* or every look at a site would wait for one */
        log_error("reconcile-failed", "reason=\"%s\"", diag_text(&why, err));
    }
    pthread_rwlock_wrlock(&d->steering);
    d->reconcile = r;
    pthread_rwlock_unlock(&d->steering);
    log_info("mounted", "repository=\"%s\" mountpoint=\"%s\"%s%s%s", d->config->repository,
             d->config->mountpoint, d->idle_why ? " idle=\"" : "", d->idle_why ? d->idle_why : "",
             d->idle_why ? "\"" : "");
    d->start->ready(d->start->arg);
    if (d->state_dir && !d->options->read_only && packer_start(d->repo, &d->packer, &why) < 0)
        log_error("packer-failed", "reason=\"%s\"", diag_text(&why, -EIO));
    if (watch_new(d->repo, on_refs, d, &d->watch, &why) < 0)
        log_error("watch-failed", "reason=\"%s\" consequence=\"changes by others are not seen\"",
                  diag_text(&why, -EIO));
    /* What moved between the first look at the refs and the watch. */
    on_refs(d);
}

/* Who mounts the same again waits from now on. */
static void say_ending(struct daemon *d)
{
    lease_ending(d->state_lock);
    lease_ending(d->lease);
}

/* Lets attempts finish, while the mount still answers them. */
static void stop_reconciling(struct daemon *d)
{
    pthread_rwlock_wrlock(&d->steering);
    struct reconcile *r = TAKE(d->reconcile);
    pthread_rwlock_unlock(&d->steering);
    reconcile_stop(r, GRACE);
}

/* A thread that waits for SIGTERM, SIGINT or SIGHUP. */
static void *wait_for_signal(void *arg)
{
    struct daemon *d = arg;
    sigset_t ends;
    int signal;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGHUP);
    sigwait(&ends, &signal);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    log_info("ending", "signal=%s", sigabbrev_np(signal));
    say_ending(d);
    staging_end(d->staging);
    stop_reconciling(d);
    mount_end(d->mount);
    return NULL;
}

static int serve(struct daemon *d, struct diag *reterr)
{
    pthread_t waiter;
    int r = -pthread_create(&waiter, NULL, wait_for_signal, d);

    if (r < 0)
        return diag_fail(reterr, r, "cannot start a thread: %s", strerror(-r));
    mainline_listen(d->mainline, on_mainline, d);
    r = mount_serve(d->mount, on_ready, d);
    if (r < 0)
        diag_fail(reterr, r, "the mount on %s ended: %s", d->config->mountpoint, strerror(-r));
    pthread_cancel(waiter);
    pthread_join(waiter, NULL);
    say_ending(d);
    log_info("unmounted", "mountpoint=\"%s\"", d->config->mountpoint);
    return r;
}

static void close_all(struct daemon *d)
{
    watch_free(d->watch);
    packer_stop(d->packer);
    staging_end(d->staging);
    stop_reconciling(d);
    mount_free(d->mount);
    if (d->repo)
        repo_on_fault(d->repo, NULL, NULL);
    node_unref(d->events);
    node_unref(d->proposals_dir);
    staging_free(d->staging);
    node_table_free(d->table);
    proposals_unref(d->proposals);
    view_free(d->view);
    fleet_board_free(d->board);
    history_index_free(d->history);
    ledger_free(d->ledger);
    mainline_free(d->mainline);
    repo_free(d->repo);
    keeper_end();
    lease_free(d->lease);
    lease_free(d->state_lock);
    free(d->state_dir);
    free(d->idle_why);
    free(d->host);
    free(d->apart);
    free(d->doubt);
    free(d->note);
    pthread_rwlock_destroy(&d->steering);
}

/* The host's name as it stands in refs, records and addresses. The caller frees. */
static char *host_name(void)
{
    char name[256] = "";

    if (gethostname(name, sizeof(name) - 1) < 0 || !*name)
        return xstrdup("localhost");
    return xstrdup(name);
}

int daemon_run(const struct options *options, const struct config *config,
               const struct daemon_start *start, struct diag *reterr)
{
    struct daemon d = {
        .options = options,
        .config = config,
        .host = host_name(),
        .started = clock_real(),
        .start = start,
    };

    pthread_rwlock_init(&d.steering, NULL);
    d.note = xasprintf("onwardfs (pid %d) mounted on %s", getpid(), config->mountpoint);
    d.succession.park = start->park;
    int r = take_locks(&d, reterr);
    if (r == 0)
        r = open_repository(&d, reterr);
    if (r == 0)
        r = begin_keeper(&d, reterr);
    if (r == 0)
        r = open_history(&d, reterr);
    if (r == 0 && d.state_dir)
        r = keep_ledger_marks(&d, reterr);
    if (r == 0)
        r = open_nodes(&d, reterr);
    if (r == 0)
        r = open_mount(&d, reterr);
    if (r == 0)
        r = serve(&d, reterr);
    close_all(&d);
    return r;
}
