/* Identity and lifetime of nodes (tree/node.h): one node for a key, ids never reused, references
 * exact. */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "testlib.h"
#include "tree/table.h"

static int freed;

struct thing {
    struct node node;
    int value;
};

static int thing_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFREG | 0444;
    return 0;
}

static void thing_free(struct node *node)
{
    __atomic_add_fetch(&freed, 1, __ATOMIC_RELAXED);
}

static const struct node_ops thing_ops = {
    .kind = "thing",
    .getattr = thing_getattr,
    .free = thing_free,
};

static void thing_init(struct node *node, const void *arg)
{
    ((struct thing *)node)->value = *(const int *)arg;
}

static struct node *thing(struct node_table *t, const char *key, int value)
{
    return node_intern(t, &thing_ops, sizeof(struct thing), key, strlen(key), 7, thing_init,
                       &value);
}

static void one_node_for_a_key(void **state)
{
    struct node_table *t = node_table_new();
    struct node *a = thing(t, "a", 1), *again = thing(t, "a", 2), *b = thing(t, "b", 3);

    freed = 0;
    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, b);
    assert_int_equal(((struct thing *)again)->value, 1);
    node_unref(a);
    assert_int_equal(freed, 0);
    node_unref(again);
    assert_int_equal(freed, 1);
    a = thing(t, "a", 4);
    assert_int_equal(((struct thing *)a)->value, 4);
    node_unref(a);
    node_unref(b);
    node_table_free(t);
    assert_int_equal(freed, 3);
}

static void the_kernel_holds_what_it_looked_up(void **state)
{
    struct node_table *t = node_table_new();
    struct node *a = thing(t, "a", 1);

    freed = 0;
    uint64_t id = node_table_lookup(t, a);
    assert_int_equal(node_table_lookup(t, a), id);
    node_unref(a);
    assert_int_equal(freed, 0);
    struct node *found = node_table_get(t, id);
    assert_ptr_equal(found, a);
    node_unref(found);
    node_table_forget(t, id, 1);
    assert_int_equal(freed, 0);
    node_table_forget(t, id, 1);
    assert_int_equal(freed, 1);
    assert_null(node_table_get(t, id));
    node_table_forget(t, id, 5);
    a = thing(t, "a", 1);
    assert_true(node_table_lookup(t, a) > id);
    node_unref(a);
    node_table_free(t);
    assert_int_equal(freed, 2);
}

static void child_init(struct node *node, const void *arg)
{
    node->parent = *(struct node *const *)arg;
}

static void a_child_holds_its_parent(void **state)
{
    struct node_table *t = node_table_new();
    struct node *parent = thing(t, "parent", 1);
    struct node *child =
        node_intern(t, &thing_ops, sizeof(struct thing), "child", 5, 8, child_init, &parent);

    freed = 0;
    node_unref(parent);
    assert_int_equal(freed, 0);
    node_unref(child);
    assert_int_equal(freed, 2);
    node_table_free(t);
}

static void keys_move(void **state)
{
    struct node_table *t = node_table_new();
    struct node *a = thing(t, "a", 1), *b = thing(t, "b", 2);

    node_rekey(a, "b", 1);
    struct node *found = node_find(t, &thing_ops, "b", 1);
    assert_ptr_equal(found, a);
    node_unref(found);
    assert_null(node_find(t, &thing_ops, "a", 1));
    node_rekey(a, "b", 1);
    node_rekey(a, NULL, 0);
    assert_null(node_find(t, &thing_ops, "b", 1));
    node_rekey(b, "c", 1);
    found = node_find(t, &thing_ops, "c", 1);
    assert_ptr_equal(found, b);
    node_unref(found);
    node_unref(a);
    node_unref(b);
    node_table_free(t);
}

/* The last one to let go of the bottom lets go of all above it. */
static void trees_may_be_deep(void **state)
{
    struct node_table *t = node_table_new();
    struct node *at = thing(t, "top", 1);
    const int depth = 200000; /* more than a stack holds */

    freed = 0;
    for (int i = 0; i < depth; i++) {
        struct node *child =
            node_intern(t, &thing_ops, sizeof(struct thing), &i, sizeof(i), i + 8, child_init, &at);
        node_unref(at);
        at = child;
    }
    assert_int_equal(freed, 0);
    node_unref(at);
    assert_int_equal(freed, depth + 1);
    node_table_free(t);
}

static void note_change(const struct node_notice *notices, size_t n, void *arg)
{
    assert_int_equal(n, 1);
    *(uint64_t *)arg = notices->id;
}

static const struct node_listener note_changes = {.changed = note_change};

