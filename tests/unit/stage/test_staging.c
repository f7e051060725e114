/* The directory `staging/`: opening and ending workspaces, whose they are, what a restart finds. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "fixture.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new();

    free(fixture_push(f, "echo one > file && git add . && git commit -qm first && "
                         "git tag v1.4 && git push -q origin v1.4 && echo two > file"));
    fixture_open(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static void names(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *longest = xmalloc(130);
    memset(longest, 'n', 129);
    longest[129] = 0;

    assert_int_equal(fx_mkdir(f, longest, 0777), -ENAMETOOLONG);
    longest[128] = 0;
    assert_int_equal(fx_mkdir(f, longest, 0777), 0);
    assert_int_equal(fx_mkdir(f, ".hidden", 0777), -EINVAL);
    assert_int_equal(fx_mkdir(f, "a b", 0777), -EINVAL);
    assert_int_equal(fx_mkdir(f, "x@", 0777), -EINVAL);
    assert_int_equal(fx_mkdir(f, "@v1.4", 0777), -EINVAL);
    assert_int_equal(fx_mkdir(f, "x@no-such-tag", 0777), -ENOENT);
    assert_int_equal(fx_mkdir(f, "fix-dns", 0777), 0);
    assert_int_equal(fx_mkdir(f, "fix-dns", 0777), -EEXIST);
    assert_int_equal(fx_create(f, "a-file", 0644), -EPERM);
    assert_int_equal(fx_symlink(f, "a-link", "x"), -EPERM);
    assert_int_equal(fx_rename(f, "fix-dns", "other", 0), -EPERM);
    assert_int_equal(fx_rename(f, "fix-dns/file", "out", 0), -EPERM);
    assert_int_equal(fx_mkdir(f, "second", 0777), 0);
    assert_int_equal(fx_rename(f, "fix-dns/file", "second/file", 0), -EXDEV);
}

static void based_on_a_revision(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fx_mkdir(f, "old@v1.4", 0777), 0);
    fx_assert_content(f, "old@v1.4/file", "one\n");
    assert_int_equal(fx_mkdir(f, "new", 0777), 0);
    fx_assert_content(f, "new/file", "two\n");
    int err;
    _cleanup_free_ char *status = fx_read(f, "old@v1.4/.onward/status", &err);
    assert_non_null(strstr(status, "behind: 1\n"));
    /* What it changes goes on top of head. */
    fx_put(f, "old@v1.4/added", "x\n");
    assert_int_equal(fx_commit(f, "old@v1.4", &me, "late"), 0);
    fx_assert_content(f, "old@v1.4/file", "two\n");
}

static void removal(void **state)
{
    struct fixture *f = *state;
    struct node *root = node_ref(staging_root(f->staging)), *ws;
    struct stat before, after, st = {0};

    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    ws = fx_get(f, "ws");
    fx_put(f, "ws/file", "changed\n");
    assert_int_equal(fx_rmdir(f, "ws"), -ENOTEMPTY);
    fx_put(f, "ws/file", "two\n"); /* as it was: clean */
    assert_int_equal(fx_mkdir(f, "ws/empty", 0755), 0);
    assert_int_equal(root->ops->rmdir(root, &stranger, "ws"), -EPERM);
    node_stat(root, &before);
    assert_int_equal(fx_rmdir(f, "ws"), 0);
    node_stat(root, &after);
    assert_true(clock_ns(after.st_mtim) > clock_ns(before.st_mtim));
    assert_int_equal(fx_rmdir(f, "ws"), -ENOENT);
    assert_int_equal(ws->ops->getattr(ws, &st), -ESTALE);
    assert_int_equal(test_status(f->dir, "test -z \"$(ls -A state/workspaces)\""), 0);
    /* The name is free for another, which is another. */
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    fx_assert_content(f, "ws/file", "two\n");
    struct node *again = fx_get(f, "ws");
    assert_ptr_not_equal(again, ws);
    node_unref(again);
    node_unref(ws);
    node_unref(root);
}

