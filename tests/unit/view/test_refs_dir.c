/* branches/ and tags/: names nest, local and remote branches are joined, and what is listed is what
 * is found. */
#include <stdlib.h>

#include "fixture.h"

static void assert_target(struct fixture *f, const char *path, const char *up, const char *rev)
{
    _cleanup_free_ char *got = target(f, path);
    struct oid oid = oid_from(f, rev);
    _cleanup_free_ char *expected = view_target(up, &oid, NULL);

    assert_string_equal(got, expected);
}

static void assert_nothing(struct fixture *f, const char *path)
{
    _cleanup_(node_unrefp) struct node *node = walk(f, path);

    assert_null(node);
}

static void assert_listing(struct fixture *f, const char *path, const char *expected)
{
    _cleanup_free_ char *got = sorted_listing(f, path);

    assert_string_equal(got, expected);
}

static void test_names_with_slashes_nest(void **state)
{
    struct fixture *f = *state;

    change(f, "git branch feature/x/deep && git branch feature/y && git branch feat");
    assert_listing(f, "branches", "feat@ feature/ main@ ");
    assert_listing(f, "branches/feature", "x/ y@ ");
    assert_target(f, "branches/main", "../", "main");
    assert_target(f, "branches/feature/x/deep", "../../../", "main");
    assert_nothing(f, "branches/fea");
    assert_nothing(f, "branches/feature/x/dee");
    assert_nothing(f, "branches/refs");
    change(f, "git branch -D feature/x/deep");
    assert_nothing(f, "branches/feature/x");
}

static void test_local_and_remote_branches_are_joined(void **state)
{
    struct fixture *f = *state;

    change(
        f,
        "git commit -q --allow-empty -m two && git update-ref refs/remotes/origin/main main~1 && "
        "git update-ref refs/remotes/origin/far/away main~1 && "
        "git update-ref refs/remotes/up/main main~1 && "
        "git branch origin/near && git branch up");
    /* The local branch `up` hides the remote of that name. */
    assert_listing(f, "branches", "main@ origin/ up@ ");
    assert_listing(f, "branches/origin", "far/ main@ near@ ");
    assert_target(f, "branches/up", "../", "main");
    assert_target(f, "branches/origin/main", "../../", "main~1");
    assert_target(f, "branches/origin/near", "../../", "main");
    change(f, "git branch origin/main");
    assert_target(f, "branches/origin/main", "../../", "main");
    assert_listing(f, "branches/origin", "far/ main@ near@ ");
}

static void test_tags_are_peeled_and_must_name_a_revision(void **state)
{
    struct fixture *f = *state;

    change(f, "git tag -a -m tag v1 && git tag blob $(git rev-parse main:a) && "
              "git tag only/blobs $(git rev-parse main:a)");
    assert_listing(f, "tags", "v1@ ");
    assert_target(f, "tags/v1", "../", "main");
    assert_nothing(f, "tags/blob");
    assert_nothing(f, "tags/only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names_with_slashes_nest),
        TEST(test_local_and_remote_branches_are_joined),
        TEST(test_tags_are_peeled_and_must_name_a_revision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