static void changes_are_told_of_nodes_that_the_kernel_knows(void **state)
{
    struct node_table *t = node_table_new();
    struct node *a = thing(t, "a", 1);
    uint64_t told = 0;

    node_table_listen(t, &note_changes, &told);
    node_changed(a);
    assert_int_equal(told, 0);
    uint64_t id = node_table_lookup(t, a);
    node_changed(a);
    assert_int_equal(told, id);
    told = 0;
    node_table_listen(t, NULL, NULL);
    node_changed(a);
    node_table_listen(t, &note_changes, &told);
    node_table_forget(t, id, 1);
    node_changed(a);
    assert_int_equal(told, 0);
    node_unref(a);
    node_table_free(t);
}

static void ids_of_a_listing_are_in_a_row(void **state)
{
    struct node_table *t = node_table_new();
    struct node *nodes[4];
    uint64_t ids[4], id;

    for (int i = 0; i < 4; i++) {
        char key[] = {'a' + i};
        if (i == 3)
            node_table_gap(t);
        nodes[i] = node_intern(t, &thing_ops, sizeof(struct thing), key, 1, 7, thing_init, &i);
        ids[i] = node_table_lookup(t, nodes[i]);
        node_unref(nodes[i]);
    }
    struct node *n = node_table_neighbour(t, ids[0], 1, 0, &id);
    assert_ptr_equal(n, nodes[1]);
    assert_int_equal(id, ids[1]);
    node_unref(n);
    n = node_table_neighbour(t, ids[2], -1, 0, &id);
    assert_ptr_equal(n, nodes[1]);
    node_unref(n);
    assert_null(node_table_neighbour(t, ids[2], 1, 0, &id));
    assert_null(node_table_neighbour(t, ids[3], -1, 0, &id));
    assert_null(node_table_neighbour(t, ids[0], 1, NODE_PREFETCH, &id));
    node_table_free(t);
}

static void keys_lie_behind_the_struct(void **state)
{
    struct node_table *t = node_table_new();
    struct node *a = thing(t, "key", 5);

    assert_ptr_equal(a->key, (struct thing *)a + 1);
    assert_memory_equal(a->key, "key", 3);
    assert_int_equal(((struct thing *)a)->value, 5);
    node_unref(a);
    node_table_free(t);
}

#define MANY 5000

static void *look_up_and_forget(void *arg)
{
    struct node_table *t = arg;

    for (int round = 0; round < 4; round++)
        for (int i = 0; i < MANY; i++) {
            _cleanup_free_ char *key = xasprintf("k%d", i);
            struct node *n = thing(t, key, i);
            assert(((struct thing *)n)->value == i);
            uint64_t id = node_table_lookup(t, n);
            struct node *same = node_table_get(t, id);
            assert(same == n);
            node_unref(same);
            node_unref(n);
            node_table_forget(t, id, 1);
        }
    return NULL;
}

static void many_threads_leave_nothing(void **state)
{
    struct node_table *t = node_table_new();
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, look_up_and_forget, t);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_null(node_find(t, &thing_ops, "k1", 2));
    node_table_free(t);
}

static void inode_numbers_are_stable_and_apart(void **state)
{
    assert_true(node_ino(1, "a") == node_ino(1, "a"));
    assert_true(node_ino(1, "a") != node_ino(1, "b"));
    assert_true(node_ino(1, "a") != node_ino(2, "a"));
    assert_true(node_ino(1, "") > 1);
}

static void count_call(void *arg)
{
    ++*(int *)arg;
}

/* Nodes that cannot be given up are not asked for again with each lookup. */
static void crowds_are_told_when_they_form_and_when_they_grow(void **state)
{
    static const struct node_listener listener = {.crowded = count_call};
    struct node_table *t = node_table_new();
    uint64_t ids[100];
    int calls = 0;

    node_table_bound(t, &(struct node_bounds){.nodes = 80});
    node_table_listen(t, &listener, &calls);
    for (int i = 0; i < 100; i++) {
        char key[8] = {'k', i + 1};
        struct node *node = thing(t, key, i);
        ids[i] = node_table_lookup(t, node);
        node_unref(node);
        assert_int_equal(calls, i < 80 ? 0 : i < 91 ? 1 : 2);
    }
    for (int i = 20; i < 100; i++)
        node_table_forget(t, ids[i], 1);
    for (int i = 0; i < 61; i++) {
        char key[8] = {'l', i + 1};
        struct node *node = thing(t, key, i);
        node_table_lookup(t, node);
        node_unref(node);
    }
    assert_int_equal(calls, 3);
    node_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_node_for_a_key),
        cmocka_unit_test(the_kernel_holds_what_it_looked_up),
        cmocka_unit_test(a_child_holds_its_parent),
        cmocka_unit_test(keys_move),
        cmocka_unit_test(trees_may_be_deep),
        cmocka_unit_test(changes_are_told_of_nodes_that_the_kernel_knows),
        cmocka_unit_test(ids_of_a_listing_are_in_a_row),
        cmocka_unit_test(keys_lie_behind_the_struct),
        cmocka_unit_test(many_threads_leave_nothing),
        cmocka_unit_test(inode_numbers_are_stable_and_apart),
        cmocka_unit_test(crowds_are_told_when_they_form_and_when_they_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
