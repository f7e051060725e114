/* The states of a workspace (workspace.h): steady, moving, and what each transition leaves on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "fixture.h"
#include "stage/overlay_node.h"
#include "stage/workspace_state.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new();

    free(fixture_push(f, "mkdir d && echo 1 > d/f && echo 1 > g"));
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

static void names(void **state)
{
    static const struct {
        const char *name;
        int want;
    } cases[] = {
        {"a", 0},
        {"fix-dns", 0},
        {"A.b_c-9", 0},
        {"x@v1.4", 0},
        {"x@HEAD~3", 0},
        {"x@a@{1}", 0},
        {"", -EINVAL},
        {".a", -EINVAL},
        {"@a", -EINVAL},
        {"a@", -EINVAL},
        {"a b", -EINVAL},
        {"a\nb", -EINVAL},
        {"\xc3\xa9", -EINVAL},
        {"x@a\nb", -EINVAL},
        {"-rf", 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (workspace_check_name(cases[i].name) != cases[i].want)
            fail_msg("'%s'", cases[i].name);
}

static void state_round_trip(void **state)
{
    struct fixture *f = *state;
    _cleanup_close_ int dir = open(f->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct workspace_state s = {
        .uid = 4294967290u,
        .gid = 7,
        .owner = (char *)"a \"quoted\" name",
        .base_mtime = INT64_C(1767225600000000001),
        .upper = 41,
        .base.id = {1, 2, 3},
        .next_base.id = {4},
        .next_mtime = 5,
    };
    struct workspace_state back;

    assert_int_equal(workspace_state_save(dir, &s), 0);
    assert_int_equal(workspace_state_load(dir, &back, NULL), 0);
    assert_string_equal(back.owner, s.owner);
    free(back.owner);
    assert_true(back.uid == s.uid && back.gid == s.gid && back.upper == s.upper);
    assert_true(back.base_mtime == s.base_mtime && back.next_mtime == s.next_mtime);
    assert_true(oid_equal(&back.base, &s.base) && oid_equal(&back.next_base, &s.next_base));
    s.base = s.next_base = (struct oid){0};
    assert_int_equal(workspace_state_save(dir, &s), 0);
    assert_int_equal(workspace_state_load(dir, &back, NULL), 0);
    assert_true(oid_is_zero(&back.base) && oid_is_zero(&back.next_base));
    free(back.owner);
}

static void state_that_is_none(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"onward\":2,\"upper\":1,\"base_mtime\":1}",
        "{\"onward\":1,\"upper\":0,\"base_mtime\":1}",
        "{\"onward\":1,\"upper\":1}",
        "{\"onward\":1,\"upper\":1,\"base_mtime\":1,\"base\":\"12\"}",
    };
    _cleanup_close_ int dir = open(f->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_(diag_done) struct diag why = {0};
        struct workspace_state s;
        test_write_file(f->work, "state", bad[i]);
        assert_int_equal(workspace_state_load(dir, &s, &why), -EIO);
        assert_non_null(why.text);
    }
}

static struct workspace *of(struct fixture *f)
{
    struct node *root = fx_get(f, "ws");
    struct workspace *ws = overlay_node(root)->ws;

    node_unref(root); /* the staging area has it */
    return ws;
}

static struct oid push(struct fixture *f, const char *script)
{
    struct oid id;
    _cleanup_free_ char *hex = fixture_push(f, script);

    assert_int_equal(oid_parse(hex, &id), 0);
    return id;
}

