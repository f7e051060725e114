/* The read-only namespaces of the mount, as nodes: one file of this folder for each visible
 * directory.
 *
 *   root.c        README fleet head, and the doors to the rest
 *   head.c        head
 *   revisions.c   revisions/: every revision by id, expressions as symlinks
 *   snapshot.c    the tree of one revision
 *   at.c          at/<time>: the mainline as it was
 *   history.c     history/<path>/: every version of a path
 *   refs_dir.c    branches/ and tags/
 *   sites.c       sites/, teams/; site.c: one site; generations.c: its history; blame.c: its lines
 *   commits.c     commits/<id>/: about a revision
 *   onward_dir.c  .onward/
 *
 * Views read: Git through repo/, the fleet from its board, the ledger. They decide nothing, and
 * write nothing but what `.onward/ctl` hands to its callback. They know no FUSE and can be tested
 * as nodes. */
#ifndef ONWARD_VIEW_VIEW_H
#define ONWARD_VIEW_VIEW_H

#include "ledger/ledger.h"
#include "repo/history_index.h"
#include "repo/mainline.h"
#include "site/fleet.h"
#include "tree/node.h"

/* What the modification time of a file of a revision is. */
enum view_mtime {
    VIEW_MTIME_REVISION, /* that of the revision */
    VIEW_MTIME_CHANGE,   /* that of the mainline's revision that last changed it; needs history */
};

struct view_config {
    struct repo *repo;
    struct mainline *mainline;
    struct fleet_board *board;
    struct ledger *ledger; /* NULL: no history of sites (a repository that cannot be written) */
    struct history_index *history; /* NULL: none; then there are no history/ and blame */
    enum view_mtime mtime;
    struct node_table *table;
    struct node *staging;   /* the node of staging/; NULL: there is none */
    struct node *proposals; /* the node of proposals/; NULL: there is none */
    struct node *events;    /* the node of .onward/events */
    /* Texts of `.onward/`: the configuration in force, and the daemon's own status as JSON. */
    void (*config_text)(void *ctx, struct buf *out);
    void (*status_text)(void *ctx, struct buf *out);
    /* A line that was written to `.onward/ctl`. What there is to say about it, if it is done, but
     * that it is done, goes into `answer`. */
    int (*command)(void *ctx, const struct caller *who, const char *line, struct buf *answer,
                   struct diag *reterr);
    void *ctx;
};

#define VIEW_ROOT_INO UINT64_C(1)

struct view;

/* Everything in `config` must outlive the view. */
struct view *view_new(const struct view_config *config);
/* All its nodes must be gone. */
void view_free(struct view *v);
/* To be called when refs have changed, before whoever changed them is answered: what the kernel
 * keeps of directories that list revisions is out of date. */
void view_refs_changed(struct view *v);
/* The root directory of the mount, referenced. */
struct node *view_root(struct view *v);

#endif
