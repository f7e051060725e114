/* Room: what a workspace takes is exact, whatever was done, and comes back. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fixture.h"
#include "stage/overlay_node.h"

#define MOST  100000
#define LEAST ROOM_LEAST
#define NAMES 6

static int set_up(void **state)
{
    struct fixture *f = fixture_new();

    free(fixture_push(f, "head -c 5000 /dev/zero >base; head -c 300 /dev/zero >n0; "
                         "head -c 7000 /dev/zero >n1; mkdir -p old/in n3; echo 1 >old/a; "
                         "ln -s a old/b; echo 2 >old/in/c; echo 3 >n3/x"));
    f->config.most_workspace_size = MOST;
    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

static struct workspace *workspace(struct fixture *f)
{
    _cleanup_(node_unrefp) struct node *root = fx_get(f, "ws");

    return overlay_node(root)->ws;
}

static int64_t left(struct fixture *f)
{
    return room_left(workspace(f));
}

static int allocate(struct fixture *f, const char *path, int mode, off_t off, off_t len)
{
    _cleanup_(node_unrefp) struct node *n = fx_get(f, path);

    return n->ops->fallocate(n, mode, off, len);
}

static void sizes_count(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(left(f), MOST);
    fx_put(f, "ws/a", "12345");
    assert_int_equal(left(f), MOST - LEAST);
    assert_int_equal(fx_truncate(f, "ws/a", 40000), 0); /* a hole */
    assert_int_equal(left(f), MOST - 40000);
    assert_int_equal(allocate(f, "ws/a", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 99999), 0);
    assert_int_equal(left(f), MOST - 40000);
    assert_int_equal(allocate(f, "ws/a", 0, 0, 50000), 0);
    assert_int_equal(left(f), MOST - 50000);
    assert_int_equal(allocate(f, "ws/a", 0, 0, MOST + 1), -EDQUOT);
    assert_int_equal(fx_write(f, "ws/base", "x", 0), 1); /* all of it is brought up */
    assert_int_equal(left(f), MOST - 55000);
    assert_int_equal(fx_truncate(f, "ws/base", 10), 0);
    assert_int_equal(fx_rename(f, "ws/base", "ws/a", 0), 0);
    assert_int_equal(left(f), MOST - 2 * LEAST); /* and a whiteout */
    assert_int_equal(fx_write(f, "ws/a", "x", MOST - LEAST - 1), 1);
    assert_int_equal(left(f), 0);
    assert_int_equal(fx_write(f, "ws/a", "x", MOST - LEAST), -EDQUOT);
    assert_int_equal(fx_write(f, "ws/n0", "x", 0), -EDQUOT);
    assert_int_equal(fx_unlink(f, "ws/n0"), -EDQUOT);
    assert_int_equal(fx_create(f, "ws/b", 0644), -EDQUOT);
    assert_int_equal(fx_rename(f, "ws/a", "ws/b", 0), 0); /* takes no more than before */
    assert_int_equal(fx_create(f, "ws/base", 0644), 0);   /* it has the whiteout's room */
    assert_int_equal(fx_unlink(f, "ws/b"), 0);
    assert_int_equal(left(f), MOST - LEAST);
}

static void names_count(void **state)
{
    struct fixture *f = *state;
    int64_t most = MOST / LEAST * LEAST;
    char path[16];
    int n = 0, r = 0;

    assert_int_equal(fx_mkdir(f, "ws/d", 0777), 0);
    assert_int_equal(fx_symlink(f, "ws/d/l", "a"), 0);
    assert_int_equal(left(f), MOST - 2 * LEAST);
    assert_int_equal(fx_unlink(f, "ws/d/l"), 0);
    assert_int_equal(fx_rmdir(f, "ws/d"), 0);
    assert_int_equal(left(f), MOST);
    assert_int_equal(fx_unlink(f, "ws/old/a"), 0); /* `old` and a whiteout */
    assert_int_equal(fx_unlink(f, "ws/old/b"), 0);
    assert_int_equal(fx_unlink(f, "ws/old/in/c"), 0);
    assert_int_equal(left(f), MOST - 5 * LEAST);
    assert_int_equal(fx_rmdir(f, "ws/old/in"), 0);
    assert_int_equal(fx_rmdir(f, "ws/old"), 0); /* one whiteout for all of it */
    assert_int_equal(left(f), MOST - LEAST);
    for (; r == 0; n++) {
        snprintf(path, sizeof(path), "ws/e%d", n);
        r = n % 3 == 0   ? fx_mkdir(f, path, 0777)
            : n % 3 == 1 ? fx_symlink(f, path, "x")
                         : fx_create(f, path, 0644);
    }
    assert_int_equal(r, -EDQUOT);
    assert_int_equal(n, most / LEAST);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(left(f), MOST - most);
}

