/* The files of a workspace as nodes: one for each entry that the kernel knows. overlay_node.c finds
 * and reads them, overlay_change.c changes names, overlay_content.c attributes and content.
 *
 * A node knows where it is (parent and name; the key under which it is interned) and what is there
 * (`at`). Both are true as of the node's `era`: when a commit has moved the workspace to another
 * upper, each node looks again before it is next used (overlay_node_sync).
 *
 *   - gone: unlinked, removed, or replaced by another's commit. No name leads to it. What it was
 *     goes on: a file of the upper through its open descriptor, one of the base through its blob.
 *   - stale: a move left nothing of its kind in its place, or it is a link. Every use answers
 *     -ESTALE.
 *
 * Invariants
 *   N1  No two nodes that are neither gone nor stale have the same parent and name.
 *   N2  `at` says what overlay_find() would find; the inode number, which never changes, too.
 *   N3  A gone node of the upper has a descriptor, kept until the node is freed.
 *   N4  Fields change under the workspace's lock for names, or under `resync` while the node is
 *       behind.
 *
 * The kernel keeps names and attributes of these nodes. Whatever changes one of them passes through
 * the kernel, but for moves of the workspace, of which it is told (overlay_news.h). An op must
 * therefore change nothing that shows of other nodes than those that the kernel knows it to change.
 * A directory's mtime grows with each change of its entries. */
#ifndef ONWARD_STAGE_OVERLAY_NODE_H
#define ONWARD_STAGE_OVERLAY_NODE_H

#include "stage/fd_cache.h"
#include "stage/listing.h"
#include "stage/overlay.h"
#include "stage/workspace.h"
#include "tree/node.h"

/* A listing that is being handed out; shared by readers, dropped when the directory changes. */
struct shared_listing {
    unsigned refs; /* under ws->listing */
    struct listing entries;
};

struct overlay_node {
    struct node node; /* node.parent: an overlay_node too, NULL for the workspace's root */
    struct workspace *ws;
    char *name; /* NULL: the root */
    _Atomic uint64_t era;
    bool gone, stale;
    struct overlay_entry at;
    int64_t held; /* gone: the room that it takes (room.h) */
    struct fd_slot slot;
    struct shared_listing *listing;

    struct overlay_node *prev, *next; /* in the workspace's `nodes`, under ws->known */
    bool listed;
    /* The kernel is to be told that its content, or what its name leads to, may be another. */
    _Atomic bool news_content, news_name;
};

#define OVERLAY_DEPTH_MOST 2000 /* directories below each other that users can make */
#define OVERLAY_NAME_MOST  255

extern const struct node_ops overlay_dir_ops, overlay_file_ops, overlay_link_ops;

/* The root of a workspace's tree, referenced. */
struct node *overlay_root(struct workspace *ws);

/* Brings in what was stored in mappings of the workspace's files so far: for those who are about to
 * take the workspace as it is; with no lock held but `committing`. -ESHUTDOWN: the mount is ending.
 * When the kernel cannot be made to, a warning is logged, and the files are as they were written.
 */
int overlay_flush(struct workspace *ws);

/* For those who change it. All of them under one of the workspace's locks. */

static inline struct overlay_node *overlay_node(struct node *node)
{
    return (struct overlay_node *)node;
}

static inline struct overlay_node *overlay_parent(const struct overlay_node *n)
{
    return (struct overlay_node *)n->node.parent;
}

/* Brings the node up to the workspace's era. -ESTALE: it is nothing any more. */
int overlay_node_sync(struct overlay_node *n);
/* A descriptor of what the upper has there (files O_RDWR, links O_PATH), to be given back. */
int overlay_node_fd(struct overlay_node *n);
void overlay_node_put(struct overlay_node *n);
/* Both sides of a directory, to be given back with overlay_node_close_dir(). */
int overlay_node_dir(struct overlay_node *n, struct overlay_dir *ret);
void overlay_node_close_dir(struct overlay_node *n, const struct overlay_dir *d);
/* The node for what `e` says is there, referenced. */
struct overlay_node *overlay_node_child(struct overlay_node *dir, const char *name,
                                        const struct overlay_entry *e);
/* The same if there is such a node already, brought up to date; else NULL. */
struct overlay_node *overlay_node_known(struct overlay_node *dir, const char *name,
                                        const struct overlay_entry *e);
/* No name leads to the node any more, or (dir not NULL) this one does. */
void overlay_node_detach(struct overlay_node *n);
void overlay_node_move(struct overlay_node *n, struct overlay_node *dir, const char *name);
/* The directory has changed: listings of it are made anew. */
void overlay_node_forget_listing(struct overlay_node *n);

/* overlay_change.c */
int overlay_create(struct node *dir, const struct caller *who, const char *name, mode_t mode,
                   struct node **ret);
int overlay_mkdir(struct node *dir, const struct caller *who, const char *name, mode_t mode,
                  struct node **ret);
int overlay_symlink(struct node *dir, const struct caller *who, const char *name,
                    const char *target, struct node **ret);
int overlay_unlink(struct node *dir, const struct caller *who, const char *name);
int overlay_rmdir(struct node *dir, const struct caller *who, const char *name);
int overlay_move(struct node *dir, const struct caller *who, const char *name, struct node *to_dir,
                 const char *to_name, unsigned flags);
void overlay_moved_before(struct node *dir, const char *name, struct node *to_dir,
                          const char *to_name);
/* Locks, and makes sure that `who` may change the workspace and that the node is something.
 * Unlocked again when it fails. */
int overlay_node_enter(struct overlay_node *n, const struct caller *who);
/* Unlocks after a change of names or attributes. */
void overlay_node_leave(struct workspace *ws);
/* Brings what is as the base has it into the upper (`empty`: without its content); a gone file of
 * the base gets a file without a name. Locked for names. */
int overlay_node_bring_up(struct overlay_node *n, bool empty);

/* overlay_content.c */
int overlay_setattr(struct node *node, const struct caller *who, const struct set_attrs *set);
ssize_t overlay_write(struct node *node, const struct caller *who, const void *buf, size_t size,
                      off_t off);
int overlay_fallocate(struct node *node, int mode, off_t off, off_t len);

#endif
