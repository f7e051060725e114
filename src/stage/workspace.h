/* A workspace: a writable tree based on a revision, on its way to one commit. This is what it is on
 * disk and in memory, its locks, and how it is opened and ended; overlay_node.h serves its files,
 * commit.h takes it into the mainline.
 *
 * On disk, in <state_dir>/workspaces/<name>/:
 *   state      whose it is, its base, which upper is current, a commit on its way; replaced as a
 *              whole
 *   upper.N/   what was changed since the base (overlay.h); N counts up with each new base
 *   work/      files under construction; emptied when the workspace is opened
 *   message    the message being prepared
 *   outcome    what the last commit or rebase answered
 *   review-id  by which proposals know it; there once it has made one
 *
 * States, and what moves between them:
 *
 *               workspace_create            workspace_prepare_move
 *      (none) ───────────────────▶  steady ─────────────────────────▶ moving
 *         ▲                         ▲ ▲  │   (new base and upper.N+1    │ │
 *         │      workspace_end      │ │  │    are on disk, in `state`)  │ │
 *         └─────────────────────────┼─┼──┘                             │ │
 *                                   │ └────────────────────────────────┘ │
 *                                   │   workspace_cancel_move: the       │
 *                                   │   mainline did not move            │
 *                                   └────────────────────────────────────┘
 *                                       workspace_finish_move: it did
 *
 * A rebase (workspace_rebase) leads from steady to steady: upper.N+1 is made, then `state` names it
 * and the new base, at one instant; nobody else has to be asked whether it has happened. Files that
 * stay as they are have a name in both uppers meanwhile.
 *
 * A crash in `moving` is resolved by whoever opens the workspace (commit_recover): the mainline
 * contains the revision that `state` announces, or it does not.
 *
 * Invariants
 *   W1  What the workspace shows is determined by `state` and the upper that it names, at any
 *       instant.
 *   W2  upper.N+1 and everything in it is durable before `state` names it.
 *   W3  `state` announces a revision before the mainline can move to it, and drops the announcement
 *       only when it is known whether the mainline did.
 *       An announcement whose upper is not there is none.
 *   W4  A workspace directory whose name begins with a dot is being made or removed, and is
 *       nothing.
 *
 * Threads and locks. Two read-write locks, taken in this order:
 *   freeze   held for reading by everything that changes the workspace, for writing by a commit
 *            while it takes the workspace as it is: changes wait, readers do not.
 *   tree     held for reading to use nodes and uppers, for writing to change names or to move to
 *            another upper.
 * Both prefer writers. Nothing of one workspace is ever held while waiting for another. */
#ifndef ONWARD_STAGE_WORKSPACE_H
#define ONWARD_STAGE_WORKSPACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "stage/fd_cache.h"
#include "stage/graft.h"
#include "stage/overlay.h"
#include "stage/room.h"
#include "stage/staging.h"

struct workspace;
struct autocommit;
struct overlay_node;

/* What all workspaces share. Lives as long as any of them. */
struct stage_env {
    unsigned refs;
    void (*free)(struct stage_env *env);
    const struct staging_config *config;
    struct fd_cache *fds;
    struct checks *checks;
    struct autocommit *autocommit;
    struct proposals *proposals; /* of the repository: reviews end in them */
    int dir;                     /* <state_dir>/workspaces */
    /* Forgets an ended workspace: set by staging.c. */
    void (*ended)(void *arg, const char *name);
    /* Makes the kernel forget its name, which it has not itself taken away. */
    void (*vanished)(void *arg, const char *name);
    /* The workspace of that name, referenced. -ENOENT, -EIO. */
    int (*find)(void *arg, const char *name, struct workspace **ret);
    void *arg;
};

void stage_env_ref(struct stage_env *env);
void stage_env_unref(struct stage_env *env);

/* What a workspace stands on: the tree of its base (zero: the empty tree), and an upper. */
struct workspace_ground {
    struct oid tree;
    int upper; /* -1: none */
};

/* The content of `state`. */
struct workspace_state {
    uid_t uid;
    gid_t gid;
    char *owner;        /* the owner's account name when it was made */
    struct oid base;    /* zero: no revision, the repository was empty */
    int64_t base_mtime; /* ns; of what is as the base has it; grows with each new base */
    uint64_t upper;
    struct oid next_base; /* the commit on its way; zero: none */
    int64_t next_mtime;
    bool kept;          /* a ref keeps the base (keep_ref.h) */
    int64_t autocommit; /* ns without writes after which it commits by itself; 0: never */
};