static void what_is_reserved_counts(void **state)
{
    struct fixture *f = *state;

    fx_put(f, "ws/a", "12345");
    assert_int_equal(allocate(f, "ws/a", FALLOC_FL_KEEP_SIZE, 0, 60000), 0);
    assert_int_equal(left(f), MOST - 60000);
    assert_int_equal(allocate(f, "ws/a", FALLOC_FL_KEEP_SIZE, 60000, MOST), -EDQUOT);
    assert_int_equal(fx_truncate(f, "ws/a", 30000), 0); /* longer: it stays */
    assert_int_equal(left(f), MOST - 60000);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(left(f), MOST - 60000);
    assert_int_equal(fx_truncate(f, "ws/a", 20000), 0); /* shorter: it goes */
    assert_int_equal(left(f), MOST - 20000);
    assert_int_equal(allocate(f, "ws/a", FALLOC_FL_KEEP_SIZE, 0, 70000), 0);
    assert_int_equal(fx_rename(f, "ws/a", "ws/b", 0), 0);
    assert_int_equal(fx_unlink(f, "ws/b"), 0);
    assert_int_equal(left(f), MOST);
}

static ssize_t put(struct node *n, off_t off)
{
    return n->ops->write ? n->ops->write(n, &me, "x", 1, off) : -EISDIR;
}

static void removed_files_count_apart(void **state)
{
    struct fixture *f = *state;

    fx_put(f, "ws/a", "1");
    assert_int_equal(fx_truncate(f, "ws/a", 90000), 0);
    struct node *open = fx_get(f, "ws/a");
    assert_int_equal(fx_unlink(f, "ws/a"), 0);
    assert_int_equal(left(f), MOST); /* at once */
    assert_int_equal(put(open, MOST - 1), 1);
    assert_int_equal(put(open, MOST), -EDQUOT);
    fx_put(f, "ws/b", "1");
    assert_int_equal(fx_truncate(f, "ws/b", 80000), 0);
    struct node *other = fx_get(f, "ws/b");
    assert_int_equal(fx_unlink(f, "ws/b"), 0);
    assert_int_equal(left(f), 20000); /* twice the limit in all */
    assert_int_equal(put(other, 80000), -EDQUOT);
    node_unref(open);
    assert_int_equal(left(f), MOST);
    assert_int_equal(put(other, 80000), 1);
    node_unref(other);
    struct node *based = fx_get(f, "ws/base");
    assert_int_equal(fx_unlink(f, "ws/base"), 0);
    assert_int_equal(workspace(f)->room.held, 0);
    assert_int_equal(put(based, 0), 1);
    assert_int_equal(workspace(f)->room.held, 5000);
    node_unref(based);
    assert_int_equal(workspace(f)->room.held, 0);
}

static void one_step(struct fixture *f, struct node **open)
{
    char path[16], other[24];
    int err;

    snprintf(path, sizeof(path), "ws/n%d", rand() % NAMES);
    snprintf(other, sizeof(other), "ws/n%d", rand() % NAMES);
    switch (rand() % 11) {
    case 0:
        fx_create(f, path, 0644);
        break;
    case 1:
        fx_write(f, path, "some text", rand() % 30000);
        break;
    case 2:
        fx_truncate(f, path, rand() % 40000);
        break;
    case 3:
        fx_unlink(f, path);
        break;
    case 4:
        fx_rename(f, path, other, rand() % 3 ? 0 : RENAME_EXCHANGE);
        break;
    case 5: {
        _cleanup_(node_unrefp) struct node *n = fx_walk(f, path, &err);
        if (n && n->ops->fallocate)
            n->ops->fallocate(n, rand() % 2 ? FALLOC_FL_KEEP_SIZE : 0, rand() % 20000,
                              1 + rand() % 30000);
        break;
    }
    case 6:
        fx_mkdir(f, path, 0777);
        break;
    case 7:
        fx_rmdir(f, path);
        break;
    case 8:
        snprintf(other, sizeof(other), "%s/x", path);
        if (rand() % 2)
            fx_unlink(f, other);
        else
            fx_symlink(f, other, "x");
        break;
    case 9:
        node_unref(*open);
        *open = fx_walk(f, path, &err);
        break;
    default:
        if (*open)
            put(*open, rand() % 50000);
    }
}

static void random_changes_count_as_if_counted_anew(void **state)
{
    struct fixture *f = *state;
    struct node *open = NULL;

    srand(7);
    for (int i = 0; i < 2000; i++) {
        one_step(f, &open);
        int64_t kept = left(f);
        room_forget(workspace(f));
        if (left(f) != kept)
            fail_msg("after step %d: %lld kept, %lld counted", i, (long long)kept,
                     (long long)left(f));
        assert_true(workspace(f)->room.used <= MOST && workspace(f)->room.held <= MOST);
        assert_true(workspace(f)->room.used >= 0 && workspace(f)->room.held >= 0);
    }
    node_unref(open);
    assert_int_equal(workspace(f)->room.held, 0);
}

static void free_space_is_what_may_be_written(void **state)
{
    struct fixture *f = *state;
    _cleanup_(node_unrefp) struct node *root = fx_get(f, "ws");
    struct statvfs st;

    assert_int_equal(root->ops->statfs(root, &st), 0);
    assert_int_equal(st.f_bavail, MOST / st.f_frsize);
    fx_put(f, "ws/a", "1");
    assert_int_equal(fx_truncate(f, "ws/a", MOST), 0);
    assert_int_equal(root->ops->statfs(root, &st), 0);
    assert_int_equal(st.f_bavail, 0);
    assert_true(st.f_bfree > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sizes_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_reserved_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removed_files_count_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_changes_count_as_if_counted_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(free_space_is_what_may_be_written, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
