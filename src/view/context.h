/* What the views of this folder share, and how they reach each other. */
#ifndef ONWARD_VIEW_CONTEXT_H
#define ONWARD_VIEW_CONTEXT_H

#include <pthread.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"
#include "repo/object.h"
#include "repo/revision.h"
#include "tree/link.h"
#include "tree/menu.h"
#include "tree/text.h"
#include "view/view.h"

struct view {
    struct view_config config;
    pthread_mutex_t lock; /* guards what follows */
    struct map outcomes;  /* uid as text -> reason of its last command, a string */
    struct {
        VEC(struct oid);
        struct oid head; /* of which these are the first parents, oldest first, itself included */
    } revisions;
    pthread_mutex_t places; /* guards the places of directories on the mainline (snapshot.c) */
    int64_t patience_ends;  /* mono ns: when nobody waits any longer for an index; 0: nobody did */
    bool said_late;         /* atomic: the log knows that it was not there in time */
};

/* Real ns of the newest change of any ref: the mtime of directories that follow the refs. */
int64_t view_refs_time(void *view);
/* …and of the fleet. */
int64_t view_fleet_time(void *view);

/* A directory that there is one of, and that needs no more than its view. */
struct view_dir {
    struct node node;
    struct view *view;
};
/* Its attributes, when its list follows the refs. */
int view_dir_getattr(struct node *node, struct stat *st);
/* The node with these ops, referenced. */
struct node *view_dir_node(struct view *v, const struct node_ops *ops, uint64_t ino);

/* Bytes of a patch that is shown; a larger one is -EFBIG. */
#define VIEW_PATCH_MOST (64u << 20)

/* How long those wait for the history index that can do without it, and those that cannot. */
#define VIEW_INDEX_SOON (100 * NS_PER_MS)
#define VIEW_INDEX_WAIT (2 * NS_PER_SEC)
/* Waits for at most `timeout` ns until the index holds the mainline as it is now. -EAGAIN: not yet;
 * -ENOENT: there is no index, or nothing on the mainline; others: it cannot be made. */
int view_index_wait(struct view *v, int64_t timeout);
/* The place on the mainline of a revision, or of the newest of its first-parent ancestors that is
 * there; waits like view_index_wait() when it is not at once found. -ENOENT also if it has none. */
int view_anchor(struct view *v, const struct oid *revision, int64_t timeout, uint32_t *ret);

/* A revision, as much of it as its nodes need. */
struct snapshot {
    struct oid revision, tree;
    int64_t time;   /* committer time as of clock_from_seconds(), but in seconds */
    bool by_change; /* what did not change in it has an older time */
};
/* -ENOENT if it is no revision. */
int snapshot_load(struct view *v, const struct oid *revision, struct snapshot *ret);
/* The root directory of a revision, referenced. `ino`: its inode number. */
struct node *snapshot_node(struct view *v, const struct snapshot *s, uint64_t ino);

struct node *head_node(struct view *v, uint64_t ino);
struct node *revisions_node(struct view *v, uint64_t ino);
struct node *at_node(struct view *v, uint64_t ino);
struct node *history_node(struct view *v, uint64_t ino);
struct node *branches_node(struct view *v, uint64_t ino);
struct node *tags_node(struct view *v, uint64_t ino);
struct node *sites_node(struct view *v, uint64_t ino);
struct node *teams_node(struct view *v, uint64_t ino);
struct node *site_node(struct view *v, struct node *parent, const char *site, uint64_t ino);
struct node *migrating_node(struct view *v, struct node *parent, const char *site, uint64_t ino);
/* The blame of what is below `source` in a revision. -EAGAIN -EFBIG. */
int blame_node(struct view *v, const struct oid *revision, const char *source, uint64_t ino,
               struct node **ret);
struct node *generations_node(struct view *v, struct node *parent, const char *site, uint64_t ino);
struct node *commits_node(struct view *v, uint64_t ino);
struct node *onward_node(struct view *v, uint64_t ino);

/* `up` + "revisions/<id>" [+ "/<source>"], a string of its own: the target of a link. `source` may
 * be NULL or "." (the root). */
char *view_target(const char *up, const struct oid *revision, const char *source);

/* Adds what the ledger keeps as that blob; nothing for a zero id. */
int view_add_blob(struct view *v, const struct oid *oid, struct buf *out);
/* Adds the record as it is stored, with a newline. */
int view_add_record(struct view *v, const struct record *r, struct buf *out);

/* A directory whose names are computed as a list: revisions that are not fixed by a menu. */
struct names {
    VEC(struct name {
        uint64_t cookie; /* 62-bit hash of the name: stable while others come and go */
        char *name;
        mode_t type;
    });
};
void names_done(struct names *n);
void names_add(struct names *n, const char *name, mode_t type);
/* Sorts by cookie and hands those behind `cookie` to the sink. */
void names_emit(struct names *n, const struct node *dir, uint64_t cookie, struct dir_sink *sink);

#endif
