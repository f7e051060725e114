#include "tree/table.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/metric.h"
#include "tree/legacy.h"
#include "tree/table_inside.h"

static uint64_t key_hash(const struct node_ops *ops, const void *key, size_t len)
{
    return hash_bytes(key, len, (uintptr_t)ops);
}

static uint64_t id_hash(uint64_t id)
{
    return id * 0x9e3779b97f4a7c15u >> 20;
}

static struct node **key_slot(struct node_table *t, uint64_t hash)
{
    return &t->by_key.slot[hash & (t->by_key.nslots - 1)];
}

static struct node **id_slot(struct node_table *t, uint64_t id)
{
    return &t->by_id.slot[id_hash(id) & (t->by_id.nslots - 1)];
}

static void key_link(struct node_table *t, struct node *n)
{
    struct node **slot = key_slot(t, key_hash(n->ops, n->key, n->key_len));

    n->next_by_key = *slot;
    *slot = n;
}

static void id_link(struct node_table *t, struct node *n)
{
    struct node **slot = id_slot(t, n->id);

    n->next_by_id = *slot;
    *slot = n;
}

static void key_unlink(struct node_table *t, struct node *n)
{
    struct node **at = key_slot(t, key_hash(n->ops, n->key, n->key_len));

    while (*at != n)
        at = &(*at)->next_by_key;
    *at = n->next_by_key;
    t->by_key.n--;
}

static void id_unlink(struct node_table *t, struct node *n)
{
    struct node **at = id_slot(t, n->id);

    while (*at != n)
        at = &(*at)->next_by_id;
    *at = n->next_by_id;
    t->by_id.n--;
}

static void chains_grow(struct node_table *t, struct chains *c, bool keys)
{
    if (++c->n <= c->nslots)
        return;
    struct node **old = c->slot;
    size_t n = c->nslots;
    c->nslots = 2 * n;
    c->slot = xcalloc(c->nslots, sizeof(*c->slot));
    for (size_t i = 0; i < n; i++)
        for (struct node *node = old[i], *next; node; node = next) {
            next = keys ? node->next_by_key : node->next_by_id;
            (keys ? key_link : id_link)(t, node);
        }
    free(old);
}

static struct node *find(struct node_table *t, const struct node_ops *ops, const void *key,
                         size_t len)
{
    struct node *n = *key_slot(t, key_hash(ops, key, len));

    while (n && (n->ops != ops || n->key_len != len || memcmp(n->key, key, len)))
        n = n->next_by_key;
    return n;
}

static void link_key(struct node *n)
{
    if (!n->key_len)
        return;
    chains_grow(n->table, &n->table->by_key, true);
    key_link(n->table, n);
}

static void drop_key(struct node *n)
{
    if (n->key_len)
        key_unlink(n->table, n);
    if (n->key_apart)
        free(n->key);
    n->key = NULL;
    n->key_len = 0;
    n->key_apart = false;
}

static void set_key(struct node *n, const void *key, size_t len)
{
    n->key = len ? xmemdup(key, len) : NULL;
    n->key_len = len;
    n->key_apart = len > 0;
    link_key(n);
}

struct node_table *node_table_new(void)
{
    struct node_table *t = NEW(struct node_table);

    pthread_mutex_init(&t->lock, NULL);
    pthread_rwlock_init(&t->listening, NULL);
    t->by_key = (struct chains){xcalloc(256, sizeof(struct node *)), 0, 256};
    t->by_id = (struct chains){xcalloc(256, sizeof(struct node *)), 0, 256};
    t->last_id = 1;
    t->live = metric_counter(METRIC_NODES, NULL);
    return t;
}

void node_table_free(struct node_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->by_id.nslots; i++)
        while (t->by_id.slot[i]) {
            struct node *n = t->by_id.slot[i];
            assert(n->lookups > 0);
            node_table_forget(t, n->id, n->lookups);
        }
    while (t->aliases)
        node_table_forget(t, t->aliases->id, t->aliases->lookups);
    assert(t->by_key.n == 0);
    free(t->by_key.slot);
    free(t->by_id.slot);
    pthread_mutex_destroy(&t->lock);
    pthread_rwlock_destroy(&t->listening);
    free(t);
}

/* A node with a copy of its key behind the implementation's struct. */
static struct node *new_node(struct node_table *table, const struct node_ops *ops, size_t size,
                             const void *key, size_t len)
{
    struct node *n = xcalloc(1, size + len);

    assert(ops->getattr);
    *n = (struct node){.ops = ops, .table = table, .refs = 1, .key_len = len};
    if (len)
        n->key = memcpy((char *)n + size, key, len);
    return n;
}

void *node_new(struct node_table *table, const struct node_ops *ops, size_t size, uint64_t ino)
{
    struct node *n = new_node(table, ops, size, NULL, 0);

    n->ino = ino;
    return n;
}

