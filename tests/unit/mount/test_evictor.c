/* The evictor (mount/evictor.h): what the kernel has known longest is let go when there is too
 * much, below first, and a kernel that cannot be told is not asked twice. */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "mount/evictor.h"
#include "testlib.h"

#define NODES 1000
#define BYTES 10000

/* A kernel that forgets what it is told to, but for one node that is in use. */
struct kernel {
    struct node_table *table;
    struct evictor *evictor;
    uint64_t in_use, last;
    bool growing; /* so far, each id was smaller than the one before */
    int refuses;
    int told;
};

static int prune(const uint64_t *ids, size_t n, void *arg)
{
    struct kernel *k = arg;

    for (size_t i = 0; i < n && !k->refuses; i++) {
        k->growing |= k->last && ids[i] >= k->last;
        k->last = ids[i];
        if (ids[i] != k->in_use)
            node_table_forget(k->table, ids[i], 1);
    }
    __atomic_add_fetch(&k->told, 1, __ATOMIC_RELEASE);
    return k->refuses;
}

static void crowded(void *arg)
{
    evictor_wake(((struct kernel *)arg)->evictor);
}

static const struct node_listener listener = {.crowded = crowded};

static int thing_getattr(struct node *node, struct stat *st)
{
    return 0;
}

static const struct node_ops thing_ops = {.kind = "thing", .getattr = thing_getattr};

/* A node that only the kernel holds; its id. */
static uint64_t look_up(struct kernel *k, size_t weight)
{
    struct node *node = node_new(k->table, &thing_ops, sizeof(*node), 7);

    node_weigh(node, weight);
    uint64_t id = node_table_lookup(k->table, node);
    node_unref(node);
    return id;
}

static bool is_known(struct kernel *k, uint64_t id)
{
    struct node *node = node_table_get(k->table, id);

    node_unref(node);
    return node;
}

static int setup(void **state)
{
    static const struct node_bounds bounds = {.nodes = NODES, .bytes = BYTES};
    struct kernel *k = NEW(struct kernel);

    k->table = node_table_new();
    node_table_bound(k->table, &bounds);
    node_table_listen(k->table, &listener, k);
    assert_int_equal(evictor_new(k->table, &bounds, prune, k, &k->evictor), 0);
    *state = k;
    return 0;
}

static int teardown(void **state)
{
    struct kernel *k = *state;

    evictor_free(k->evictor);
    node_table_free(k->table);
    free(k);
    return 0;
}

static bool has_been_told(void *arg)
{
    return __atomic_load_n(&((struct kernel *)arg)->told, __ATOMIC_ACQUIRE) > 0;
}

static bool has_shrunk(void *arg)
{
    return node_table_load(((struct kernel *)arg)->table).nodes <= NODES / 4 * 3 + 1;
}

static void what_was_known_longest_goes_first(void **state)
{
    struct kernel *k = *state;
    uint64_t last;

    k->in_use = look_up(k, 0);
    uint64_t first = look_up(k, 0);
    for (int i = 2; i < NODES; i++)
        look_up(k, 0);
    assert_int_equal(k->told, 0);
    last = look_up(k, 0);
    assert_true(test_wait(has_shrunk, k, 10000));
    evictor_stop(k->evictor);
    assert_true(is_known(k, last));
    assert_true(is_known(k, k->in_use));
    assert_false(is_known(k, first));
    assert_false(k->growing);
    assert_int_equal(node_table_load(k->table).nodes, NODES / 4 * 3 + 1);
}

static bool has_few_bytes(void *arg)
{
    return node_table_load(((struct kernel *)arg)->table).bytes == 0;
}

static void only_what_holds_bytes_goes_when_they_are_too_many(void **state)
{
    struct kernel *k = *state;
    uint64_t light = look_up(k, 0), heavy = look_up(k, BYTES);

    assert_int_equal(node_table_load(k->table).bytes, BYTES);
    look_up(k, 1);
    assert_true(test_wait(has_few_bytes, k, 10000));
    evictor_stop(k->evictor);
    assert_true(is_known(k, light));
    assert_false(is_known(k, heavy));
}

static void a_kernel_that_cannot_be_told_is_asked_once(void **state)
{
    struct kernel *k = *state;

    k->refuses = -EINVAL;
    for (int i = 0; i <= NODES; i++)
        look_up(k, 0);
    assert_true(test_wait(has_been_told, k, 10000));
    for (int i = 0; i <= NODES; i++)
        look_up(k, 0);
    evictor_stop(k->evictor);
    assert_int_equal(k->told, 1);
    assert_int_equal(node_table_load(k->table).nodes, 2 * (NODES + 1));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_known_longest_goes_first),
        TEST(only_what_holds_bytes_goes_when_they_are_too_many),
        TEST(a_kernel_that_cannot_be_told_is_asked_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
