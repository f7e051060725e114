/* A workspace's way into the mainline: what it answers, what it leaves, and what a crash in between
 * leaves (RELIABILITY: a commit is whole or not at all, and nobody else's is lost). */
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

static const char base_script[] =
    "mkdir -p app && printf 'a: 1\\nb: 2\\nc: 3\\n' > app/conf.yaml && "
    "echo hello > greeting && echo other > other";

static void open_workspace(struct fixture *f)
{
    free(fixture_push(f, base_script));
    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
}

static void assert_git(struct fixture *f, const char *command, const char *want)
{
    _cleanup_free_ char *got = test_output(f->work, "%s", command);

    assert_string_equal(got, want);
}

static char *outcome(struct fixture *f)
{
    int err;
    char *text = fx_read(f, "ws/.onward/outcome", &err);

    assert_non_null(text);
    return text;
}

static void assert_outcome(struct fixture *f, const char *part)
{
    _cleanup_free_ char *text = outcome(f);

    if (!strstr(text, part))
        fail_msg("outcome is '%s', without '%s'", text, part);
}

static void a_commit_is_on_the_mainline(void **state)
{
    struct fixture *f = *state;

    open_workspace(f);
    fx_put(f, "ws/greeting", "hi\n");
    assert_int_equal(fx_mkdir(f, "ws/new", 0755), 0);
    fx_put(f, "ws/new/run", "#!/bin/sh\n");
    assert_int_equal(fx_chmod(f, "ws/new/run", 0755), 0);
    assert_int_equal(fx_unlink(f, "ws/other"), 0);
    assert_int_equal(fx_commit(f, "ws", &me, "say hi"), 0);

    _cleanup_free_ char *head = test_output(f->work, "git rev-parse main");
    assert_outcome(f, head);
    assert_git(f, "git log --format=%s%n%P -1 main | head -1", "say hi");
    assert_git(f, "git rev-list --count main", "2");
    assert_git(f, "git ls-tree -r --format='%(objectmode) %(path)' main | tr '\\n' ' '",
               "100644 app/conf.yaml 100644 greeting 100755 new/run ");
    assert_git(f, "git fsck --strict 2>&1", "");
    struct oid at;
    char hex[OID_HEX + 1];
    assert_int_equal(mainline_head(f->mainline, &at), 0);
    assert_string_equal(oid_hex(&at, hex), head);
    /* Clean on the new base. */
    fx_assert_content(f, "ws/.onward/changes", "");
    fx_assert_content(f, "ws/greeting", "hi\n");
    assert_int_equal(fx_commit(f, "ws", &me, "again"), -ENODATA);
    assert_outcome(f, "nothing changed");
    fx_put(f, "ws/greeting", "hi again\n");
    assert_int_equal(fx_commit(f, "ws", &me, "again"), 0);
    assert_git(f, "git show main:greeting", "hi again");
}

static void the_first_commit_of_an_empty_repository(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    assert_int_equal(fx_commit(f, "ws", &me, "nothing"), -ENODATA);
    int err;
    assert_null(fx_walk(f, "ws/.onward/base", &err));
    assert_int_equal(err, -ENOENT);
    fx_put(f, "ws/first", "1\n");
    assert_int_equal(fx_commit(f, "ws", &me, "first"), 0);
    assert_git(f, "git rev-list --count main", "1");
    assert_git(f, "git show main:first", "1");
    /* All files may go again. */
    assert_int_equal(fx_unlink(f, "ws/first"), 0);
    assert_int_equal(fx_commit(f, "ws", &me, "empty"), 0);
    assert_git(f, "git ls-tree -r main", "");
}

static void name_owner(uid_t uid, char **name, char **email, void *arg)
{
    *name = xasprintf(" <User> %u\n. ", uid);
    *email = xasprintf("<u%u@example.org>", uid);
}

static void author_is_the_caller(void **state)
{
    struct fixture *f = *state;

    f->config.identity = name_owner;
    open_workspace(f);
    fx_put(f, "ws/greeting", "hi\n");
    assert_int_equal(fx_commit(f, "ws", &stranger, "mine"), -EACCES);
    assert_int_equal(fx_commit(f, "ws", &root_user, "by root"), 0);
    assert_git(f, "git log -1 --format='%an|%ae|%cn|%ce' main",
               "User 0|u0@example.org|onwardfs|onwardfs@testhost");
    fx_put(f, "ws/greeting", "ho\n");
    assert_int_equal(fx_commit(f, "ws", &me, "by me"), 0);
    assert_git(f, "git log -1 --format='%an|%ae' main", "User 1000|u1000@example.org");
}

