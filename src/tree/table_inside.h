/* What the two halves of the node table share: table.c, which gives ids, and succession.c, which
 * leaves them to a successor and finds those of a predecessor (legacy.h). Nobody else includes
 * this. All of it with the table's lock held. */
#ifndef ONWARD_TREE_TABLE_INSIDE_H
#define ONWARD_TREE_TABLE_INSIDE_H

#include <pthread.h>

#include "tree/table.h"

/* Two chained hash tables over the same nodes, both doubled when full. One lock guards both, all
 * counts and all keys: every operation is a few dozen instructions. */
struct chains {
    struct node **slot;
    size_t n, nslots; /* nslots: a power of two */
};

/* A second id of a node: our predecessor gave it, and we had given another one already. */
struct alias {
    struct alias *next;
    struct node *node;
    uint64_t id, lookups, will;
};

struct node_table {
    pthread_mutex_t lock;
    struct chains by_key, by_id;
    struct alias *aliases; /* few, if any */
    struct legacy *legacy; /* NULL: nobody comes after us, nor was there anybody before */
    size_t unseen;         /* known to the kernel by our predecessor's word, and not yet to us */
    uint64_t last_id;
    size_t weight;              /* of all nodes */
    struct node_bounds bounds;  /* zero: none */
    struct node_bounds next;    /* crowded() is said again when there is more than this */
    int64_t *live;              /* METRIC_NODES */
    pthread_rwlock_t listening; /* guards the listener; held for reading while it is called */
    const struct node_listener *listener;
    void *listener_arg;
};

/* table.c */

/* By any of its ids; NULL: the kernel has been told of none, by us. */
struct node *table_find_any(struct node_table *t, uint64_t id);
/* Gives a node that has none an id, and the reference that belongs to it. */
void table_give_id(struct node_table *t, struct node *node, uint64_t id);

static inline uint64_t table_less(uint64_t lookups, uint64_t n)
{
    return lookups - (n < lookups ? n : lookups);
}

/* succession.c */

/* By a second id. */
struct node *table_find_alias(struct node_table *t, uint64_t id);
/* The id that our predecessor gave to what is at that place, with its lookups, if the node is that;
 * 0: it is new. */
uint64_t table_inherit_id(struct node_table *t, struct node *node, const struct node_place *place);
/* Notes for a successor what has got an id; how often the kernel has been told of it; that no name
 * leads to it any more. */
void table_write_will(struct node_table *t, struct node *node, const struct node_place *place);
void table_note_lookups(struct node_table *t, uint64_t will, uint64_t lookups);
void table_note_gone(struct node_table *t, struct node *node);
/* Of a node that we have not seen yet, or under an id that is not its first; the node whose
 * reference is to be given back, if any. */
struct node *table_forget_inherited(struct node_table *t, uint64_t id, uint64_t n);
/* Adds the ids of what is unseen to `ids`; how many. */
size_t table_add_unseen(struct node_table *t, uint64_t *ids);
/* Makes the legacy smaller if it is worth while. */
void table_tidy_legacy(struct node_table *t);

#endif
