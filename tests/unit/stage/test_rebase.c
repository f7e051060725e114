/* A workspace onto head: what the new upper holds, and what a crash in between leaves. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fixture.h"

static int setup(void **state)
{
    *state = fixture_new();
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static int rebase(struct fixture *f)
{
    _cleanup_(node_unrefp) struct node *n = fx_get(f, "ws/.onward/rebase");
    ssize_t r = n->ops->write(n, &me, "x\n", 2, 0);

    return r < 0 ? r : 0;
}

/* A workspace with changes of every kind, on a base that others have left behind. Their head. */
static char *open_behind(struct fixture *f)
{
    free(fixture_push(f,
                      "mkdir -p app old && printf 'a: 1\\nb: 2\\nc: 3\\nd: 4\\ne: 5\\n' > app/conf"
                      " && echo hello > greeting && echo x > old/x && echo y > old/y"));
    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    fx_put(f, "ws/app/conf", "a: ours\nb: 2\nc: 3\nd: 4\ne: 5\n");
    fx_put(f, "ws/greeting", "hi\n");
    assert_int_equal(fx_rename(f, "ws/old", "ws/new", 0), 0);
    fx_put(f, "ws/new/x", "xx\n");
    assert_int_equal(fx_symlink(f, "ws/link", "greeting"), 0);
    char *head = fixture_push(f, "printf 'a: 1\\nb: 2\\nc: 3\\nd: 4\\ne: theirs\\n' > app/conf && "
                                 "echo more > more");
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    return head;
}

static void assert_rebased(struct fixture *f, const char *head)
{
    _cleanup_free_ char *names = fx_list(f, "ws");

    assert_string_equal(names, "app/\ngreeting\nlink@\nmore\nnew/\n");
    fx_assert_content(f, "ws/app/conf", "a: ours\nb: 2\nc: 3\nd: 4\ne: theirs\n");
    fx_assert_content(f, "ws/new/x", "xx\n");
    fx_assert_content(f, "ws/new/y", "y\n");
    fx_assert_content(f, "ws/.onward/changes",
                      "M app/conf\nM greeting\nA link\nA new/x\nA new/y\nD old/x\nD old/y\n");
    assert_int_equal(test_status(f->dir, "grep -q %s state/workspaces/ws/state", head), 0);
    assert_int_equal(test_status(f->dir, "test -e state/workspaces/ws/upper.1"), 1);
}

static void what_was_staged_is_the_same_file(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *head = open_behind(f);
    _cleanup_free_ char *before =
        test_output(f->dir, "stat -c '%%i %%y' state/workspaces/ws/upper.1/greeting");
    struct stat was, is;

    assert_int_equal(fx_chmod(f, "ws/greeting", 0600), 0);
    struct node *held = fx_get(f, "ws/greeting");
    node_stat(held, &was);
    int r = rebase(f);
    node_stat(held, &is);
    node_unref(held);
    assert_int_equal(r, 0);
    assert_rebased(f, head);
    _cleanup_free_ char *after =
        test_output(f->dir, "stat -c '%%i %%y' state/workspaces/ws/upper.2/greeting");
    assert_string_equal(after, before);
    assert_int_equal(is.st_ino, was.st_ino);
    assert_int_equal(is.st_mode, S_IFREG | 0600);
    /* A moved directory of the base is not copied. */
    assert_int_equal(test_status(f->dir, "test -e state/workspaces/ws/upper.2/new/y"), 1);
    assert_int_equal(rebase(f), 0);
    fixture_close(f);
    fixture_open(f);
    assert_rebased(f, head);
    assert_int_equal(fx_commit(f, "ws", &me, "go on"), 0);
}

