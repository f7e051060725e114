/* .onward/trees/: any tree by its id, and nothing else. */
#include <stdlib.h>

#include "base/alloc.h"
#include "fixture.h"

static char *path_of(struct fixture *f, const char *object)
{
    _cleanup_free_ char *id = test_output(f->path, "git rev-parse %s", object);

    return xasprintf(".onward/trees/%s", id);
}

static void test_any_tree_is_there_by_its_id(void **state)
{
    struct fixture *f = *state;
    struct stat st = {0};

    change(f, "mkdir -p d/e && echo x >d/e/f && ln -s f d/e/l && git add -A && "
              "git write-tree >tree && git reset -q --hard");
    _cleanup_free_ char *id = test_output(f->path, "cat tree"), *xattr = NULL;
    _cleanup_free_ char *path = xasprintf(".onward/trees/%s/d/e", id);
    _cleanup_free_ char *names = sorted_listing(f, path);
    assert_string_equal(names, "f l@ ");
    _cleanup_free_ char *file = xasprintf("%s/f", path);
    _cleanup_(node_unrefp) struct node *node = walk(f, file);
    char content[8];
    assert_int_equal(node->ops->read(node, content, sizeof(content), 0), 2);
    assert_memory_equal(content, "x\n", 2);
    assert_int_equal(node->ops->getattr(node, &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, 946684800);
    assert_null(node->ops->write);
    assert_int_equal(node->ops->getxattr(node, "user.git.revision", &xattr), 0);
    assert_string_equal(xattr, id);
}

static void test_nothing_else_is_there_and_nothing_is_listed(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *revision = path_of(f, "main"), *tree = path_of(f, "main^{tree}");
    _cleanup_(node_unrefp) struct node *found = walk(f, tree);
    static const char *const wrong[] = {
        ".onward/trees/main",
        ".onward/trees/4b825dc",
        ".onward/trees/7777777777777777777777777777777777777777",
    };

    assert_non_null(found);
    assert_null(walk(f, revision));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_null(walk(f, wrong[i]));
    _cleanup_free_ char *names = sorted_listing(f, ".onward/trees");
    assert_string_equal(names, "");
    _cleanup_free_ char *menu = sorted_listing(f, ".onward");
    assert_null(strstr(menu, "trees"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_any_tree_is_there_by_its_id),
        TEST(test_nothing_else_is_there_and_nothing_is_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
