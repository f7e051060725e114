#include "ctl/mountpoint.h"

#include <errno.h>
#include <fcntl.h>

#include "testlib.h"

static const char one[] = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                          "42 22 0:46 / /infra rw - fuse.onwardfs repo rw\n"
                          "43 42 0:46 /sites /bound rw - fuse.onwardfs repo rw\n";
static const char two[] = "44 22 0:47 / /other rw - fuse.onwardfs repo rw\n";

/* Chooses with these tables and arguments; the path, the words for the error, or both are checked.
 */
static void expect(const char *more, const char *cwd, const char *env, int explicit, int r,
                   const char *path, const char *inside)
{
    _cleanup_(mountinfo_done) struct mountinfo table = {0};
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_(mountpoint_close) struct mountpoint m = {.fd = -1};

    mountinfo_parse(more == two ? one : more, &table);
    if (more == two)
        mountinfo_parse(two, &table);
    assert_int_equal(mountpoint_choose(&table, cwd, env, explicit, &m, &why), r);
    if (r < 0) {
        assert_non_null(strstr(diag_text(&why, r), path));
        return;
    }
    assert_string_equal(m.path, path);
    if (inside)
        assert_string_equal(m.inside, inside);
    else
        assert_null(m.inside);
}

static void test_order(void **state)
{
    expect(one, "/infra/staging/w", "/elsewhere", 0, 0, "/infra", "staging/w");
    expect(one, "/home", "/elsewhere", 0, 0, "/elsewhere", NULL);
    expect(one, "/elsewhere/staging/w", "/elsewhere", 0, 0, "/elsewhere", "staging/w");
    expect(one, "/home", NULL, 0, 0, "/infra", NULL);
    expect(one, NULL, "", 0, 0, "/infra", NULL);
    expect(two, "/other", NULL, 0, 0, "/other", "");
}

static void test_words_when_there_is_no_choice(void **state)
{
    expect(two, "/home", NULL, 0, -ENOTUNIQ, "/infra /other", NULL);
    expect("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "/home", NULL, 0, -ENODEV, "nothing is mounted",
           NULL);
    /* A directory that the user named is not replaced by another one. */
    expect(one, "/home", NULL, 1, -ENODEV, "/home is not inside", NULL);
    expect(one, "/home", "/elsewhere", 1, -ENODEV, "/home is not inside", NULL);
    expect(one, "/elsewhere/x", "/elsewhere", 1, 0, "/elsewhere", "x");
}

static void test_files(void **state)
{
    char *dir = test_dir_new();
    _cleanup_(mountpoint_close) struct mountpoint m = {.path = xstrdup(dir), .fd = -1};
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_(names_done) struct names names = {0};
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *target = NULL;

    test_run(dir, "mkdir h h/9 h/10 h/100; ln -s ../revisions/abc l; echo one >ctl");
    m.fd = open(dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(mountpoint_list(&m, "h", &names, &why), 0);
    assert_int_equal(names.n, 3);
    assert_string_equal(names.v[1], "10");
    assert_int_equal(mountpoint_readlink(&m, "l", &target, &why), 0);
    assert_string_equal(target, "../revisions/abc");
    /* A command does not shorten what is there: a control file would see that as a change. */
    assert_int_equal(mountpoint_command(&m, "ctl", "x", &why), 0);
    assert_int_equal(mountpoint_read(&m, "ctl", &text, &why), 0);
    assert_string_equal(text.data, "x\ne\n");
    assert_int_equal(mountpoint_command(&m, "absent/ctl", "x", &why), -ENOENT);
    assert_non_null(strstr(why.text, "absent/ctl"));
    test_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_words_when_there_is_no_choice),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