void *node_intern(struct node_table *table, const struct node_ops *ops, size_t size,
                  const void *key, size_t len, uint64_t ino,
                  void (*init)(struct node *node, const void *arg), const void *arg)
{
    pthread_mutex_lock(&table->lock);
    struct node *n = find(table, ops, key, len);
    if (n) {
        n->refs++;
    } else {
        n = new_node(table, ops, size, key, len);
        n->ino = ino;
        link_key(n);
        init(n, arg);
        if (n->parent)
            n->parent->refs++;
    }
    pthread_mutex_unlock(&table->lock);
    return n;
}

struct node *node_find(struct node_table *t, const struct node_ops *ops, const void *key,
                       size_t len)
{
    pthread_mutex_lock(&t->lock);
    struct node *n = find(t, ops, key, len);
    if (n)
        n->refs++;
    pthread_mutex_unlock(&t->lock);
    return n;
}

void node_rekey(struct node *node, const void *key, size_t len)
{
    struct node_table *t = node->table;

    pthread_mutex_lock(&t->lock);
    struct node *there = len ? find(t, node->ops, key, len) : NULL;
    if (there != node || !len) {
        if (there)
            drop_key(there);
        drop_key(node);
        set_key(node, key, len);
    }
    if (!len)
        table_note_gone(t, node);
    pthread_mutex_unlock(&t->lock);
}

struct node *node_ref(struct node *node)
{
    pthread_mutex_lock(&node->table->lock);
    node->refs++;
    pthread_mutex_unlock(&node->table->lock);
    return node;
}

struct node *node_ref_living(struct node *node)
{
    pthread_mutex_lock(&node->table->lock);
    bool living = node->refs > 0;
    node->refs += living;
    pthread_mutex_unlock(&node->table->lock);
    return living ? node : NULL;
}

/* Takes one reference; true if that was the last and the node is nobody's any more. */
static bool drop_ref(struct node *node)
{
    struct node_table *t = node->table;

    pthread_mutex_lock(&t->lock);
    assert(node->refs > 0);
    bool last = --node->refs == 0;
    if (last) {
        t->weight -= node->weight;
        assert(!node->lookups); /* they hold a reference: somebody has given back another's */
        drop_key(node);
    }
    pthread_mutex_unlock(&t->lock);
    return last;
}

/* The last child of a directory takes it along, and so on upwards: trees may be thousands deep. */
void node_unref(struct node *node)
{
    while (node && drop_ref(node)) {
        struct node *parent = node->parent;
        if (node->ops->free)
            node->ops->free(node);
        free(node);
        node = parent;
    }
}

void node_table_listen(struct node_table *t, const struct node_listener *listener, void *arg)
{
    pthread_rwlock_wrlock(&t->listening);
    t->listener = listener;
    t->listener_arg = arg;
    pthread_rwlock_unlock(&t->listening);
}

void node_changed(struct node *node)
{
    node_changes(node->table, &(struct node_change){.node = node, .content = true}, 1);
}

void node_changes(struct node_table *t, const struct node_change *changes, size_t n)
{
    _cleanup_free_ struct node_notice *notices = xcalloc(n, sizeof(*notices));
    size_t known = 0;

    pthread_rwlock_rdlock(&t->listening);
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        const struct node_change *c = &changes[i];
        if (c->node->id)
            notices[known++] = (struct node_notice){c->node->id, c->name, c->content};
    }
    pthread_mutex_unlock(&t->lock);
    if (known && t->listener)
        t->listener->changed(notices, known, t->listener_arg);
    pthread_rwlock_unlock(&t->listening);
}

int node_table_flush(struct node_table *t, bool (*mine)(struct node *node, void *arg), void *arg)
{
    int r = 0;

    pthread_rwlock_rdlock(&t->listening);
    if (t->listener && t->listener->flush)
        r = t->listener->flush(mine, arg, t->listener_arg);
    pthread_rwlock_unlock(&t->listening);
    return r;
}

uint64_t node_ino(uint64_t parent, const char *name)
{
    uint64_t ino = hash_bytes(name, strlen(name), parent);

    return ino > 1 ? ino : ino + 2;
}

void node_table_set_root(struct node_table *t, struct node *root)
{
    pthread_mutex_lock(&t->lock);
    root->refs++;
    root->id = 1;
    root->lookups = 1;
    metric_bump(t->live, 1);
    chains_grow(t, &t->by_id, false);
    id_link(t, root);
    pthread_mutex_unlock(&t->lock);
}

void node_table_bound(struct node_table *t, const struct node_bounds *bounds)
{
    t->bounds = t->next = *bounds;
}

struct node_bounds node_table_load(struct node_table *t)
{
    pthread_mutex_lock(&t->lock);
    struct node_bounds load = {t->by_id.n + t->unseen, t->weight};
    pthread_mutex_unlock(&t->lock);
    return load;
}

void node_weigh(struct node *node, size_t bytes)
{
    struct node_table *t = node->table;

    pthread_mutex_lock(&t->lock);
    t->weight += bytes - node->weight;
    node->weight = bytes;
    pthread_mutex_unlock(&t->lock);
}