static void drop_takes_changes_with_it(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    fx_put(f, "ws/file", "changed\n");
    struct node *drop = fx_get(f, "ws/.onward/drop");
    assert_int_equal(drop->ops->write(drop, &stranger, "force\n", 6, 0), -EACCES);
    assert_int_equal(drop->ops->write(drop, &me, "please\n", 7, 0), -EINVAL);
    fx_assert_content(f, "ws/file", "changed\n");
    assert_int_equal(drop->ops->write(drop, &me, "force\n", 6, 0), 6);
    assert_int_equal(drop->ops->write(drop, &me, "force\n", 6, 0), -ESTALE);
    int err;
    assert_null(fx_walk(f, "ws", &err));
    assert_int_equal(err, -ENOENT);
    /* The control files of a new one of that name are its own. */
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    struct node *fresh = fx_get(f, "ws/.onward/drop");
    assert_ptr_not_equal(fresh, drop);
    node_unref(drop);
    assert_int_equal(fresh->ops->write(fresh, &root_user, "force\n", 6, 0), 6);
    node_unref(fresh);
}

static void owners(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    struct node *root = staging_root(f->staging), *ws, *n;

    node_stat(root, &st);
    assert_int_equal(st.st_mode, S_IFDIR | 0755);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    ws = fx_get(f, "ws");
    node_stat(ws, &st);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    assert_int_equal(st.st_uid, me.uid);
    assert_int_equal(ws->ops->create(ws, &stranger, "x", 0644, &n), -EACCES);
    assert_int_equal(ws->ops->unlink(ws, &stranger, "file"), -EACCES);
    assert_int_equal(ws->ops->rename(ws, &stranger, "file", ws, "x", 0), -EACCES);
    assert_int_equal(ws->ops->create(ws, &root_user, "x", 0644, &n), 0);
    node_stat(n, &st);
    assert_int_equal(st.st_uid, me.uid);
    struct set_attrs own = {.valid = SET_UID | SET_GID, .uid = me.uid, .gid = me.gid};
    assert_int_equal(n->ops->setattr(n, &me, &own), 0);
    own.uid = stranger.uid;
    assert_int_equal(n->ops->setattr(n, &root_user, &own), -EPERM);
    assert_int_equal(node_chmod(n, 06755), 0);
    node_stat(n, &st);
    assert_int_equal(st.st_mode, S_IFREG | 0755);
    node_unref(n);
    node_unref(ws);
}

static void refused_names_in_a_workspace(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *path = xmalloc(300);

    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    assert_int_equal(fx_create(f, "ws/.git", 0644), -EINVAL);
    assert_int_equal(fx_mkdir(f, "ws/.GIT", 0755), -EINVAL);
    assert_int_equal(fx_symlink(f, "ws/.gIt", "x"), -EINVAL);
    assert_int_equal(fx_rename(f, "ws/file", "ws/.git", 0), -EINVAL);
    assert_int_equal(fx_create(f, "ws/.gitignore", 0644), 0);
    assert_int_equal(fx_mkdir(f, "ws/.onward", 0755), -EEXIST);
    assert_int_equal(fx_rmdir(f, "ws/.onward"), -EPERM);
    assert_int_equal(fx_rename(f, "ws/.onward", "ws/x", 0), -EPERM);
    memset(path, 'x', 260);
    memcpy(path, "ws/", 3);
    path[3 + 256] = 0;
    assert_int_equal(fx_create(f, path, 0644), -ENAMETOOLONG);
    path[3 + 255] = 0;
    assert_int_equal(fx_create(f, path, 0644), 0);
    _cleanup_free_ char *names = fx_list(f, "ws");
    assert_null(strstr(names, ".onward"));
}

