/* Files whose text is made when they are read: once for each time that all of it is read, whole, of
 * the size that was said. */
#include "tree/later.h"

#include <errno.h>
#include <stdlib.h>

#include "testlib.h"
#include "tree/table.h"

/* What a node's text is made of, and how often it was. */
struct maker {
    const char *text;
    int result, made, freed;
};

static int make(void *ctx, struct buf *out)
{
    struct maker *m = ctx;

    m->made++;
    buf_adds(out, m->text);
    return m->result;
}

static void let_go(void *ctx)
{
    ((struct maker *)ctx)->freed++;
}

static struct node *get(struct node_table *t, struct maker *m, uint64_t size)
{
    struct later_config config = {
        .key = "key",
        .key_len = 3,
        .ino = 5,
        .size = size,
        .mtime = 5000000001,
        .make = make,
        .free = let_go,
        .ctx = m,
    };

    return later_node_get(t, &config);
}

static void looking_at_it_makes_nothing(void **state)
{
    struct node_table *t = node_table_new();
    struct maker m = {.text = "0123456789"};
    struct node *n = get(t, &m, 10);
    struct stat st = {0};
    char got[16];

    assert_int_equal(n->ops->getattr(n, &st), 0);
    assert_int_equal(st.st_size, 10);
    assert_int_equal(st.st_mtim.tv_nsec, 1);
    assert_int_equal(m.made, 0);
    assert_int_equal(n->ops->read(n, got, 4, 3), 4);
    assert_memory_equal(got, "3456", 4);
    assert_int_equal(n->ops->read(n, got, 16, 8), 2);
    assert_int_equal(n->ops->read(n, got, 16, 10), 0);
    assert_int_equal(m.made, 1);
    node_unref(n);
    assert_int_equal(m.freed, 1);
    node_table_free(t);
}

static void the_one_that_is_known_is_found(void **state)
{
    struct node_table *t = node_table_new();
    struct maker first = {.text = "first"}, second = {.text = "other"};

    assert_null(later_node_find(t, "key", 3));
    struct node *n = get(t, &first, 5), *again = get(t, &second, 5),
                *found = later_node_find(t, "key", 3);
    assert_ptr_equal(n, again);
    assert_ptr_equal(n, found);
    assert_int_equal(first.freed, 0);
    assert_int_equal(second.freed, 1);
    node_unref(n);
    node_unref(again);
    node_unref(found);
    assert_int_equal(first.freed, 1);
    assert_null(later_node_find(t, "key", 3));
    node_table_free(t);
}

static void what_fails_is_tried_again_and_a_lie_is_an_error(void **state)
{
    struct node_table *t = node_table_new();
    struct maker m = {.text = "0123456789", .result = -EAGAIN};
    struct node *n = get(t, &m, 10);
    char got[16];

    assert_int_equal(n->ops->read(n, got, 16, 0), -EAGAIN);
    m.result = 0;
    assert_int_equal(n->ops->read(n, got, 16, 0), 10);
    assert_memory_equal(got, m.text, 10);
    assert_int_equal(m.made, 2);
    node_unref(n);
    n = get(t, &m, 11);
    assert_int_equal(n->ops->read(n, got, 16, 0), -EIO);
    node_unref(n);
    node_table_free(t);
}

static void what_has_been_read_is_not_kept(void **state)
{
    struct node_table *t = node_table_new();
    struct maker m = {.text = "0123456789"};
    struct node *n = get(t, &m, 10);
    char got[16];

    for (int i = 1; i <= 2; i++) {
        assert_int_equal(n->ops->read(n, got, 4, 6), 4);
        assert_int_equal(n->ops->read(n, got, 6, 0), 6);
        assert_memory_equal(got, m.text, 6);
        assert_int_equal(m.made, i);
    }
    node_unref(n);
    node_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looking_at_it_makes_nothing),
        cmocka_unit_test(the_one_that_is_known_is_found),
        cmocka_unit_test(what_has_been_read_is_not_kept),
        cmocka_unit_test(what_fails_is_tried_again_and_a_lie_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
