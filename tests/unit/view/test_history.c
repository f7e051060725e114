/* history/<path>/: the versions that `git log` gives, as links into the revisions. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fixture.h"

/* A history with everything that can happen to a path. */
static void make_history(struct fixture *f)
{
    change(f, "export GIT_COMMITTER_DATE=2026-01-02T00:30:00+0100;"
              "mkdir -p d/e && echo 1 >d/e/x && echo 1 >d/y && git add . && git commit -q -m 1;"
              "export GIT_COMMITTER_DATE=2026-02-03T04:05:06Z;"
              "echo 2 >d/e/x && git commit -q -a -m 2;"
              "git commit -q --allow-empty -m nothing");
    change(f, "export GIT_COMMITTER_DATE=2026-03-04T05:06:07Z;"
              "chmod +x d/y && git commit -q -a -m 3;"
              "git rm -q -r d && echo file >d && git add d && git commit -q -m 4;"
              "git rm -q d && mkdir d && ln -s a d/y && git add d && git commit -q -m 5");
    change(f, "git checkout -q -b side && echo 7 >d/z && git add . && git commit -q -m side;"
              "echo 8 >d/z && git commit -q -a -m side2; git checkout -q main;"
              "git merge -q --no-ff -m merge side");
}

/* The names of versions, one a line, as git tells them. */
static char *names_by_git(struct fixture *f, const char *path)
{
    return test_output(f->path,
                       "TZ=UTC git log --first-parent --reverse --abbrev=12 "
                       "--date=format-local:%%Y-%%m-%%d --format=%%cd-%%H main -- '%s' | "
                       "cut -c1-23 | awk '{ printf \"%%04d-%%s@ \", NR, $0 }'",
                       path);
}

static void assert_versions(struct fixture *f, const char *path, const char *children)
{
    _cleanup_free_ char *place = xasprintf("history/%s", path);
    _cleanup_(node_unrefp) struct node *dir = walk(f, place);
    _cleanup_free_ char *versions = names_by_git(f, path);

    assert_non_null(dir);
    _cleanup_free_ char *want = xasprintf("%s%s", children, versions);
    for (int most = 1; most <= 3; most++) {
        _cleanup_free_ char *got = listing(dir, most);
        assert_string_equal(got, want);
    }
}

static void test_every_change_is_a_version(void **state)
{
    struct fixture *f = *state;

    make_history(f);
    assert_versions(f, "a", "");
    assert_versions(f, "d", "e/ y/ z/ ");
    assert_versions(f, "d/e", "x/ ");
    assert_versions(f, "d/e/x", "");
    assert_versions(f, "d/y", "");
    assert_versions(f, "d/z", "");
    _cleanup_(node_unrefp) struct node *root = walk(f, "history");
    _cleanup_free_ char *all = listing(root, 1);
    assert_string_equal(all, "a/ d/ ");
    change(f, "echo more >d/z && git commit -q -a -m more");
    assert_versions(f, "d/z", "");
}

/* Each version of a path leads to what git has there. */
static void assert_leads(struct fixture *f, const char *path, const char *up)
{
    _cleanup_free_ char *place = xasprintf("history/%s", path);
    _cleanup_(node_unrefp) struct node *dir = walk(f, place);
    _cleanup_free_ char *all = listing(dir, 9);
    char *rest = all, *name;

    while ((name = strsep(&rest, " "))) {
        char *mark = strchr(name, '@');
        if (!mark)
            continue;
        *mark = 0;
        _cleanup_free_ char *link = xasprintf("%s/%s", place, name);
        _cleanup_free_ char *got = target(f, link);
        _cleanup_free_ char *hex = test_output(f->path, "git rev-parse %s", mark - 12);
        _cleanup_free_ char *want = xasprintf("%srevisions/%s/%s", up, hex, path);
        assert_string_equal(got, want);
        _cleanup_(node_unrefp) struct node *there = walk(f, want + strlen(up));
        int in_git = test_status(f->path, "git rev-parse '%s:%s'", hex, path);
        assert_int_equal(there != NULL, in_git == 0);
    }
}

static void test_versions_lead_to_their_revisions(void **state)
{
    struct fixture *f = *state;

    make_history(f);
    assert_leads(f, "a", "../../");
    assert_leads(f, "d", "../../");
    assert_leads(f, "d/y", "../../../");
    assert_leads(f, "d/e/x", "../../../../");
}