/* Has what there is grown beyond `next`? While it does not shrink to the bound, as all of it is in
 * use, it must grow by an eighth of that to be worth another look. */
static bool has_outgrown(size_t load, size_t bound, size_t *next)
{
    size_t then = load > bound ? load + bound / 8 : bound;

    if (!bound || load <= *next) {
        *next = then < *next ? then : *next;
        return false;
    }
    *next = then;
    return true;
}

/* Called with the lock held. */
static bool is_crowded(struct node_table *t)
{
    bool nodes = has_outgrown(t->by_id.n + t->unseen, t->bounds.nodes, &t->next.nodes);
    bool bytes = has_outgrown(t->weight, t->bounds.bytes, &t->next.bytes);

    return nodes || bytes;
}

static void say_crowded(struct node_table *t)
{
    pthread_rwlock_rdlock(&t->listening);
    if (t->listener && t->listener->crowded)
        t->listener->crowded(t->listener_arg);
    pthread_rwlock_unlock(&t->listening);
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

size_t node_table_known(struct node_table *t, bool heavy, uint64_t **ret)
{
    size_t n = 0;

    pthread_mutex_lock(&t->lock);
    uint64_t *ids = xcalloc(t->by_id.n + t->unseen + 1, sizeof(*ids));
    for (size_t i = 0; i < t->by_id.nslots; i++)
        for (struct node *node = t->by_id.slot[i]; node; node = node->next_by_id)
            if (!heavy || node->weight)
                ids[n++] = node->id;
    if (!heavy)
        n += table_add_unseen(t, ids + n);
    pthread_mutex_unlock(&t->lock);
    qsort(ids, n, sizeof(*ids), compare_ids);
    *ret = ids;
    return n;
}

static uint64_t next_id(struct node_table *t)
{
    t->last_id++;
    if (t->legacy)
        legacy_set_last_id(t->legacy, t->last_id);
    return t->last_id;
}

static struct node *find_id(struct node_table *t, uint64_t id)
{
    struct node *n = *id_slot(t, id);

    while (n && n->id != id)
        n = n->next_by_id;
    return n;
}

struct node *table_find_any(struct node_table *t, uint64_t id)
{
    struct node *n = find_id(t, id);

    return n ? n : table_find_alias(t, id);
}

struct node *node_table_get(struct node_table *t, uint64_t id)
{
    pthread_mutex_lock(&t->lock);
    struct node *n = table_find_any(t, id);
    if (n)
        n->refs++;
    pthread_mutex_unlock(&t->lock);
    return n;
}

void table_give_id(struct node_table *t, struct node *node, uint64_t id)
{
    node->refs++;
    node->id = id;
    chains_grow(t, &t->by_id, false);
    id_link(t, node);
    metric_bump(t->live, 1);
}

uint64_t node_table_lookup_at(struct node_table *t, struct node *node,
                              const struct node_place *place)
{
    pthread_mutex_lock(&t->lock);
    if (!node->lookups) {
        uint64_t id = t->legacy && place ? table_inherit_id(t, node, place) : 0;
        table_give_id(t, node, id ? id : next_id(t));
        if (t->legacy && place && !id)
            table_write_will(t, node, place);
    }
    table_note_lookups(t, node->will, ++node->lookups);
    uint64_t id = node->id;
    bool crowded = is_crowded(t);
    pthread_mutex_unlock(&t->lock);
    if (crowded)
        say_crowded(t);
    return id;
}

uint64_t node_table_lookup(struct node_table *t, struct node *node)
{
    return node_table_lookup_at(t, node, NULL);
}

/* True: it was the last one. */
static bool forget_own(struct node_table *t, struct node *node, uint64_t n)
{
    node->lookups = table_less(node->lookups, n);
    table_note_lookups(t, node->will, node->lookups);
    if (node->lookups)
        return false;
    id_unlink(t, node);
    node->id = node->will = 0;
    metric_bump(t->live, -1);
    return true;
}

void node_table_forget(struct node_table *t, uint64_t id, uint64_t n)
{
    pthread_mutex_lock(&t->lock);
    struct node *node = find_id(t, id);
    if (node && !forget_own(t, node, n))
        node = NULL;
    else if (!node)
        node = table_forget_inherited(t, id, n);
    table_tidy_legacy(t);
    pthread_mutex_unlock(&t->lock);
    node_unref(node);
}

void node_table_gap(struct node_table *t)
{
    pthread_mutex_lock(&t->lock);
    next_id(t);
    pthread_mutex_unlock(&t->lock);
}

#define NEAR 64 /* nodes without the flags that are passed over */

struct node *node_table_neighbour(struct node_table *t, uint64_t id, int step, unsigned flags,
                                  uint64_t *ret_id)
{
    struct node *n = NULL;

    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < NEAR; i++) {
        id += step;
        n = find_id(t, id);
        if (!n || (n->ops->flags & flags) == flags)
            break;
        n = NULL;
    }
    if (n) {
        n->refs++;
        *ret_id = id;
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}
