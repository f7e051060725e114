/* One check of the host, with shell scripts in its place. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "check/host.h"
#include "check/results.h"

/* The tree of the fixture, as files in dir/trees/<id>. */
static char *make_trees(struct fixture *f)
{
    char hex[OID_HEX + 1];

    test_run(f->path, "mkdir -p ../trees/%s && git archive HEAD | tar x -C ../trees/%s",
             oid_hex(&f->tree, hex), hex);
    return xasprintf("%s/trees", f->dir);
}

/* Runs sh -c `script` with these paths; what it objects to, as text (free), and how it ended. */
static char *run(struct fixture *f, const char *script, const char *const *paths, size_t n,
                 int64_t *ret_until)
{
    char *words[] = {(char *)"sh", (char *)"-c", (char *)script, (char *)"check"};
    struct check_config config = {.name = (char *)"lint", .timeout = 60 * NS_PER_SEC};
    _cleanup_free_ char *trees = make_trees(f);
    struct check_input in = {.tree = f->tree};
    struct findings found = {0};
    struct diag why = {0};
    struct buf out = {0};

    config.command.v = words;
    config.command.n = 4;
    if (!strncmp(script, "hang", 4)) {
        words[2] += 4;
        config.timeout = 50 * NS_PER_MS;
    }
    struct host_check h = {f->repo, &config, &in, trees, paths, n, -1};
    if (host_check_run(&h, &found, ret_until, &why) < 0)
        fail_msg("%s", diag_text(&why, 0));
    findings_render(&found, &out);
    findings_done(&found);
    return buf_take(&out);
}

static void assert_script(struct fixture *f, const char *script, const char *expected)
{
    static const char *const paths[] = {"-x", "a b"};
    int64_t until;
    _cleanup_free_ char *got = run(f, script, paths, 2, &until);

    assert_string_equal(got, expected);
    if (!*expected)
        assert_true(until == RESULT_FOREVER);
    else if (strstr(expected, "not done"))
        assert_int_equal(until, 0);
    else
        assert_true(until > clock_mono() && until < clock_mono() + 100 * NS_PER_SEC);
}

static void its_end_says_what_it_objects_to(void **state)
{
    struct fixture *f = *state;

    setenv("SECRET", "of the daemon", 1);
    assert_script(f, "echo apps/file:1:1: only a warning", "");
    assert_script(f, "echo apps/file:2:1: b; echo apps/file:1:1: a >&2; exit 1",
                  "apps/file:2:1: lint: b\napps/file:1:1: lint: a\n");
    assert_script(f, "exit 7", ".: lint: exit status 7\n");
    assert_script(f, "echo no; echo place; exit 2", ".: lint: exit status 2: no | place\n");
    assert_script(f, "kill -SEGV $$", ".: lint: killed by SIGSEGV\n");
    assert_script(f, "hangecho begun; sleep 1000",
                  ".: lint: not done within 50ms, stopped: begun\n");
    assert_script(f, "yes | head -c 1000000; exit 1",
                  ".: lint: exit status 1: [934464 bytes before this were dropped] | y | y | y | "
                  "y | y | y | y …\n");
}

static void it_gets_what_the_manual_says(void **state)
{
    struct fixture *f = *state;

    assert_script(f, "test \"$(pwd)\" = \"$ONWARD_TREE\" && test -d apps", "");
    assert_script(f, "test $ONWARD_CHECK = lint && test \"$ONWARD_BASE\" = \"\"", "");
    assert_script(f, "test -z \"$SECRET\" && test \"$LANG\" = C.UTF-8 && test -d \"$HOME\"", "");
    assert_script(f, "test $# = 2 && test \"$1\" = ./-x && test \"$2\" = 'a b'", "");
    assert_script(f, "test -z \"$(cat)\" && test $(ls /proc/self/fd | wc -l) -le 4", "");
}

/* All paths reach it, however many there are. */
static void many_paths_are_given_in_several_runs(void **state)
{
    struct fixture *f = *state;
    char *paths[20000];
    int64_t until;

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        paths[i] = xasprintf("a/long/way/down/to/file-%zu", i);
    _cleanup_free_ char *script =
        xasprintf("cd %s; echo >>runs; for i; do echo $i; done >>given", f->dir);
    _cleanup_free_ char *got =
        run(f, script, (const char *const *)paths, ARRAY_SIZE(paths), &until);
    assert_string_equal(got, "");
    _cleanup_free_ char *given = test_output(f->dir, "wc -l <given; sort -u given | wc -l");
    assert_string_equal(given, "20000\n20000");
    _cleanup_free_ char *runs = test_output(f->dir, "wc -l <runs");
    assert_true(atof(runs) > 2 && atof(runs) < 20);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        free(paths[i]);
}

static void what_cannot_be_started_is_said(void **state)
{
    struct fixture *f = *state;
    char *words[] = {(char *)"no-such-linter"};
    struct check_config config = {.name = (char *)"lint", .timeout = NS_PER_SEC};
    struct check_input in = {.tree = f->tree};
    struct findings found = {0};
    int64_t until;

    config.command.v = words;
    config.command.n = 1;
    struct host_check h = {f->repo, &config, &in, "/nonexistent", NULL, 0, -1};
    assert_int_equal(host_check_run(&h, &found, &until, NULL), 0);
    assert_int_equal(until, 0);
    words[0] = (char *)"true"; /* there, but the tree is not */
    assert_int_equal(host_check_run(&h, &found, &until, NULL), 0);
    assert_int_equal(until, 0);
    assert_int_equal(found.n, 2);
    assert_non_null(strstr(found.v[0].message, "there is no command no-such-linter in /usr/local"));
    assert_non_null(strstr(found.v[1].message, "cannot start"));
    findings_done(&found);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_end_says_what_it_objects_to),
        TEST(it_gets_what_the_manual_says),
        TEST(many_paths_are_given_in_several_runs),
        TEST(what_cannot_be_started_is_said),
    };

    log_open(false, LOG_LEVEL_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
