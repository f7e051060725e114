/* What the views of this folder share, and how they reach each other. */
#ifndef ONWARD_VIEW_CONTEXT_H
#define ONWARD_VIEW_CONTEXT_H

#include <pthread.h>

#include "base/alloc.h"
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
};

/* Real ns of the newest change of any ref: the mtime of directories that follow the refs. */
int64_t view_refs_time(void *view);
/* …and of the fleet. */
int64_t view_fleet_time(void *view);

/* Real ns of a revision's time in seconds, which may be anything: at least a second after 1970 (0
 * looks like no time at all), and within what 64 bits hold. */
int64_t view_time(int64_t seconds);

/* A directory that there is one of, and that needs no more than its view. */
struct view_dir {
    struct node node;
    struct view *view;
};
/* The node with these ops, referenced. */
struct node *view_dir_node(struct view *v, const struct node_ops *ops, uint64_t ino);

/* Bytes of a patch that is shown; a larger one is -EFBIG. */
#define VIEW_PATCH_MOST (64u << 20)

/* A revision, as much of it as its nodes need. */
struct snapshot {
    struct oid revision, tree;
    int64_t time; /* committer time as of view_time(), but in seconds */
};
/* -ENOENT if it is no revision. */
int snapshot_load(struct view *v, const struct oid *revision, struct snapshot *ret);
/* The root directory of a revision, referenced. `ino`: its inode number. */
struct node *snapshot_node(struct view *v, const struct snapshot *s, uint64_t ino);

struct node *revisions_node(struct view *v, uint64_t ino);
struct node *branches_node(struct view *v, uint64_t ino);
struct node *tags_node(struct view *v, uint64_t ino);
struct node *sites_node(struct view *v, uint64_t ino);
struct node *teams_node(struct view *v, uint64_t ino);
struct node *site_node(struct view *v, struct node *parent, const char *site, uint64_t ino);
struct node *migrating_node(struct view *v, struct node *parent, const char *site, uint64_t ino);
struct node *generations_node(struct view *v, struct node *parent, const char *site, uint64_t ino);
struct node *commits_node(struct view *v, uint64_t ino);
struct node *onward_node(struct view *v, uint64_t ino);

/* `up` + "revisions/<id>" [+ "/<source>"], a string of its own: the target of a link. `source` may
 * be NULL or "." (the root). */
char *view_target(const char *up, const struct oid *revision, const char *source);

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