static void message_from_its_file(void **state)
{
    struct fixture *f = *state;

    open_workspace(f);
    fx_put(f, "ws/greeting", "hi\n");
    assert_int_equal(fx_commit(f, "ws", &me, "-"), -EINVAL);
    assert_outcome(f, "the message is empty");
    assert_int_equal(fx_write(f, "ws/.onward/message", "\nsubject\n\nbody\n\n \n", 0), 18);
    assert_int_equal(fx_commit(f, "ws", &me, "-"), 0);
    assert_git(f, "git log -1 --format=%B main", "subject\n\nbody\n\nOnward-Workspace: ws");
    fx_assert_content(f, "ws/.onward/message", "");
    assert_int_equal(fx_commit(f, "ws", &me, "   "), -EINVAL);
}

static void findings_refuse_it(void **state)
{
    struct fixture *f = *state;

    open_workspace(f);
    fx_put(f, "ws/app/conf.yaml", "a: 1\nb: [2\n");
    fx_put(f, "ws/greeting", "kept\n");
    assert_int_equal(fx_commit(f, "ws", &me, "broken"), -EINVAL);
    assert_outcome(f, "app/conf.yaml:");
    assert_outcome(f, ": yaml: ");
    assert_git(f, "git rev-list --count main", "1");
    fx_assert_content(f, "ws/.onward/changes", "M app/conf.yaml\nM greeting\n");
    fx_assert_content(f, "ws/app/conf.yaml", "a: 1\nb: [2\n");
    fx_put(f, "ws/app/conf.yaml", "a: 1\nb: [2]\n");
    assert_int_equal(fx_commit(f, "ws", &me, "whole"), 0);
}

/* The mainline moves while the workspace is open. */
static void merges_what_others_did(void **state)
{
    struct fixture *f = *state;

    open_workspace(f);
    struct node *theirs = fx_get(f, "ws/app/conf.yaml");
    fx_put(f, "ws/greeting", "hi\n");
    fx_put(f, "ws/mine", "new\n");
    _cleanup_free_ char *other = fixture_push(
        f, "sed -i 's/a: 1/a: 9/' app/conf.yaml && git rm -q other && mkdir d && echo 1 > d/e");
    assert_int_equal(fx_commit(f, "ws", &me, "with theirs"), 0);
    _cleanup_free_ char *parent = test_output(f->work, "git rev-parse main^");
    assert_string_equal(parent, other);
    assert_git(f, "git ls-tree -r --name-only main | tr '\\n' ' '",
               "app/conf.yaml d/e greeting mine ");
    /* The workspace has what they did, also in a file that was open. */
    fx_assert_content(f, "ws/app/conf.yaml", "a: 9\nb: 2\nc: 3\n");
    _cleanup_free_ char *now = node_content(theirs, NULL);
    node_unref(theirs);
    assert_string_equal(now, "a: 9\nb: 2\nc: 3\n");
    fx_assert_content(f, "ws/d/e", "1\n");
    int err;
    assert_null(fx_walk(f, "ws/other", &err));
    assert_int_equal(err, -ENOENT);
}

static void a_conflict_changes_nothing(void **state)
{
    struct fixture *f = *state;

    open_workspace(f);
    fx_put(f, "ws/greeting", "hi\n");
    _cleanup_free_ char *other = fixture_push(f, "echo servus > greeting");
    assert_int_equal(fx_commit(f, "ws", &me, "clash"), -EBUSY);
    _cleanup_free_ char *want =
        test_output(f->work, "echo conflict: greeting $(git rev-parse main^:greeting) "
                             "$(echo hi | git hash-object --stdin) $(git rev-parse main:greeting)");
    assert_outcome(f, want);
    _cleanup_free_ char *head = test_output(f->work, "git rev-parse main");
    assert_string_equal(head, other);
    fx_assert_content(f, "ws/greeting", "hi\n");
    fx_assert_content(f, "ws/.onward/changes", "M greeting\n");
    /* The same edit on both sides is no conflict, and nothing to commit. */
    fx_put(f, "ws/greeting", "servus\n");
    assert_int_equal(fx_commit(f, "ws", &me, "same"), -ENODATA);
    assert_outcome(f, "has these changes already");
    fx_put(f, "ws/third", "3\n");
    assert_int_equal(fx_commit(f, "ws", &me, "both"), 0);
}

static void a_merged_tree_is_checked_again(void **state)
{
    struct fixture *f = *state;

    open_workspace(f);
    /* Each side alone is fine; together they have a key twice. */
    fx_put(f, "ws/app/conf.yaml", "z: 0\na: 1\nb: 2\nc: 3\n");
    free(fixture_push(f, "echo 'z: 1' >> app/conf.yaml"));
    assert_int_equal(fx_commit(f, "ws", &me, "twice"), -EINVAL);
    assert_outcome(f, "app/conf.yaml:");
    assert_git(f, "git rev-list --count main", "2");
}

