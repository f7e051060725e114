/* Menus: hidden names are found and not listed, absent ones neither; a node holds its context. */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "testlib.h"
#include "tree/link.h"
#include "tree/menu.h"
#include "tree/table.h"
#include "tree/text.h"

static int freed;
static bool there;

static bool is_there(void *ctx)
{
    return there;
}

static int open_link(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    *ret = link_node_new(dir->table, ino, xstrdup(ctx), 5);
    return 0;
}

static int64_t mtime(void *ctx)
{
    return 42;
}

static void free_ctx(void *ctx)
{
    freed++;
    free(ctx);
}

static const struct menu_item items[] = {
    {"always", S_IFLNK, false, NULL, open_link},
    {"hidden", S_IFLNK, true, NULL, open_link},
    {"sometimes", S_IFLNK, false, is_there, open_link},
};

static const struct menu menu = {"test", items, ARRAY_SIZE(items), 0555, mtime, free_ctx};

struct names {
    struct dir_sink sink;
    struct buf text;
    size_t room;
    uint64_t last;
};

static int add(struct dir_sink *sink, const char *name, mode_t type, uint64_t ino, uint64_t cookie,
               bool plus)
{
    struct names *n = container_of(sink, struct names, sink);

    if (!n->room)
        return 1;
    n->room--;
    n->last = cookie;
    buf_addf(&n->text, "%s ", name);
    return 0;
}

static char *list(struct node *dir, size_t at_a_time)
{
    struct names n = {.sink = {.add = add}};

    do {
        n.room = at_a_time;
        assert_int_equal(dir->ops->readdir(dir, n.last, &n.sink), 0);
    } while (n.room == 0);
    return buf_take(&n.text);
}

static void listing_and_lookup_agree(void **state)
{
    struct node_table *t = node_table_new();
    struct node *dir = menu_node_get(t, &menu, "k", 2, xstrdup("target"), NULL), *child;

    for (int round = 0; round < 2; round++) {
        there = round;
        for (size_t step = 1; step < 4; step++) {
            _cleanup_free_ char *names = list(dir, step);
            assert_string_equal(names, there ? "always sometimes " : "always ");
        }
        assert_int_equal(dir->ops->lookup(dir, "sometimes", &child), there ? 0 : -ENOENT);
        if (there)
            node_unref(child);
    }
    assert_int_equal(dir->ops->lookup(dir, "nothing", &child), -ENOENT);
    assert_int_equal(dir->ops->lookup(dir, "hidden", &child), 0);
    _cleanup_free_ char *target = NULL;
    assert_int_equal(child->ops->readlink(child, &target), 0);
    assert_string_equal(target, "target");
    node_unref(child);
    node_unref(dir);
    node_table_free(t);
}

static void a_context_has_one_owner(void **state)
{
    struct node_table *t = node_table_new();
    struct node *parent = menu_node_get(t, &menu, "p", 2, xstrdup("1"), NULL);

    freed = 0;
    struct node *a = menu_node_get(t, &menu, "k", 3, xstrdup("2"), parent);
    struct node *b = menu_node_get(t, &menu, "k", 3, xstrdup("3"), parent);
    assert_ptr_equal(a, b);
    assert_int_equal(freed, 1);
    assert_string_equal(menu_node_ctx(a), "2");
    node_unref(parent);
    node_unref(a);
    assert_int_equal(freed, 1);
    node_unref(b);
    assert_int_equal(freed, 3);
    node_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listing_and_lookup_agree),
        cmocka_unit_test(a_context_has_one_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