static void limits(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    f->config.most_workspaces = 2;
    f->config.most_file_size = 10000;
    f->config.most_workspace_size = 34096;
    f->config.shared = true;
    fixture_open(f);
    struct stat st;
    node_stat(staging_root(f->staging), &st);
    assert_int_equal(st.st_mode, S_IFDIR | 01777);
    assert_int_equal(fx_mkdir(f, "one", 0777), 0);
    assert_int_equal(fx_mkdir(f, "two", 0777), 0);
    assert_int_equal(fx_mkdir(f, "three", 0777), -EDQUOT);
    fx_put(f, "one/f", "x");
    assert_int_equal(fx_truncate(f, "one/f", 10001), -EFBIG);
    assert_int_equal(fx_write(f, "one/f", "yy", 9999), -EFBIG);
    assert_int_equal(fx_truncate(f, "one/f", 10000), 0);
    for (int i = 0; i < 2; i++) {
        _cleanup_free_ char *path = xasprintf("one/g%d", i);
        fx_put(f, path, "x");
        assert_int_equal(fx_truncate(f, path, 10000), 0);
    }
    assert_int_equal(fx_create(f, "one/h", 0644), 0);
    assert_int_equal(fx_write(f, "one/h", "y", 5000), -EDQUOT);
    assert_int_equal(fx_unlink(f, "one/g0"), 0);
    assert_int_equal(fx_write(f, "one/h", "y", 5000), 1);
    fixture_close(f); /* counted anew */
    fixture_open(f);
    assert_int_equal(fx_truncate(f, "one/h", 10000), 0);
    assert_int_equal(fx_create(f, "one/i", 0644), 0);
    assert_int_equal(fx_write(f, "one/file", "y", 0), -EDQUOT);
    assert_int_equal(fx_write(f, "two/file", "y", 0), 1);
}

static void a_restart_finds_everything(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    assert_int_equal(fx_mkdir(f, "other@v1.4", 0777), 0);
    fx_put(f, "ws/file", "changed\n");
    assert_int_equal(fx_write(f, "ws/.onward/message", "draft\n", 0), 6);
    fixture_close(f);
    fixture_open(f);
    _cleanup_free_ char *names = fx_list(f, "");
    assert_string_equal(names, "other@v1.4/\nws/\n");
    fx_assert_content(f, "ws/file", "changed\n");
    fx_assert_content(f, "ws/.onward/message", "draft\n");
    fx_assert_content(f, "other@v1.4/file", "one\n");
}

static void a_broken_workspace_harms_only_itself(void **state)
{
    struct fixture *f = *state;
    int err;

    assert_int_equal(fx_mkdir(f, "good", 0777), 0);
    assert_int_equal(fx_mkdir(f, "torn", 0777), 0);
    assert_int_equal(fx_mkdir(f, "lost", 0777), 0);
    fixture_close(f);
    test_run(f->dir, "echo '{\"onward\":1' > state/workspaces/torn/state");
    test_run(f->dir, "sed -i 's/\"base\": \"..../\"base\": \"0000/' state/workspaces/lost/state");
    fixture_open(f);
    assert_null(fx_walk(f, "torn", &err));
    assert_int_equal(err, -EIO);
    assert_null(fx_walk(f, "lost", &err));
    assert_int_equal(err, -EIO);
    fx_assert_content(f, "good/file", "two\n");
    assert_int_equal(fx_mkdir(f, "torn", 0777), -EEXIST);
    assert_int_equal(test_status(f->dir, "test -d state/workspaces/torn/upper.1"), 0);
}

/* At the end of a mount the kernel may still know files: they go with the table, after the area. */
static void nodes_may_outlive_it(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {
        "", "ws", "ws/file", "ws/new", "ws/.onward", "ws/.onward/commit", "ws/.onward/message"};

    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    fx_put(f, "ws/new", "open\n");
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct node *n = fx_get(f, paths[i]);
        node_table_lookup(f->table, n);
        node_unref(n);
    }
    fixture_close(f);
    fixture_open(f);
    fx_assert_content(f, "ws/new", "open\n");
}

static void a_state_directory_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    _cleanup_(diag_done) struct diag why = {0};
    struct staging_config config = f->config;
    struct staging *s;

    config.state_dir = "/nonexistent/state";
    assert_int_equal(staging_new(&config, &s, &why), -ENOENT);
    assert_non_null(strstr(why.text, "/nonexistent/state"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(names),
        T(based_on_a_revision),
        T(removal),
        T(drop_takes_changes_with_it),
        T(owners),
        T(refused_names_in_a_workspace),
        T(limits),
        T(a_restart_finds_everything),
        T(a_broken_workspace_harms_only_itself),
        T(nodes_may_outlive_it),
        T(a_state_directory_that_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
