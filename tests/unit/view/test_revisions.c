/* revisions/: what is listed follows the mainline, what is found is anything that names a revision.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "fixture.h"

/* The listing against `git rev-list`, in replies of two entries. */
static void assert_lists_the_mainline(struct fixture *f)
{
    _cleanup_(node_unrefp) struct node *dir = walk(f, "revisions");
    _cleanup_free_ char *got = listing(dir, 2);
    _cleanup_free_ char *expected = test_output(
        f->path, "git rev-list --reverse --first-parent main | sed 's|$|/|' | tr '\\n' ' '");

    assert_string_equal(got, expected);
}

static void test_the_list_follows_the_mainline(void **state)
{
    struct fixture *f = *state;

    assert_lists_the_mainline(f);
    change(f, "for i in 1 2 3; do git commit -q --allow-empty -m $i; done");
    assert_lists_the_mainline(f);
    change(f, "git checkout -q -b side && git commit -q --allow-empty -m side && "
              "git checkout -q main && git commit -q --allow-empty -m 4 && "
              "git merge -q --no-ff -m merge side && git commit -q --allow-empty -m 5");
    assert_lists_the_mainline(f);
}

static void test_a_rewritten_mainline_is_listed_as_it_is_now(void **state)
{
    struct fixture *f = *state;

    change(f, "for i in 1 2 3; do git commit -q --allow-empty -m $i; done");
    assert_lists_the_mainline(f);
    change(f, "git reset -q --hard main~2");
    assert_lists_the_mainline(f);
    change(f, "git commit -q --allow-empty -m other");
    assert_lists_the_mainline(f);
    change(f, "git checkout -q --orphan new && git commit -q --allow-empty -m root && "
              "git branch -q -f main new");
    assert_lists_the_mainline(f);
}

static void test_a_reader_in_the_middle_sees_new_ones_at_the_end(void **state)
{
    struct fixture *f = *state;
    _cleanup_(node_unrefp) struct node *dir = walk(f, "revisions");
    _cleanup_free_ char *before = listing(dir, 9);

    change(f, "git commit -q --allow-empty -m more");
    _cleanup_free_ char *after = listing(dir, 9);
    assert_int_equal(strncmp(after, before, strlen(before)), 0);
    assert_true(strlen(after) > strlen(before));
}

static void assert_resolves(struct fixture *f, const char *name, const char *rev)
{
    _cleanup_free_ char *path = xasprintf("revisions/%s", name);
    _cleanup_free_ char *got = target(f, path);
    _cleanup_free_ char *hex = test_output(f->path, "git rev-parse '%s^{commit}'", rev);

    assert_string_equal(got, hex);
}

static void test_all_that_names_a_revision_is_found(void **state)
{
    struct fixture *f = *state;

    change(f, "git commit -q --allow-empty -m two && git tag -a -m tag v1 main~1 && git branch b");
    assert_resolves(f, "v1", "v1");
    assert_resolves(f, "b", "main");
    assert_resolves(f, "HEAD~1", "main~1");
    _cleanup_free_ char *tag = test_output(f->path, "git rev-parse v1");
    assert_resolves(f, tag, "v1");
    _cleanup_free_ char *blob = test_output(f->path, "git rev-parse main:a");
    _cleanup_free_ char *path = xasprintf("revisions/%s", blob);
    _cleanup_free_ char *nothing = target(f, path);
    assert_string_equal(nothing, "(none)");
}

/* A committer may say any time; what is shown must stay a time. */
static void test_times_out_of_range_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct stat st = {0};

    change(f, "GIT_COMMITTER_DATE='@90000000000 +0000' git commit -q --allow-empty -m later");
    _cleanup_(node_unrefp) struct node *link = walk(f, "revisions/main");
    assert_int_equal(link->ops->getattr(link, &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, INT64_MAX / NS_PER_SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_list_follows_the_mainline),
        TEST_WITHOUT(test_the_list_follows_the_mainline),
        TEST(test_a_rewritten_mainline_is_listed_as_it_is_now),
        TEST_WITHOUT(test_a_rewritten_mainline_is_listed_as_it_is_now),
        TEST(test_a_reader_in_the_middle_sees_new_ones_at_the_end),
        TEST_WITHOUT(test_a_reader_in_the_middle_sees_new_ones_at_the_end),
        TEST(test_all_that_names_a_revision_is_found),
        TEST(test_times_out_of_range_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