struct workspace {
    struct stage_env *env;
    unsigned refs;
    char *name;
    int dir;
    int upper; /* upper.N; changes under `tree` */
    struct workspace_state state;
    struct workspace_ground next; /* of the announced move: open already, so that it cannot fail */
    struct oid base_tree;         /* zero: the empty tree */
    struct overlay overlay;
    uint64_t ino;         /* of the workspace's root */
    uint64_t instance;    /* differs from every other workspace that has had the name */
    _Atomic uint64_t era; /* counts moves to another upper; nodes compare it */
    _Atomic bool ended;
    pthread_rwlock_t freeze, tree;
    pthread_mutex_t resync;     /* taken by nodes that follow a move */
    pthread_mutex_t listing;    /* guards the nodes' listings */
    pthread_mutex_t known;      /* guards `nodes` */
    struct overlay_node *nodes; /* overlay_news.c: all of them */
    bool moved;                 /* under `freeze`: the kernel has not been told yet */
    pthread_mutex_t committing; /* one commit at a time */
    pthread_mutex_t saying;     /* guards `unsaved` */
    char *unsaved; /* the outcome, if it could not be saved: when the disk is full, it says so */
    _Atomic unsigned waiting; /* for `committing` */
    struct room room;

    _Atomic int64_t autocommit;        /* as in `state` */
    _Atomic int64_t autocommit_set_at; /* real; grows */
    _Atomic int64_t changed_at;        /* mono: the last write, or what counts as one */
    _Atomic bool armed;                /* autocommit.c: it waits to be due */
};

/* "-ENAMETOOLONG", "-EINVAL" unless `name` may name a workspace. */
int workspace_check_name(const char *name);

/* Makes a workspace for `uid`, based on `base` (zero: nothing), durable on return. -EEXIST. */
int workspace_create(struct stage_env *env, const char *name, const struct caller *who,
                     const struct oid *base, struct workspace **ret, struct diag *reterr);
/* Opens the one of that name. A move that a crash interrupted stays for commit_recover(). */
int workspace_open(struct stage_env *env, const char *name, struct workspace **ret,
                   struct diag *reterr);
struct workspace *workspace_ref(struct workspace *ws);
void workspace_unref(struct workspace *ws);
DEFINE_CLEANUP(struct workspace *, workspace_unref)

/* May this user change the workspace? 0 or -EACCES. */
int workspace_may_change(const struct workspace *ws, const struct caller *who);

/* The base now and its time, for those who hold no lock. */
void workspace_base(struct workspace *ws, struct oid *ret, int64_t *ret_mtime);

/* Reading nodes and uppers. */
void workspace_lock_read(struct workspace *ws);
void workspace_unlock_read(struct workspace *ws);
/* Changing names: excludes everybody. */
void workspace_lock_names(struct workspace *ws);
void workspace_unlock_names(struct workspace *ws);
/* Changing the content of a file that is in the upper. */
void workspace_lock_data(struct workspace *ws);
void workspace_unlock_data(struct workspace *ws);
/* Keeps the workspace as it is; readers go on. */
void workspace_lock_frozen(struct workspace *ws);
/* Tells the kernel of a move that has happened meanwhile, and returns when it knows. */
void workspace_unlock_frozen(struct workspace *ws);

/* Before a commit or rebase, with no lock held: takes `committing`. -EBUSY: too many wait for it
 * already. */
int workspace_lock_committing(struct workspace *ws);
void workspace_unlock_committing(struct workspace *ws);

/* Announces the move to `base`: prepares upper.N+1 with the directories of `keep` (paths, sorted),
 * as far as the new base leaves room for them, and records it. Frozen. */
int workspace_prepare_move(struct workspace *ws, const struct oid *base,
                           const struct kept_dirs *keep, struct diag *reterr);
/* Takes the announcement back. Frozen. What fails of that is logged: the next opening finds out
 * that the mainline did not move. */
void workspace_cancel_move(struct workspace *ws);
/* The workspace is on the announced base, clean. Cannot fail where the move was prepared: when it
 * cannot be recorded, the next opening finds out again. After a crash, -EIO: its base or upper
 * cannot be read. Frozen. */
int workspace_finish_move(struct workspace *ws, struct diag *reterr);

/* The one or the other. */
void workspace_settle_move(struct workspace *ws, bool moved);

/* Brings the workspace onto `base`, where it shows `shown`; in one step. Frozen, and not while a
 * move is announced. */
struct workspace_rebase {
    struct oid base;
    struct oid ours, shown; /* trees: what it shows now, and what it is to show */
    bool share;             /* the old base stays in the repository without us */
    const struct kept_dirs *keep;
};
int workspace_rebase(struct workspace *ws, const struct workspace_rebase *to, struct diag *reterr);

/* Sets state.autocommit, durable. */
int workspace_set_autocommit(struct workspace *ws, int64_t after);

/* Removes uppers and drafts that a crash has left behind. Not while a move is announced. */
void workspace_tidy(struct workspace *ws);

/* Removes the workspace from the disk; its nodes answer -ESTALE from now on. -ESTALE if it has
 * ended already. The caller holds no lock. `only_if`, unless NULL, is asked while nothing can
 * change: negative stops it. */
int workspace_end(struct workspace *ws, int (*only_if)(struct workspace *ws));

#endif