static void test_only_exact_names_are_found(void **state)
{
    struct fixture *f = *state;
    static const char *const changes[] = {
        "s/^0001/0002/",
        "s/^0001/1/",
        "s/^0001/00001/",
        "s/^0001/ 001/",
        "s/-2026/-2025/",
        "s/-[^-]*$/-zzzzzzzzzzzz/",
        "s/.$//",
        "s/$/0/",
        "s/^/x/",
        "s/-01-01/-01-02/",
        "s/-[^-]*$//",
        "s/0001-/0001--/",
        "y/abcdef/ABCDEF/;s/[0-9]$/A/",
    };

    _cleanup_free_ char *name = names_by_git(f, "a");
    *strchr(name, '@') = 0;
    _cleanup_free_ char *path = xasprintf("history/a/%s", name);
    _cleanup_free_ char *there = target(f, path);
    assert_string_not_equal(there, "(none)");
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        _cleanup_free_ char *other =
            test_output(NULL, "printf '%%s\\n' '%s' | sed '%s'", name, changes[i]);
        _cleanup_free_ char *wrong = xasprintf("history/a/%s", other);
        _cleanup_free_ char *got = target(f, wrong);
        assert_string_equal(got, "(none)");
    }
    /* The root has no versions, though it changed then. */
    _cleanup_free_ char *of_root = xasprintf("history/%s", name);
    _cleanup_free_ char *no_version = target(f, of_root);
    assert_string_equal(no_version, "(none)");
    /* Revisions that changed other paths are no versions of this one. */
    change(f, "echo b >b && git add b && git commit -q -m b");
    _cleanup_free_ char *of_b = names_by_git(f, "b");
    *strchr(of_b, '@') = 0;
    _cleanup_free_ char *foreign = xasprintf("history/a/%s", of_b);
    _cleanup_free_ char *got = target(f, foreign);
    assert_string_equal(got, "(none)");
    assert_null(walk(f, "history/nothing"));
}

static void test_a_name_wins_over_a_version(void **state)
{
    struct fixture *f = *state;

    change(f, "mkdir d && echo 1 >d/x && git add . && git commit -q -m d");
    _cleanup_free_ char *name = names_by_git(f, "d");
    *strchr(name, '@') = 0;
    change(f, "echo >'d/%s' && git add . && git commit -q -m name", name);
    _cleanup_(node_unrefp) struct node *dir = walk(f, "history/d");
    _cleanup_free_ char *got = listing(dir, 1);
    _cleanup_free_ char *versions = names_by_git(f, "d");
    _cleanup_free_ char *want = xasprintf("%s/ x/ %s", name, strchr(versions, ' ') + 1);
    assert_string_equal(got, want);
    _cleanup_free_ char *path = xasprintf("history/d/%s", name);
    _cleanup_(node_unrefp) struct node *child = walk(f, path);
    assert_non_null(child->ops->readdir);
}

static void test_names_of_any_bytes(void **state)
{
    struct fixture *f = *state;

    change(f, "mkdir 'new\nline' && echo >'new\nline/\xff\x01' && git add . && git commit -q -m x");
    _cleanup_free_ char *all = sorted_listing(f, "history");
    assert_string_equal(all, "a/ new\nline/ ");
    assert_leads(f, "new\nline/\xff\x01", "../../../");
}

/* The refs are known, the index has not been told: nobody gets an older list. */
static void test_an_index_that_is_behind_is_waited_for(void **state)
{
    struct fixture *f = *state;
    _cleanup_(node_unrefp) struct node *dir = walk(f, "history/a");
    _cleanup_(diag_done) struct diag why = {0};
    struct node *child = NULL;

    test_run(f->path, "echo 2 >a && git commit -q -a -m 2");
    assert_int_equal(mainline_refresh(f->mainline, &why), 0);
    int64_t begin = clock_mono();
    assert_int_equal(dir->ops->lookup(dir, "x", &child), -EAGAIN);
    assert_true(clock_mono() - begin >= 1900 * NS_PER_MS);
    change(f, "true");
    assert_int_equal(dir->ops->lookup(dir, "x", &child), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_change_is_a_version),  TEST(test_versions_lead_to_their_revisions),
        TEST(test_only_exact_names_are_found), TEST(test_a_name_wins_over_a_version),
        TEST(test_names_of_any_bytes),         TEST(test_an_index_that_is_behind_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
