#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/history.h"

/* A graph of 40 commits with merges; the clocks of some are far off. Commit N is the tag cN. */
#define GRAPH                                                                                      \
    "t=$(git write-tree); i=0; a= b=; while [ $i -lt 40 ]; do "                                    \
    "p=; [ -n \"$a\" ] && p=\"-p $a\"; [ $((i %% 5)) = 4 ] && p=\"$p -p $b\";"                     \
    "d=$((1700000000 + i * 60 - (i %% 7 == 3) * 90000000)); "                                      \
    "c=$(echo $i | GIT_COMMITTER_DATE=\"$d +0000\" git commit-tree $t $p); git tag c$i $c; "       \
    "if [ $((i %% 3)) = 0 ]; then b=$a; fi; if [ $((i %% 11)) = 10 ]; then a=$b; b=$c;"            \
    "else [ -z \"$b\" ] && b=$c; a=$c; fi; i=$((i + 1)); done"

static void test_ancestors_are_those_of_git(void **state)
{
    struct fixture *f = *state;
    struct oid ids[40];
    int yes = 0, no = 0;

    test_run(f->path, GRAPH);
    for (int i = 0; i < 40; i++)
        ids[i] = oid_from(f->path, "git rev-parse c%d", i);
    for (int i = 0; i < 40; i += 3) {
        _cleanup_free_ char *reached = test_output(f->path, "git rev-list c%d", i);
        for (int j = 0; j < 40; j++) {
            char hex[OID_HEX + 1];
            int want = strstr(reached, oid_hex(&ids[j], hex)) != NULL;
            assert_int_equal(history_is_ancestor(f->repo, &ids[j], &ids[i]), want);
            *(want ? &yes : &no) += 1;
        }
    }
    assert_true(yes > 100 && no > 100);
    ids[0].id[0] ^= 1;
    assert_int_equal(history_is_ancestor(f->repo, &ids[0], &ids[1]), -ENOENT);
    assert_int_equal(history_is_ancestor(f->repo, &ids[1], &ids[0]), -ENOENT);
}

static int add_line(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    char a[OID_HEX + 1], b[OID_HEX + 1];

    buf_addf(arg, "%s %s %lld\n", oid_hex(rev, a), oid_hex(tree, b), (long long)time);
    return 0;
}

static int stop_at_once(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    return 42;
}

static void test_first_parents_are_those_of_git(void **state)
{
    struct fixture *f = *state;
    _cleanup_(buf_done) struct buf ours = {0};

    test_run(f->path, GRAPH);
    struct oid tip = oid_from(f->path, "git rev-parse c39"), old, side;
    _cleanup_free_ char *theirs =
        test_output(f->path, "git log --first-parent --format='%%H %%T %%ct' c39");
    assert_int_equal(history_first_parents(f->repo, &tip, add_line, &ours), 0);
    ours.data[ours.len - 1] = 0;
    assert_string_equal(ours.data, theirs);
    assert_int_equal(history_first_parents(f->repo, &tip, stop_at_once, NULL), 42);

    old = oid_from(f->path, "git rev-parse c39~7");
    assert_int_equal(history_distance(f->repo, &tip, &old, 7), 7);
    assert_int_equal(history_distance(f->repo, &tip, &old, 6), -ENOENT);
    assert_int_equal(history_distance(f->repo, &tip, &tip, 0), 0);
    side = oid_from(f->path, "git rev-list --first-parent c39 >l;"
                             "git rev-list c39 | grep -vxFf l | head -n 1");
    assert_int_equal(history_distance(f->repo, &tip, &side, 100), -ENOENT);
}

static void test_a_shallow_clone_ends_where_it_ends(void **state)
{
    struct fixture *f = *state;
    _cleanup_(buf_done) struct buf lines = {0};

    for (int i = 0; i < 5; i++)
        free(test_commit(f->path, "file", (const char *[]){"a", "b", "c", "d", "e"}[i], "x"));
    test_run(f->dir, "mv work whole; git clone -q --depth 3 \"file://$PWD/whole\" work");
    fixture_reopen(f);
    struct oid tip = oid_from(f->path, "git rev-parse HEAD"),
               last = oid_from(f->path, "git rev-parse HEAD~2");
    assert_int_equal(history_first_parents(f->repo, &tip, add_line, &lines), 0);
    assert_int_equal(lines.len, 3 * (41 + 41 + 11));
    assert_int_equal(history_is_ancestor(f->repo, &last, &tip), 1);
    assert_int_equal(history_is_ancestor(f->repo, &tip, &last), 0);
    /* The same hole in a whole repository is damage. */
    test_run(f->path, "rm .git/shallow");
    assert_int_equal(history_first_parents(f->repo, &tip, add_line, &lines), -EIO);
    assert_int_equal(history_is_ancestor(f->repo, &tip, &last), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ancestors_are_those_of_git),
        TEST(test_first_parents_are_those_of_git),
        TEST(test_a_shallow_clone_ends_where_it_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