static void a_move_that_is_cancelled(void **state)
{
    struct fixture *f = *state;
    struct oid next = push(f, "echo 2 > g");
    struct kept_dir dirs[] = {{(char *)"d/e", 0750}, {(char *)"g/h", 0755}};
    struct kept_dirs keep = {.v = dirs, .n = 2};
    struct workspace *ws = of(f);

    fx_put(f, "ws/d/f", "mine\n");
    workspace_lock_frozen(ws);
    assert_int_equal(workspace_prepare_move(ws, &next, &keep, NULL), 0);
    /* W1: nothing shows it yet. W2, W3: it is on disk, announced. */
    assert_int_equal(ws->state.upper, 1);
    test_run(f->dir, "cd state/workspaces/ws && grep -q next_base state && test -d upper.2/d/e && "
                     "test ! -e upper.2/g");
    workspace_cancel_move(ws);
    workspace_unlock_frozen(ws);
    test_run(f->dir, "cd state/workspaces/ws && ! grep -q next_base state && test ! -e upper.2");
    fx_assert_content(f, "ws/d/f", "mine\n");
    fx_assert_content(f, "ws/g", "1\n");
}

static void a_move_that_is_finished(void **state)
{
    struct fixture *f = *state;
    struct oid next = push(f, "echo 2 > g && mkdir k && echo 3 > k/l");
    struct kept_dir dirs[] = {{(char *)"d/e", 0750}, {(char *)"k/m", 0755}};
    struct kept_dirs keep = {.v = dirs, .n = 2};
    struct workspace *ws = of(f);
    struct stat st;

    fx_put(f, "ws/d/f", "mine\n");
    workspace_lock_frozen(ws);
    assert_int_equal(workspace_prepare_move(ws, &next, &keep, NULL), 0);
    assert_int_equal(workspace_finish_move(ws, NULL), 0);
    workspace_unlock_frozen(ws);
    test_run(f->dir, "cd state/workspaces/ws && ! grep -q next_base state && test ! -e upper.1");
    for (int again = 0; again < 2; again++) {
        fx_assert_content(f, "ws/d/f", "1\n");
        fx_assert_content(f, "ws/g", "2\n");
        fx_assert_content(f, "ws/k/l", "3\n");
        assert_int_equal(fx_stat(f, "ws/d/e", &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0750);
        fixture_close(f);
        fixture_open(f);
    }
}

static int never(struct workspace *ws)
{
    return -ENOTEMPTY;
}

static void ending(void **state)
{
    struct fixture *f = *state;
    struct workspace *ws = workspace_ref(of(f));

    assert_int_equal(workspace_end(ws, never), -ENOTEMPTY);
    test_run(f->dir, "test -d state/workspaces/ws");
    assert_int_equal(workspace_end(ws, NULL), 0);
    assert_int_equal(workspace_end(ws, NULL), -ESTALE);
    test_run(f->dir, "test -z \"$(ls -A state/workspaces)\"");
    workspace_unref(ws);
}

static void lock_and_unlock(void *arg)
{
    assert_int_equal(workspace_lock_committing(arg), 0);
    workspace_unlock_committing(arg);
}

static void set_true(void *arg)
{
    *(_Atomic bool *)arg = true;
}

static bool is_true(void *arg)
{
    return *(_Atomic bool *)arg;
}

/* Who has it may need the threads that wait for it. */
static void who_waits_to_commit_keeps_no_thread_of_a_pool(void **state)
{
    struct workspace *ws = of(*state);
    struct pool *pool = pool_new("one", 1);
    _Atomic bool ran = false;

    assert_int_equal(workspace_lock_committing(ws), 0);
    pool_submit(pool, lock_and_unlock, ws);
    pool_submit(pool, set_true, &ran);
    bool others_run = test_wait(is_true, &ran, 20000);
    ws->waiting += 1000;
    int too_many = workspace_lock_committing(ws);
    ws->waiting -= 1000;
    workspace_unlock_committing(ws);
    pool_free(pool);
    assert_true(others_run);
    assert_int_equal(too_many, -EBUSY);
    assert_int_equal(ws->waiting, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        T(state_round_trip),
        T(state_that_is_none),
        T(a_move_that_is_cancelled),
        T(a_move_that_is_finished),
        T(ending),
        T(who_waits_to_commit_keeps_no_thread_of_a_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
