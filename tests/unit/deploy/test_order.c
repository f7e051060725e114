/* What operators may write, and what they are told otherwise. */
#include "testlib.h"

#include <errno.h>

#include "base/buf.h"
#include "deploy/order.h"

/* The order as text: "kind sites; reason". */
static void assert_order(const char *line, const char *expected)
{
    _cleanup_(order_done) struct order o = {0};
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_(buf_done) struct buf out = {0};
    int r = order_parse(line, &o, &why);

    if (r < 0) {
        assert_int_equal(r, -EINVAL);
        buf_addf(&out, "! %s", diag_text(&why, r));
    } else {
        buf_addf(&out, "%d", o.kind);
        vec_foreach (s, &o.sites)
            buf_addf(&out, " %s", *s);
        if (o.to)
            buf_addf(&out, " to %s", o.to);
        buf_addf(&out, "; %s", o.reason ? o.reason : "-");
    }
    assert_string_equal(buf_str(&out), expected);
}

static void test_orders_are_read(void **state)
{
    assert_order("retry a", "0 a; -");
    assert_order(" retry\ta  b ", "0 a b; -");
    assert_order("hold a b --reason new  shelves ", "1 a b; new  shelves");
    assert_order("hold a --reason --reason", "1 a; --reason");
    assert_order("release a", "2 a; -");
    assert_order("pause", "3; -");
    assert_order("pause --reason it is Friday", "3; it is Friday");
    assert_order("resume", "4; -");
    assert_order("accept --reason ours", "5; ours");
    assert_order("rollback a b --to v1 --reason it --to burns", "6 a b to v1; it --to burns");
    assert_order("rollback --to v1 a --reason x", "6 a to v1; x");
}

static void test_what_is_wrong_is_said(void **state)
{
    _cleanup_(order_done) struct order o = {0};
    char long_line[2000];

    assert_order("", "! there is no command \"\"; there are retry, hold, release, pause, resume, "
                     "accept, rollback");
    assert_order("retry", "! retry: it needs the name of a site: retry SITE...");
    assert_order("hold a", "! hold: it needs a reason: hold SITE... --reason TEXT");
    assert_order("hold a --reason  ", "! hold: it needs a reason: hold SITE... --reason TEXT");
    assert_order("pause a", "! pause: it takes no sites: pause [--reason TEXT]");
    assert_order("rollback a --reason x",
                 "! rollback: it needs a revision: rollback SITE... --to REVISION --reason TEXT");
    assert_order("rollback a --to v1 --to v2 --reason x", "6 a --to v2 to v1; x");
    assert_order("hold a --to v1 --reason x",
                 "! hold: it takes no revision: hold SITE... --reason TEXT");
    memset(long_line, 'x', sizeof(long_line) - 1);
    long_line[sizeof(long_line) - 1] = 0;
    memcpy(long_line, "pause --reason ", 15);
    assert_int_equal(order_parse(long_line, &o, NULL), -EINVAL);
    memcpy(long_line, "retry xxxxxxxxx", 15);
    assert_order(long_line, "! retry: a name in it is too long: retry SITE...");
    assert_order(long_line + 6,
                 "! there is no command \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"; there are "
                 "retry, hold, release, pause, resume, accept, rollback");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_are_read),
        cmocka_unit_test(test_what_is_wrong_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
