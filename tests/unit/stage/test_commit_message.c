/* What a revision is to say, from what people write. */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fixture.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new();

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

static void say(struct fixture *f, const char *text, size_t len)
{
    _cleanup_(node_unrefp) struct node *n = fx_get(f, "ws/.onward/message");

    assert_int_equal(node_truncate(n, 0), 0);
    assert_int_equal(n->ops->write(n, &me, text, len, 0), len);
}

static void assert_refused(struct fixture *f, const char *line, const char *why)
{
    int err;

    assert_int_equal(fx_commit(f, "ws", &me, line), -EINVAL);
    _cleanup_free_ char *outcome = fx_read(f, "ws/.onward/outcome", &err);
    if (!strstr(outcome, why))
        fail_msg("outcome is '%s', without '%s'", outcome, why);
}

static void assert_said(struct fixture *f, const char *want)
{
    _cleanup_free_ char *got = test_output(f->work, "git log -1 --format=%%B main");

    assert_string_equal(got, want);
}

static void change(struct fixture *f)
{
    static int n;
    _cleanup_free_ char *text = xasprintf("%d\n", n++);

    fx_put(f, "ws/file", text);
}

static void what_is_refused(void **state)
{
    struct fixture *f = *state;

    change(f);
    assert_refused(f, "   ", "is empty");
    assert_refused(f, "-", "is empty");
    say(f, "\r\n \r\n", 5);
    assert_refused(f, "-", "is empty");
    say(f, "a\0b", 3);
    assert_refused(f, "-", "NUL");
    assert_refused(f, "latin \xe9", "not UTF-8 in line 1");
    say(f, "one\n\ntwo \xff\n", 11);
    assert_refused(f, "-", "not UTF-8 in line 3");
    assert_refused(f, "Reviewed-by : Bob", "Reviewed-by");
    say(f, "x\n\nApproved-by: Bob <b@x>\n", 26);
    assert_refused(f, "-", "Approved-by");
    assert_int_equal(mainline_head(f->mainline, &(struct oid){0}), -ENOENT);
}

static void what_is_said(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *most = xmalloc(65537);

    change(f);
    say(f, "\r\n\nsubject  \r\n\r\n\r\n\r\nbody\t\r\nmore\r\n\r\n", 35);
    assert_int_equal(fx_commit(f, "ws", &me, "-"), 0);
    assert_said(f, "subject\n\nbody\nmore\n\nOnward-Workspace: ws");
    fx_assert_content(f, "ws/.onward/message", "");
    change(f);
    say(f, "s\n\nFixes: #1\nOnward-Workspace: other\nOnward-Id: 7\n", 50);
    assert_int_equal(fx_commit(f, "ws", &me, "-"), 0);
    assert_said(f, "s\n\nFixes: #1\nOnward-Workspace: ws");
    change(f);
    assert_int_equal(fx_commit(f, "ws", &me, "a line\r"), 0);
    assert_said(f, "a line\n\nOnward-Workspace: ws");
    /* As long as it may be, to the byte. */
    change(f);
    memset(most, 'x', 65536);
    most[65536] = 0;
    most[10] = most[11] = '\n';
    say(f, most, 65536);
    assert_int_equal(fx_write(f, "ws/.onward/message", "y", 65536), -EFBIG);
    assert_int_equal(fx_commit(f, "ws", &me, "-"), 0);
    _cleanup_free_ char *size =
        test_output(f->work, "git log -1 --format=%%B main | tr -dc x | wc -c");
    assert_string_equal(size, "65534");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_said, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
