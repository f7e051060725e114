/* The node table: gives node ids to nodes that the kernel is told of, finds them again, and counts
 * the kernel's lookups. One for a mount. Ids count up and are never reused. */
#ifndef ONWARD_TREE_TABLE_H
#define ONWARD_TREE_TABLE_H

#include "tree/node.h"

struct node_table *node_table_new(void);
/* All nodes must have been unreferenced by those who hold them, except the kernel's lookups, which
 * are dropped here. */
void node_table_free(struct node_table *t);

/* Tells the table that the root (id 1) is `root`; takes a reference. */
void node_table_set_root(struct node_table *t, struct node *root);
/* Counts one lookup by the kernel; returns the node's id. */
uint64_t node_table_lookup(struct node_table *t, struct node *node);
/* The same, saying where it was found, so that a successor finds it there (legacy.h). */
struct node_place {
    uint64_t dir; /* id */
    const char *name;
    bool made; /* it is new: nothing that has been there is this node */
    const struct stat *st;
};
uint64_t node_table_lookup_at(struct node_table *t, struct node *node,
                              const struct node_place *place);
/* Takes n lookups back; at zero the kernel's reference is dropped and the id is dead. An unknown id
 * is ignored. */
void node_table_forget(struct node_table *t, uint64_t id, uint64_t n);
/* The node with that id, referenced; NULL if the kernel has forgotten it. */
struct node *node_table_get(struct node_table *t, uint64_t id);

/* Being one of several processes that serve the mount one after the other (legacy.h) */

struct legacy;

/* From now on what the kernel is told is put into the legacy; the ids in it are valid. Before there
 * are requests; the legacy stays the caller's, until the table is freed. */
void node_table_inherit(struct node_table *t, struct legacy *legacy);
/* As node_table_get(), but finds what our predecessor knew, too. It may take as long as the lookup
 * of a path. */
struct node *node_table_reach(struct node_table *t, uint64_t id);
/* The node with that name in the directory `dir` which our predecessor knew, referenced; NULL if
 * there was none, or it is known anyway. For who is about to take the name away. */
struct node *node_table_reach_name(struct node_table *t, uint64_t dir, const char *name);
/* The node has another name now, in its parent: for who has renamed it. */
void node_table_moved(struct node *node, const char *name);
/* What our predecessor knew by the one name has got the other, but it had no time to say so. */
void node_table_moved_before(struct node_table *t, uint64_t dir, const char *name, uint64_t to_dir,
                             const char *to_name);
/* Calls fn for what our predecessor may have owed the kernel: everything that it was told to keep
 * until it is told otherwise. */
void node_table_owed(struct node_table *t,
                     void (*fn)(uint64_t id, uint64_t dir, const char *name, void *arg), void *arg);
/* A number that the kernel was told by our predecessor, and where. */
struct node_told {
    const char *top;  /* in the root: the thing itself is in it, or below */
    uint64_t dir_ino; /* of the directory that it is in */
    const char *name;
    mode_t type; /* S_IFREG … */
    uint64_t ino;
};
/* Calls fn for all that the kernel knows below what is in the directory with the number `root_ino`
 * and keeps its name. Before there are requests. */
void node_table_told(struct node_table *t, uint64_t root_ino,
                     void (*fn)(const struct node_told *told, void *arg), void *arg);

/* Leaves a gap in the ids, so that those given from here on do not follow those before: what a
 * directory lists has ids in a row, from one gap to the next. */
void node_table_gap(struct node_table *t);
/* The node behind (step 1) or before (-1) `id` in its row whose ops have `flags`, referenced, with
 * its id; NULL if there is none near. */
struct node *node_table_neighbour(struct node_table *t, uint64_t id, int step, unsigned flags,
                                  uint64_t *ret_id);

/* How much there may be of what the kernel makes us keep; and how much there is. */
struct node_bounds {
    size_t nodes; /* that the kernel knows */
    size_t bytes; /* that nodes hold besides themselves: node_weigh() */
};

/* Before there are requests: says listener->crowded() from these bounds on. Zero: any number. */
void node_table_bound(struct node_table *t, const struct node_bounds *bounds);
struct node_bounds node_table_load(struct node_table *t);
/* The ids of all nodes that the kernel knows, or of those that hold bytes, growing; how many. The
 * array is yours. */
size_t node_table_known(struct node_table *t, bool heavy, uint64_t **ret);

/* For renames: gives an interned node another key (its old one is free afterwards). A node that
 * held the new key loses it and is found by no key any more. `len` 0: the node loses its key
 * (unlinked). */
void node_rekey(struct node *node, const void *key, size_t len);
/* The node that holds this key now, referenced, or NULL. */
struct node *node_find(struct node_table *t, const struct node_ops *ops, const void *key,
                       size_t len);

/* A change (node.h), of a node that the kernel knows or will know by a reply that is under way. */
struct node_notice {
    uint64_t id;
    const char *name;
    bool content;
    bool stays; /* the name may lead where it did: to be asked again, not dropped */
};

/* Who speaks with the kernel: */
struct node_listener {
    /* node_changes() was said; returns when the kernel knows. */
    void (*changed)(const struct node_notice *notices, size_t n, void *arg);
    /* There is more than node_table_bound() allows, and again when there is an eighth more. Inside
     * a request: must not wait. */
    void (*crowded)(void *arg);
    /* node_table_flush(). NULL: the kernel holds nothing back. */
    int (*flush)(bool (*mine)(struct node *node, void *arg), void *mine_arg, void *arg);
};

/* Before there are requests. Without a listener (NULL) nothing happens; when this returns, the one
 * before is in no call any more. */
void node_table_listen(struct node_table *t, const struct node_listener *listener, void *arg);

/* What processes have stored in shared mappings of files is in the hands of the kernel, until it
 * calls ops->write. When this returns 0, it has done so for all that was stored before in those
 * nodes for which `mine` is true, and the ops have returned. -ESHUTDOWN: the mount is ending; other
 * errors: nobody knows. Not inside a request, nor under a lock that an op needs, unless the op is
 * one of a NODE_SLOW node. */
int node_table_flush(struct node_table *t, bool (*mine)(struct node *node, void *arg), void *arg);

#endif
