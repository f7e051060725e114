/* The files in `.onward` of a workspace: their formats are what programs and people rely on. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fixture.h"

static char *base_id;

static int setup(void **state)
{
    struct fixture *f = fixture_new();

    base_id =
        fixture_push(f, "mkdir app && echo one > app/one && echo two > app/two && echo x > x");
    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    free(base_id);
    return 0;
}

static void the_menu(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *names = fx_list(f, "ws/.onward");
    struct stat st;

    assert_string_equal(
        names, "autocommit\nbase@\nchanges\ncheck\ncommit\ndiff\ndrop\nmessage\noutcome\nowner\n"
               "rebase\nstatus\n");
    assert_int_equal(fx_stat(f, "ws/.onward/commit", &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0200);
    assert_int_equal(st.st_uid, me.uid);
    assert_int_equal(fx_stat(f, "ws/.onward/message", &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(st.st_uid, me.uid);
    struct node *link = fx_get(f, "ws/.onward/base");
    _cleanup_free_ char *target = NULL, *want = xasprintf("../../../revisions/%s", base_id);
    assert_int_equal(link->ops->readlink(link, &target), 0);
    node_unref(link);
    assert_string_equal(target, want);
}

static void change_everything(struct fixture *f)
{
    fx_put(f, "ws/app/one", "1\n");
    assert_int_equal(fx_unlink(f, "ws/x"), 0);
    assert_int_equal(fx_unlink(f, "ws/app/two"), 0);
    assert_int_equal(fx_symlink(f, "ws/app/two", "one"), 0);
    fx_put(f, "ws/app.txt", "new\n");
    fx_put(f, "ws/odd \"\n\001 name", "odd\n");
    assert_int_equal(fx_mkdir(f, "ws/empty", 0755), 0);
}

static void changes_and_status(void **state)
{
    struct fixture *f = *state;
    int err;

    change_everything(f);
    fx_assert_content(f, "ws/.onward/changes",
                      "A app.txt\nM app/one\nT app/two\n"
                      "A \"odd \\\"\\n\\001 name\"\nD x\n");
    _cleanup_free_ char *status = fx_read(f, "ws/.onward/status", &err);
    _cleanup_free_ char *owner = fx_read(f, "ws/.onward/owner", &err);
    assert_true(!strncmp(owner, "1000 ", 5));
    _cleanup_free_ char *want =
        xasprintf("workspace: ws\nowner: %sbase: %s\nbehind: 0\nadded: 2\nmodified: 1\n"
                  "deleted: 1\ntype-changed: 1\noutcome: none\n",
                  owner + 5, base_id);
    assert_string_equal(status, want);
    free(fixture_push(f, "echo more > more"));
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    assert_int_equal(fx_commit(f, "ws", &me, " "), -EINVAL);
    _cleanup_free_ char *later = fx_read(f, "ws/.onward/status", &err);
    assert_non_null(strstr(later, "behind: 1\n"));
    assert_non_null(strstr(later, "outcome: the message is empty\n"));
}

static void the_diff_applies(void **state)
{
    struct fixture *f = *state;
    int err;

    change_everything(f);
    _cleanup_free_ char *diff = fx_read(f, "ws/.onward/diff", &err);
    test_write_file(f->dir, "patch", diff);
    test_run(f->dir, "rm -rf clone && git clone -q repo.git clone && cd clone && "
                     "git apply --index ../patch");
    _cleanup_free_ char *want = test_output(f->dir, "cd clone && git write-tree");
    assert_int_equal(fx_commit(f, "ws", &me, "all"), 0);
    _cleanup_free_ char *got = test_output(f->work, "git rev-parse main^{tree}");
    assert_string_equal(got, want);
}

static void check_prints_findings(void **state)
{
    struct fixture *f = *state;
    int err;

    fx_assert_content(f, "ws/.onward/check", "");
    fx_put(f, "ws/app/bad.json", "{\"a\": 1,}\n");
    _cleanup_free_ char *check = fx_read(f, "ws/.onward/check", &err);
    assert_true(!strncmp(check, "app/bad.json:1:", 15));
    assert_non_null(strstr(check, ": json: "));
    assert_int_equal(fx_commit(f, "ws", &me, "bad"), -EINVAL);
    fx_assert_content(f, "ws/.onward/outcome", check);
}

/* A reader has one version whole, whatever is written meanwhile; the next lookup has the next. */
static void a_text_is_as_of_its_lookup(void **state)
{
    struct fixture *f = *state;
    struct node *before = fx_get(f, "ws/.onward/changes"), *after;

    fx_put(f, "ws/new", "x\n");
    after = fx_get(f, "ws/.onward/changes");
    _cleanup_free_ char *old = node_content(before, NULL), *new = node_content(after, NULL);
    assert_string_equal(old, "");
    assert_string_equal(new, "A new\n");
    assert_true(before->ino == after->ino);
    node_unref(before);
    node_unref(after);
}

static void message_is_an_ordinary_file(void **state)
{
    struct fixture *f = *state;
    struct node *n = fx_get(f, "ws/.onward/message");
    struct stat st;

    fx_assert_content(f, "ws/.onward/message", "");
    assert_int_equal(n->ops->fsync(n, true), 0);
    assert_int_equal(n->ops->write(n, &me, "a draft", 7, 0), 7);
    assert_int_equal(node_truncate(n, 3), 0);
    assert_int_equal(n->ops->write(n, &me, "!", 1, 3), 1);
    fx_assert_content(f, "ws/.onward/message", "a d!");
    node_stat(n, &st);
    assert_int_equal(st.st_size, 4);
    assert_int_equal(n->ops->write(n, &me, "x", 1, 65536), -EFBIG);
    assert_int_equal(n->ops->setattr(n, &stranger, &(struct set_attrs){.valid = SET_SIZE}),
                     -EACCES);
    assert_int_equal(n->ops->fsync(n, true), 0);
    node_unref(n);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_menu),
        T(changes_and_status),
        T(the_diff_applies),
        T(check_prints_findings),
        T(a_text_is_as_of_its_lookup),
        T(message_is_an_ordinary_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
