/* The root: which names are there, and which of them the kernel may keep. */
#include <stdlib.h>

#include "fixture.h"

static void test_names_with_and_without_an_index(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *got = listing(f->root, 3);

    assert_string_equal(got, f->history
                                 ? "README fleet head@ revisions/ branches/ tags/ at/ commits/ "
                                   "history/ sites/ teams/ "
                                 : "README fleet head@ revisions/ branches/ tags/ at/ commits/ "
                                   "sites/ teams/ ");
    _cleanup_(node_unrefp) struct node *history = walk(f, "history");
    assert_int_equal(history != NULL, f->history != NULL);
}

static unsigned flags(struct fixture *f, const char *name)
{
    _cleanup_(node_unrefp) struct node *node = walk(f, name);

    assert_non_null(node);
    return node->ops->flags & (NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER);
}

static void test_what_the_kernel_may_keep(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"branches", "tags",  "at",   "commits",
                                        "history",  "sites", "teams"};

    assert_int_equal(f->root->ops->flags & NODE_ATTR_FOREVER, NODE_ATTR_FOREVER);
    assert_int_equal(flags(f, "head"), NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER);
    assert_int_equal(flags(f, "revisions"), NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(flags(f, names[i]), NODE_ENTRY_FOREVER);
    change(f, "git branch below/b && mkdir d && echo 1 >d/x && git add d && git commit -q -m d");
    static const char *const moving[] = {"branches/below", "branches/main", "history/a",
                                         "history/d",      "at/2026-05-05", ".onward"};
    for (size_t i = 0; i < ARRAY_SIZE(moving); i++)
        assert_int_equal(flags(f, moving[i]), 0);
    assert_int_equal(flags(f, "README") & NODE_ENTRY_FOREVER, 0);
}

struct told {
    uint64_t ids[8];
    int n;
};

static void on_changed(const struct node_notice *notices, size_t n, void *arg)
{
    struct told *told = arg;

    assert_int_equal(n, 1);
    assert_true(notices->content);
    assert_true(told->n < (int)ARRAY_SIZE(told->ids));
    told->ids[told->n++] = notices->id;
}

static const struct node_listener listener = {.changed = on_changed};

static void test_the_kernel_is_told_of_what_it_keeps(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};
    _cleanup_(node_unrefp) struct node *revisions = walk(f, "revisions"), *head = walk(f, "head");

    node_table_listen(f->table, &listener, &told);
    view_refs_changed(f->view);
    assert_int_equal(told.n, 0); /* it has not been told of them yet */
    node_table_set_root(f->table, f->root);
    uint64_t ids[] = {1, node_table_lookup(f->table, revisions), node_table_lookup(f->table, head)};
    view_refs_changed(f->view);
    assert_int_equal(told.n, ARRAY_SIZE(ids));
    assert_memory_equal(told.ids, ids, sizeof(ids));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names_with_and_without_an_index),
        TEST_WITHOUT(test_names_with_and_without_an_index),
        TEST(test_what_the_kernel_may_keep),
        TEST(test_the_kernel_is_told_of_what_it_keeps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