/* Before `state` was replaced: as if nothing had happened, the shared files included. */
static void crash_before_the_state_was_replaced(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *head = open_behind(f);

    fixture_close(f);
    test_run(f->dir, "cp -a state before");
    fixture_open(f);
    assert_int_equal(rebase(f), 0);
    fixture_close(f);
    test_run(f->dir, "cp -a before/workspaces/ws/upper.1 before/workspaces/ws/state "
                     "state/workspaces/ws/ && touch state/workspaces/ws/work/junk");
    fixture_open(f);
    fx_assert_content(f, "ws/app/conf", "a: ours\nb: 2\nc: 3\nd: 4\ne: 5\n");
    fx_assert_content(f, "ws/greeting", "hi\n");
    assert_int_equal(test_status(f->dir, "test -e state/workspaces/ws/upper.2"), 1);
    assert_int_equal(rebase(f), 0);
    assert_rebased(f, head);
}

/* After it: the old upper is what is left over. */
static void crash_before_the_old_upper_was_removed(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *head = open_behind(f);

    fixture_close(f);
    test_run(f->dir, "cp -a state before");
    fixture_open(f);
    assert_int_equal(rebase(f), 0);
    fixture_close(f);
    test_run(f->dir, "cp -a before/workspaces/ws/upper.1 state/workspaces/ws/");
    fixture_open(f);
    assert_rebased(f, head);
}

/* The state cannot be replaced: the workspace stays as it was, and goes on. */
static void a_failure_leaves_the_workspace_as_it_was(void **state)
{
    struct fixture *f = *state;
    int err;
    _cleanup_free_ char *head = open_behind(f);

    if (geteuid() == 0)
        test_run(f->dir, "chattr +i state/workspaces/ws/state 2>/dev/null || touch no-chattr");
    if (geteuid() != 0 || test_status(f->dir, "test -e no-chattr") == 0)
        test_skip("no file can be made immutable here");
    assert_int_equal(rebase(f), -EPERM);
    test_run(f->dir, "chattr -i state/workspaces/ws/state");
    _cleanup_free_ char *outcome = fx_read(f, "ws/.onward/outcome", &err);
    assert_non_null(strstr(outcome, "cannot move the workspace"));
    fx_assert_content(f, "ws/app/conf", "a: ours\nb: 2\nc: 3\nd: 4\ne: 5\n");
    assert_int_equal(test_status(f->dir, "test -e state/workspaces/ws/upper.2"), 1);
    assert_int_equal(rebase(f), 0);
    assert_rebased(f, head);
}

static void conflicts_are_marked_and_said(void **state)
{
    struct fixture *f = *state;
    int err;

    free(open_behind(f));
    free(fixture_push(f, "echo servus > greeting && rm old/x"));
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    assert_int_equal(rebase(f), -EUCLEAN);
    fx_assert_content(f, "ws/greeting", "<<<<<<< head\nservus\n=======\nhi\n>>>>>>> ws\n");
    _cleanup_free_ char *outcome = fx_read(f, "ws/.onward/outcome", &err);
    assert_ptr_equal(strstr(outcome, "conflict: greeting "), outcome);
    assert_null(strstr(outcome, "kept:"));
    assert_int_equal(fx_commit(f, "ws", &me, "marked"), -EINVAL);
    fx_put(f, "ws/greeting", "both\n");
    assert_int_equal(fx_commit(f, "ws", &me, "decided"), 0);
}

static void the_first_revision_comes_from_elsewhere(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    assert_int_equal(rebase(f), 0);
    fx_put(f, "ws/mine", "1\n");
    free(fixture_push(f, "echo 2 > theirs"));
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    assert_int_equal(rebase(f), 0);
    fx_assert_content(f, "ws/.onward/changes", "A mine\n");
    fx_assert_content(f, "ws/theirs", "2\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_was_staged_is_the_same_file),       T(crash_before_the_state_was_replaced),
        T(crash_before_the_old_upper_was_removed), T(a_failure_leaves_the_workspace_as_it_was),
        T(conflicts_are_marked_and_said),          T(the_first_revision_comes_from_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
