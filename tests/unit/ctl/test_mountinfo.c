#include "ctl/mountinfo.h"

#include "base/cleanup.h"
#include "testlib.h"

static const char table[] =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "41 22 0:45 / /srv/in\\040fra\\134x\\011y rw,nosuid - fuse.onwardfs infra rw,user_id=0\n"
    "42 22 0:46 / /infra rw,nosuid,nodev shared:7 master:2 - fuse.onwardfs /srv/infra.git rw\n"
    "this is no line\n"
    "43 42 0:47 /revisions /part rw - fuse.onwardfs /srv/infra.git rw\n"
    "44 42 0:48 / /infra/staging/w/tmp rw - tmpfs tmpfs rw\n";

static void test_fields_and_escapes(void **state)
{
    _cleanup_(mountinfo_done) struct mountinfo m = {0};

    mountinfo_parse(table, &m);
    assert_int_equal(m.n, 5);
    assert_string_equal(m.v[0].type, "ext4");
    assert_string_equal(m.v[1].point, "/srv/in fra\\x\ty");
    assert_true(mount_entry_is_ours(&m.v[1]));
    assert_string_equal(m.v[2].point, "/infra");
    assert_string_equal(m.v[3].root, "/revisions");
    assert_false(mount_entry_is_ours(&m.v[3]));
}

static const char *point_of(const struct mountinfo *m, const char *path)
{
    return mountinfo_holding(m, path)->point;
}

static void test_the_deepest_mount_holds_a_path(void **state)
{
    _cleanup_(mountinfo_done) struct mountinfo m = {0};

    mountinfo_parse(table, &m);
    assert_string_equal(point_of(&m, "/infra"), "/infra");
    assert_string_equal(point_of(&m, "/infra/staging/w"), "/infra");
    assert_string_equal(point_of(&m, "/infra/staging/w/tmp/x"), "/infra/staging/w/tmp");
    assert_string_equal(point_of(&m, "/infrastructure"), "/");
}

static void test_the_later_mount_covers_the_earlier(void **state)
{
    _cleanup_(mountinfo_done) struct mountinfo m = {0};

    mountinfo_parse(table, &m);
    mountinfo_parse("50 42 0:50 / /infra rw - tmpfs none rw\n", &m);
    assert_string_equal(mountinfo_holding(&m, "/infra/head")->type, "tmpfs");
}

static void test_path_below(void **state)
{
    assert_string_equal(path_below("/a/b/c", "/a"), "b/c");
    assert_string_equal(path_below("/a", "/a"), "");
    assert_string_equal(path_below("/a", "/"), "a");
    assert_string_equal(path_below("/a/b", "/a/"), "b");
    assert_null(path_below("/ab", "/a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_and_escapes),
        cmocka_unit_test(test_the_deepest_mount_holds_a_path),
        cmocka_unit_test(test_the_later_mount_covers_the_earlier),
        cmocka_unit_test(test_path_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
