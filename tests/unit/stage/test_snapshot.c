/* A workspace as a tree of Git, against what git itself makes of the same files. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fixture.h"
#include "stage/overlay_node.h"
#include "stage/snapshot.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new();

    free(fixture_push(f,
                      "mkdir -p a/deep d && echo 1 > a/deep/f && echo 2 > a.b && echo 3 > d/x && "
                      "echo 4 > d/y && ln -s d link"));
    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static int snapshot(struct fixture *f, char hex[OID_HEX + 1], struct kept_dirs *keep,
                    struct diag *why)
{
    struct node *root = fx_get(f, "ws");
    struct workspace *ws = overlay_node(root)->ws;
    _cleanup_(batch_freep) struct batch *batch = batch_new(f->repo);
    struct oid tree;

    workspace_lock_frozen(ws);
    int r = snapshot_write(ws, batch, &tree, keep, why);
    workspace_unlock_frozen(ws);
    node_unref(root);
    if (r == 0)
        oid_hex(&tree, hex);
    return r;
}

static void the_tree_that_git_makes(void **state)
{
    struct fixture *f = *state;
    char hex[OID_HEX + 1];

    /* Git sorts a directory as if its name ended in a slash: a-b, a.b, a/, a0. */
    fx_put(f, "ws/a-b", "dash\n");
    fx_put(f, "ws/a0", "zero\n");
    fx_put(f, "ws/a/deep/caf\xc3\xa9 \xff\n", "odd\n");
    fx_put(f, "ws/exec", "#!/bin/sh\n");
    assert_int_equal(fx_chmod(f, "ws/exec", 0700), 0);
    fx_put(f, "ws/shut", "closed\n");
    assert_int_equal(fx_chmod(f, "ws/shut", 0), 0);
    assert_int_equal(fx_unlink(f, "ws/link"), 0);
    assert_int_equal(fx_symlink(f, "ws/link", "../../somewhere else"), 0);
    assert_int_equal(fx_rename(f, "ws/d", "ws/e", 0), 0);
    assert_int_equal(fx_unlink(f, "ws/e/x"), 0);
    assert_int_equal(snapshot(f, hex, NULL, NULL), 0);
    _cleanup_free_ char *want =
        test_output(f->dir, "rm -rf clone && git clone -q repo.git clone && cd clone && "
                            "echo dash > a-b && echo zero > a0 && "
                            "echo odd > \"$(printf 'a/deep/caf\\303\\251 \\377\\n.')\" && "
                            "mv a/deep/caf* \"a/deep/$(printf 'caf\\303\\251 \\377')\n\" && "
                            "echo '#!/bin/sh' > exec && chmod +x exec && echo closed > shut && "
                            "ln -sfn '../../somewhere else' link && mv d e && rm e/x && "
                            "git add -A && git write-tree");
    assert_string_equal(hex, want);
}

static void empty_directories_are_named(void **state)
{
    struct fixture *f = *state;
    _cleanup_(kept_dirs_done) struct kept_dirs keep = {0};
    char hex[OID_HEX + 1];

    assert_int_equal(fx_unlink(f, "ws/d/x"), 0);
    assert_int_equal(fx_unlink(f, "ws/d/y"), 0);
    assert_int_equal(fx_mkdir(f, "ws/d/e", 0700), 0);
    assert_int_equal(fx_mkdir(f, "ws/a/deep/er", 0755), 0);
    assert_int_equal(snapshot(f, hex, &keep, NULL), 0);
    assert_int_equal(keep.n, 3);
    assert_string_equal(keep.v[0].path, "a/deep/er");
    assert_string_equal(keep.v[1].path, "d");
    assert_string_equal(keep.v[2].path, "d/e");
    assert_int_equal(keep.v[2].mode, 0700);
    _cleanup_free_ char *names = test_output(f->work, "git ls-tree -r --name-only %s", hex);
    assert_string_equal(names, "a.b\na/deep/f\nlink");
}

/* What has not changed is not written again, and what is back as it was is the base. */
static void nothing_new_writes_nothing(void **state)
{
    struct fixture *f = *state;
    char hex[OID_HEX + 1];
    _cleanup_free_ char *before = test_output(f->work, "find objects | sort");
    _cleanup_free_ char *base = test_output(f->work, "git rev-parse main^{tree}");

    assert_int_equal(snapshot(f, hex, NULL, NULL), 0);
    assert_string_equal(hex, base);
    fx_put(f, "ws/a.b", "2\n");
    assert_int_equal(fx_rename(f, "ws/d", "ws/away", 0), 0);
    assert_int_equal(fx_rename(f, "ws/away", "ws/d", 0), 0);
    assert_int_equal(fx_mkdir(f, "ws/empty", 0755), 0);
    assert_int_equal(snapshot(f, hex, NULL, NULL), 0);
    assert_string_equal(hex, base);
    _cleanup_free_ char *after = test_output(f->work, "find objects | sort");
    assert_string_equal(before, after);
}

/* A directory that only looks touched keeps its id, with whatever in it no filesystem may show. */
static void what_is_hidden_stays(void **state)
{
    struct fixture *f = *state;
    char hex[OID_HEX + 1];

    struct buf tree = {0};
    struct oid x;
    _cleanup_free_ char *hex_x = test_output(f->work, "git rev-parse main:d/x");
    assert_int_equal(oid_parse(hex_x, &x), 0);
    buf_add(&tree, "100644 .GIT", 12);
    buf_add(&tree, x.id, OID_RAW);
    buf_add(&tree, "100644 x", 9);
    buf_add(&tree, x.id, OID_RAW);
    test_write_bytes(f->dir, "hostile", tree.data, tree.len);
    buf_done(&tree);
    test_run(f->work, "d=$(git hash-object -t tree -w --literally ../hostile) && "
                      "t=$(printf '040000 tree %%s\td\n' $d | git mktree) && "
                      "git update-ref refs/heads/main $(git commit-tree -p main -m hostile $t)");
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    assert_int_equal(fx_rmdir(f, "ws"), 0);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    _cleanup_free_ char *names = fx_list(f, "ws/d");
    assert_string_equal(names, "x\n");
    fx_put(f, "ws/d/new", "x\n");
    assert_int_equal(fx_unlink(f, "ws/d/new"), 0);
    assert_int_equal(snapshot(f, hex, NULL, NULL), 0);
    _cleanup_free_ char *want = test_output(f->work, "git rev-parse main^{tree}");
    assert_string_equal(hex, want);
}

static void too_deep_says_where(void **state)
{
    struct fixture *f = *state;
    _cleanup_(diag_done) struct diag why = {0};
    char hex[OID_HEX + 1];

    /* Two chains that are just short enough, one hung below the other. */
    for (int chain = 0; chain < 2; chain++) {
        struct node *n = fx_get(f, "ws"), *next;
        for (int i = 0; i < 1100; i++) {
            assert_int_equal(n->ops->mkdir(n, &me, i || !chain ? "n" : "m", 0755, &next), 0);
            node_unref(n);
            n = next;
        }
        struct node *root = fx_get(f, "ws");
        if (chain)
            assert_int_equal(root->ops->rename(root, &me, "n", n, "n", 0), 0);
        node_unref(root);
        node_unref(n);
    }
    assert_int_equal(snapshot(f, hex, NULL, &why), -ENAMETOOLONG);
    assert_non_null(strstr(why.text, "m/n/n/"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_tree_that_git_makes), T(empty_directories_are_named), T(nothing_new_writes_nothing),
        T(what_is_hidden_stays),    T(too_deep_says_where),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
