/* Where state lives: a directory for each repository that says which, used by one process at a
 * time. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "daemon/state_dir.h"
#include "testlib.h"

static int set_up(void **state)
{
    *state = test_dir_new();
    return 0;
}

static int tear_down(void **state)
{
    test_dir_free(*state);
    return 0;
}

/* The name of the directory that is made for a repository, without the hash. free() it. */
static char *name_for(const char *base, const char *repository)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *dir = NULL;
    struct lease *lock = NULL;

    if (state_dir_open(base, repository, "me", &dir, &lock, &why) < 0)
        fail_msg("%s", diag_text(&why, -EIO));
    lease_free(lock);
    assert_int_equal(strncmp(dir, base, strlen(base)), 0);
    assert_int_equal(dir[strlen(base)], '/');
    const char *name = dir + strlen(base) + 1;
    assert_true(strlen(name) > 9 && name[strlen(name) - 9] == '-');
    assert_null(strchr(name, '/'));
    return xstrndup(name, strlen(name) - 9);
}

static void the_name_says_which_repository(void **state)
{
    static const char *const names[][2] = {
        {"/srv/infra.git", "infra"},
        {"/srv/infra/.git", "infra"},
        {"/srv/infra", "infra"},
        {"/srv/a.b.git", "a.b"},
        {"/", "root"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        _cleanup_free_ char *name = name_for(*state, names[i][0]);
        assert_string_equal(name, names[i][1]);
    }
}

static void each_repository_has_its_own(void **state)
{
    _cleanup_free_ char *base = xasprintf("%s/made/on/the/way", (char *)*state);
    _cleanup_free_ char *a = NULL, *b = NULL, *again = NULL;
    struct lease *one = NULL, *two = NULL;
    struct stat st;

    assert_int_equal(state_dir_open(base, "/a/infra", "me", &a, &one, NULL), 0);
    assert_int_equal(state_dir_open(base, "/b/infra", "me", &b, &two, NULL), 0);
    assert_string_not_equal(a, b);
    assert_int_equal(stat(a, &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    lease_free(one);
    assert_int_equal(state_dir_open(base, "/a/infra", "me", &again, &one, NULL), 0);
    assert_string_equal(again, a);
    lease_free(one);
    lease_free(two);
}

static void a_second_process_is_told_who_has_it(void **state)
{
    _cleanup_free_ char *dir = NULL, *none = NULL;
    _cleanup_(diag_done) struct diag why = {0};
    struct lease *lock = NULL, *second = NULL;

    assert_int_equal(state_dir_open(*state, "/a/infra", "the first", &dir, &lock, NULL), 0);
    assert_int_equal(state_dir_open(*state, "/a/infra", "the second", &none, &second, &why),
                     -EBUSY);
    assert_null(none);
    assert_null(second);
    const char *text = diag_text(&why, -EBUSY);
    assert_non_null(strstr(text, "held by the first"));
    assert_non_null(strstr(text, "-o ro"));
    assert_non_null(strstr(text, "-o state=DIR"));
    lease_free(lock);
    assert_int_equal(state_dir_open(*state, "/a/infra", "the third", &none, &second, NULL), 0);
    lease_free(second);
}

static void what_is_in_the_way_is_named(void **state)
{
    _cleanup_free_ char *base = xasprintf("%s/file", (char *)*state), *dir = NULL;
    _cleanup_(diag_done) struct diag why = {0};
    struct lease *lock = NULL;

    test_write_file(*state, "file", "");
    assert_int_equal(state_dir_open(base, "/a/infra", "me", &dir, &lock, &why), -ENOTDIR);
    assert_non_null(strstr(diag_text(&why, -ENOTDIR), base));
}

/* As a user; root's place does not depend on the environment. */
static void the_default_follows_the_environment(void **state)
{
    _cleanup_free_ char *xdg = NULL, *home = NULL, *none = NULL;

    setenv("XDG_STATE_HOME", "/x", 1);
    setenv("HOME", "/h", 1);
    assert_int_equal(state_dir_default(&xdg, NULL), 0);
    assert_string_equal(xdg, getuid() ? "/x/onwardfs" : "/var/lib/onwardfs");
    setenv("XDG_STATE_HOME", "relative", 1);
    assert_int_equal(state_dir_default(&home, NULL), 0);
    assert_string_equal(home, getuid() ? "/h/.local/state/onwardfs" : "/var/lib/onwardfs");
    unsetenv("HOME");
    assert_int_equal(state_dir_default(&none, NULL), getuid() ? -ENOENT : 0);
}

static void a_new_start_of_the_host_is_noticed_once(void **state)
{
    int64_t since = 0;

    assert_false(state_dir_after_boot(*state, &since));
    assert_false(state_dir_after_boot(*state, &since));
    test_run(*state, "echo another >boot; touch -d @1000 boot");
    assert_true(state_dir_after_boot(*state, &since));
    assert_int_equal(since, INT64_C(1000) * 1000000000);
    assert_false(state_dir_after_boot(*state, &since));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_name_says_which_repository, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_repository_has_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_process_is_told_who_has_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_in_the_way_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_start_of_the_host_is_noticed_once, set_up, tear_down),
        cmocka_unit_test(the_default_follows_the_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