static void empty_directories_live_on(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    open_workspace(f);
    assert_int_equal(fx_mkdir(f, "ws/e1", 0755), 0);
    assert_int_equal(fx_mkdir(f, "ws/e1/e2", 0700), 0);
    assert_int_equal(fx_mkdir(f, "ws/app/e3", 0755), 0);
    assert_int_equal(fx_commit(f, "ws", &me, "only directories"), -ENODATA);
    fx_put(f, "ws/greeting", "hi\n");
    free(fixture_push(f, "echo x > e1"));
    assert_int_equal(fx_commit(f, "ws", &me, "hi"), 0);
    assert_git(f, "git ls-tree -r --name-only main | tr '\\n' ' '",
               "app/conf.yaml e1 greeting other ");
    /* Where the mainline has put a file, there is that file. */
    assert_int_equal(fx_stat(f, "ws/e1", &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(fx_stat(f, "ws/app/e3", &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    fx_assert_content(f, "ws/app/conf.yaml", "a: 1\nb: 2\nc: 3\n");
    assert_int_equal(fx_mkdir(f, "ws/k", 0755), 0);
    assert_int_equal(fx_mkdir(f, "ws/k/l", 0700), 0);
    fx_put(f, "ws/greeting", "ho\n");
    assert_int_equal(fx_commit(f, "ws", &me, "ho"), 0);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(fx_stat(f, "ws/k/l", &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    struct stat k, a;
    assert_int_equal(fx_stat(f, "ws/k", &k), 0);
    assert_int_equal(fx_stat(f, "ws/app/e3", &a), 0);
    assert_true(k.st_ino != a.st_ino && k.st_ino != st.st_ino);
    fx_assert_content(f, "ws/.onward/changes", "");
}

static void a_submodule_stays_unless_removed(void **state)
{
    struct fixture *f = *state;
    const char *id = "1234567890123456789012345678901234567890";
    _cleanup_free_ char *script =
        xasprintf("%s && git add . && git update-index --add --cacheinfo 160000,%s,sub && "
                  "git commit -q -m m",
                  base_script, id);

    test_run(f->dir, "git clone -q repo.git clone");
    _cleanup_free_ char *clone = xasprintf("%s/clone", f->dir);
    test_run(clone, "%s && git push -q origin HEAD:main", script);
    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    _cleanup_free_ char *inside = fx_list(f, "ws/sub");
    assert_string_equal(inside, "");
    assert_int_equal(fx_create(f, "ws/sub/x", 0644), -EROFS);
    assert_int_equal(fx_rename(f, "ws/sub", "ws/sub2", 0), -EPERM);
    fx_put(f, "ws/greeting", "hi\n");
    assert_int_equal(fx_commit(f, "ws", &me, "keep"), 0);
    assert_git(f, "git ls-tree --format='%(objectmode) %(objectname)' main sub",
               "160000 1234567890123456789012345678901234567890");
    assert_int_equal(fx_rmdir(f, "ws/sub"), 0);
    assert_int_equal(fx_commit(f, "ws", &me, "remove"), 0);
    assert_git(f, "git ls-tree main sub", "");
}

/* Crashes: `state` announces a revision, and the mainline has it or has it not. */

static void copy_state(struct fixture *f, const char *from, const char *to)
{
    test_run(f->dir, "rm -rf %s && cp -a %s %s", to, from, to);
}

/* Stops a commit between two of its last steps, by bringing the disk into the state of that moment.
 */
static void crash_after_the_mainline_moved(void **state)
{
    struct fixture *f = *state;

    open_workspace(f);
    fx_put(f, "ws/greeting", "hi\n");
    assert_int_equal(fx_mkdir(f, "ws/empty", 0755), 0);
    fixture_close(f);
    copy_state(f, "state", "before");
    fixture_open(f);
    assert_int_equal(fx_commit(f, "ws", &me, "hi"), 0);
    _cleanup_free_ char *revision = test_output(f->work, "git rev-parse main");
    fixture_close(f);
    /* The old upper, the new one, and a state that still names the old and announces the new. */
    test_run(f->dir,
             "cp -a before/workspaces/ws/upper.1 state/workspaces/ws/ && cd state/workspaces/ws && "
             "sed -e 's/\"upper\": *1/\"upper\": 1, \"next_base\": \"%s\", \"next_mtime\": 7/' "
             "../../../before/workspaces/ws/state > state && rm -f outcome && touch work/junk",
             revision);
    fixture_open(f);
    fx_assert_content(f, "ws/.onward/changes", "");
    fx_assert_content(f, "ws/greeting", "hi\n");
    struct stat st;
    assert_int_equal(fx_stat(f, "ws/empty", &st), 0);
    assert_outcome(f, revision);
    assert_int_equal(test_status(f->dir, "test -e state/workspaces/ws/upper.1"), 1);
    assert_int_equal(test_status(f->dir, "test -e state/workspaces/ws/work/junk"), 1);
    fx_put(f, "ws/greeting", "more\n");
    assert_int_equal(fx_commit(f, "ws", &me, "more"), 0);
    assert_git(f, "git rev-list --count main", "3");
}

static void crash_before_the_mainline_moved(void **state)
{
    struct fixture *f = *state;

    open_workspace(f);
    fx_put(f, "ws/greeting", "hi\n");
    fixture_close(f);
    copy_state(f, "state", "before");
    fixture_open(f);
    assert_int_equal(fx_commit(f, "ws", &me, "hi"), 0);
    _cleanup_free_ char *revision = test_output(f->work, "git rev-parse main");
    fixture_close(f);
    test_run(f->work, "git update-ref refs/heads/main main^");
    test_run(f->dir,
             "cp -a before/workspaces/ws/upper.1 state/workspaces/ws/ && cd state/workspaces/ws && "
             "sed -e 's/\"upper\": *1/\"upper\": 1, \"next_base\": \"%s\", \"next_mtime\": 7/' "
             "../../../before/workspaces/ws/state > state",
             revision);
    fixture_open(f);
    fx_assert_content(f, "ws/.onward/changes", "M greeting\n");
    fx_assert_content(f, "ws/greeting", "hi\n");
    assert_int_equal(test_status(f->dir, "test -e state/workspaces/ws/upper.2"), 1);
    assert_int_equal(test_status(f->dir, "grep -q next_base state/workspaces/ws/state"), 1);
    assert_int_equal(fx_commit(f, "ws", &me, "hi again"), 0);
    assert_git(f, "git rev-list --count main", "2");
}

/* The announced revision was never written: a crash while the new upper was being made. */
static void crash_while_preparing(void **state)
{
    struct fixture *f = *state;

    open_workspace(f);
    fx_put(f, "ws/greeting", "hi\n");
    fixture_close(f);
    test_run(f->dir,
             "mkdir -p state/workspaces/ws/upper.2/half && touch state/workspaces/ws/state.new"
             " && mkdir state/workspaces/.new-x state/workspaces/.old-y");
    fixture_open(f);
    fx_assert_content(f, "ws/.onward/changes", "M greeting\n");
    assert_int_equal(test_status(f->dir, "test -e state/workspaces/ws/upper.2"), 1);
    assert_int_equal(test_status(f->dir, "ls -d state/workspaces/.new-x"), 2);
    assert_int_equal(test_status(f->dir, "ls -d state/workspaces/.old-y"), 2);
    assert_int_equal(fx_commit(f, "ws", &me, "hi"), 0);
    _cleanup_free_ char *names = fx_list(f, "ws");
    assert_string_equal(names, "app/\ngreeting\nother\n");
}

/* Somebody else wins every race until the workspace's commit is through. */
static void lost_races_are_tried_again(void **state)
{
    struct fixture *f = *state;

    open_workspace(f);
    /* A push that the mainline does not know of yet is a lost race at the compare-and-swap. */
    for (int i = 0; i < 5; i++) {
        _cleanup_free_ char *line = xasprintf("line %d\n", i);
        _cleanup_free_ char *script = xasprintf("echo %d > racer", i);
        fx_put(f, "ws/greeting", line);
        free(fixture_push(f, script));
        assert_int_equal(fx_commit(f, "ws", &me, line), 0);
    }
    assert_git(f, "git rev-list --count main", "11");
    assert_git(f, "git show main:racer", "4");
    assert_git(f, "git show main:greeting", "line 4");
}

/* While the checks ran, somebody wrote the next one. */
static int write_message(const struct oid *head, void *arg, struct diag *reterr)
{
    return fx_write(arg, "ws/.onward/message", "next\n", 0) == 5 ? 0 : -EIO;
}

static void another_message_stays(void **state)
{
    struct fixture *f = *state;

    f->config.admit = write_message;
    f->config.admit_arg = f;
    open_workspace(f);
    fx_put(f, "ws/greeting", "hi\n");
    assert_int_equal(fx_write(f, "ws/.onward/message", "this\n", 0), 5);
    assert_int_equal(fx_commit(f, "ws", &me, "-"), 0);
    assert_git(f, "git log -1 --format=%s main", "this");
    fx_assert_content(f, "ws/.onward/message", "next\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_commit_is_on_the_mainline),
        T(the_first_commit_of_an_empty_repository),
        T(author_is_the_caller),
        T(message_from_its_file),
        T(findings_refuse_it),
        T(merges_what_others_did),
        T(a_conflict_changes_nothing),
        T(a_merged_tree_is_checked_again),
        T(empty_directories_live_on),
        T(a_submodule_stays_unless_removed),
        T(crash_after_the_mainline_moved),
        T(crash_before_the_mainline_moved),
        T(crash_while_preparing),
        T(lost_races_are_tried_again),
        T(another_message_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
