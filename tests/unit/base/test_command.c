/* The command runner against real processes that misbehave. Limits are tens of milliseconds where
 * the test waits for them, and far beyond what a slow machine needs where they must not be reached.
 */
#include "testlib.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/command.h"

#define SOON (50 * NS_PER_MS)
#define LONG (60 * NS_PER_SEC)

static const char *const env[] = {"PATH=/usr/bin:/bin", "MARK=here", NULL};

/* A shell script as a command; the tests change what they are about. */
static struct command shell(const char *const argv[4])
{
    return (struct command){.path = "/bin/sh",
                            .argv = argv,
                            .envp = env,
                            .cwd = "/",
                            .input = "request\n",
                            .input_len = 8,
                            .keep = 1 << 20,
                            .timeout = LONG,
                            .kill_after = LONG,
                            .stop_fd = -1};
}

#define SCRIPT(text) ((const char *const[4]){"sh", "-c", (text), NULL})

static struct command_end run(const struct command *c)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct command_end end = {0};
    int r = command_run(c, &end, &why);

    if (r < 0)
        fail_msg("%s", diag_text(&why, r));
    return end;
}

/* Runs the script and compares status and output. */
static void assert_runs(const char *script, int status, const char *output)
{
    struct command c = shell(SCRIPT(script));
    struct command_end end = run(&c);

    if (end.status != status || strcmp(buf_str(&end.output), output) != 0)
        fail_msg("%s: %d '%s'", script, end.status, buf_str(&end.output));
    assert_false(end.timed_out || end.stopped);
    buf_done(&end.output);
}

/* The number that the script printed. */
static pid_t printed_pid(const struct command_end *end)
{
    return strtol(buf_str(&end->output), NULL, 10);
}

/* Whether the process is gone, or a zombie that its parent has not looked at. */
static bool is_dead(void *pid)
{
    char path[64], line[256] = "";

    snprintf(path, sizeof(path), "/proc/%d/stat", *(pid_t *)pid);
    _cleanup_(fclosep) FILE *f = fopen(path, "re");
    if (!f || !fgets(line, sizeof(line), f))
        return true;
    const char *state = strrchr(line, ')');
    return state && (state[2] == 'Z' || state[2] == 'X');
}

static void test_status_and_both_streams_come_back(void **state)
{
    assert_runs("echo out; echo err >&2; echo out again; exit 3", 3, "out\nerr\nout again\n");
    assert_runs("true", 0, "");
}

static void test_death_by_a_signal_is_told(void **state)
{
    assert_runs("kill -KILL $$", 128 + SIGKILL, "");
    assert_runs("kill -SEGV $$", 128 + SIGSEGV, "");
}

static void test_the_environment_is_only_what_was_given(void **state)
{
    setenv("SECRET", "x", 1);
    assert_runs("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort; pwd", 0,
                "MARK=here\nPATH=/usr/bin:/bin\n/\n");
}

static void test_no_descriptor_of_ours_is_passed_on(void **state)
{
    assert_int_equal(dup2(STDERR_FILENO, 57), 57); /* one without close-on-exec */
    assert_runs("[ -e /proc/self/fd/57 ] && echo leaked; exit 0", 0, "");
    close(57);
}

/* What the daemon ignores and blocks is not inherited. */
static void test_signals_are_as_a_program_expects(void **state)
{
    sigset_t pipes, before;

    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    sigaddset(&pipes, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &pipes, &before);
    signal(SIGPIPE, SIG_IGN);
    assert_runs("kill -PIPE $$; echo alive", 128 + SIGPIPE, "");
    assert_runs("kill -TERM $$; echo alive", 128 + SIGTERM, "");
    signal(SIGPIPE, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void *run_with_privileges(void *arg)
{
    struct command c = shell(SCRIPT("grep NoNewPrivs /proc/self/status"));
    struct command_end *end = arg;

    c.privileges = true;
    *end = run(&c);
    return NULL;
}

/* Unless its caller says so, and then from a thread that has not given them up. */
static void test_no_privileges_can_be_gained(void **state)
{
    struct command_end end;
    pthread_t thread;
    bool had = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;

    pthread_create(&thread, NULL, run_with_privileges, &end);
    pthread_join(thread, NULL);
    assert_string_equal(buf_str(&end.output), had ? "NoNewPrivs:\t0\n" : "NoNewPrivs:\t1\n");
    buf_done(&end.output);
    assert_runs("grep NoNewPrivs /proc/self/status", 0, "NoNewPrivs:\t1\n");
}

static void test_the_request_can_be_read(void **state)
{
    assert_runs("cat", 0, "request\n");
    assert_runs("read line; echo \"<$line>\"", 0, "<request>\n");
}

static void test_a_request_that_nobody_reads_is_no_problem(void **state)
{
    _cleanup_free_ char *large = xcalloc(10, 1 << 20);
    struct command c = shell(SCRIPT("exec <&-; echo ok"));

    c.input = large;
    c.input_len = 10 << 20;
    struct command_end end = run(&c);
    assert_int_equal(end.status, 0);
    assert_string_equal(end.output.data, "ok\n");
    buf_done(&end.output);
}

static void test_a_flood_is_taken_and_its_end_kept(void **state)
{
    struct command c = shell(SCRIPT("yes 0123456789 | head -c 30000000; echo the end"));

    c.keep = 1000;
    struct command_end end = run(&c);
    assert_int_equal(end.status, 0);
    assert_true(end.output.len < 1100);
    assert_string_equal(end.output.data + end.output.len - 8, "the end\n");
    assert_non_null(strstr(end.output.data, "bytes before this were dropped"));
    buf_done(&end.output);
}

static void test_who_takes_too_long_gets_term(void **state)
{
    struct command c = shell(SCRIPT("echo begun; sleep 1000; echo never"));

    c.timeout = 10 * SOON;
    struct command_end end = run(&c);
    assert_true(end.timed_out);
    assert_false(end.stopped);
    assert_int_equal(end.status, 128 + SIGTERM);
    assert_string_equal(end.output.data, "begun\n");
    buf_done(&end.output);
}

static void test_who_ignores_term_gets_kill(void **state)
{
    struct command c = shell(SCRIPT("trap '' TERM; while :; do sleep 0.01; done"));
    int64_t begun = clock_mono();

    c.timeout = 10 * SOON; /* time enough to get to its trap */
    c.kill_after = SOON;
    struct command_end end = run(&c);
    assert_true(end.timed_out);
    assert_int_equal(end.status, 128 + SIGKILL);
    assert_true(clock_mono() - begun >= 11 * SOON);
    buf_done(&end.output);
}

/* Fifteen failures, 1: what ends well after its time did not end in time. */
static void test_a_good_end_after_the_timeout_is_told_as_late(void **state)
{
    struct command c = shell(SCRIPT("trap 'exit 0' TERM; while :; do sleep 0.01; done"));

    c.timeout = 10 * SOON;
    struct command_end end = run(&c);
    assert_true(end.timed_out);
    assert_int_equal(end.status, 0);
    buf_done(&end.output);
}

/* However far its start has come by then. */
static void test_stop_ends_it_at_once(void **state)
{
    struct command c = shell(SCRIPT("sleep 1000"));

    c.stop_fd = eventfd(1, EFD_CLOEXEC);
    for (int i = 0; i < 100; i++) {
        struct command_end end = run(&c);
        assert_true(end.stopped);
        assert_false(end.timed_out);
        assert_int_equal(end.status, 128 + SIGTERM);
        buf_done(&end.output);
    }
    close(c.stop_fd);
}

/* The script itself asks for the stop, when it is ready to ignore it. */
static void test_stop_kills_who_ignores_term(void **state)
{
    char *dir = test_dir_new();
    struct command c = shell(SCRIPT("trap '' TERM; echo >fifo; while :; do sleep 0.01; done"));
    int64_t begun = clock_mono();

    test_run(dir, "mkfifo fifo");
    _cleanup_free_ char *fifo = xasprintf("%s/fifo", dir);
    c.stop_fd = open(fifo, O_RDWR | O_CLOEXEC);
    c.cwd = dir;
    c.kill_after = SOON;
    struct command_end end = run(&c);
    assert_true(end.stopped);
    assert_int_equal(end.status, 128 + SIGKILL);
    assert_true(clock_mono() - begun < LONG);
    close(c.stop_fd);
    buf_done(&end.output);
    test_dir_free(dir);
}

/* The child keeps the pipe open and would live for ever: it is neither waited for nor left behind.
 */
static void test_a_child_left_in_the_group_is_killed(void **state)
{
    struct command c = shell(SCRIPT("trap '' TERM; sleep 1000 & echo $!"));
    struct command_end end = run(&c);
    pid_t pid = printed_pid(&end);

    assert_int_equal(end.status, 0);
    assert_true(pid > 1);
    assert_true(test_wait(is_dead, &pid, 10000));
    buf_done(&end.output);
}

/* A child that left the group and floods the pipe: it holds nothing up, and dies of its own
 * writing. */
static void test_a_child_that_got_away_does_not_hold_us_up(void **state)
{
    char *dir = test_dir_new();
    struct command c = shell(SCRIPT("setsid yes & echo $! >pid"));

    c.cwd = dir;
    struct command_end end = run(&c);
    _cleanup_free_ char *text = test_read_file(dir, "pid", NULL);
    pid_t pid = strtol(text, NULL, 10);
    assert_int_equal(end.status, 0);
    assert_true(pid > 1);
    if (!test_wait(is_dead, &pid, 10000)) {
        kill(pid, SIGKILL);
        fail_msg("it is still there");
    }
    buf_done(&end.output);
    test_dir_free(dir);
}

static void test_a_child_that_got_away_in_silence_does_not_hold_us_up(void **state)
{
    struct command c = shell(SCRIPT("setsid sleep 1000 & echo $!"));
    struct command_end end = run(&c);
    pid_t pid = printed_pid(&end);

    assert_int_equal(end.status, 0);
    kill(pid, SIGKILL);
    buf_done(&end.output);
}

static void test_what_cannot_be_started_says_why(void **state)
{
    static const struct {
        const char *path, *cwd;
        int err;
    } bad[] = {{"/nonexistent/program", "/", -ENOENT},
               {"/bin/sh", "/nonexistent/place", -ENOENT},
               {"/etc/passwd", "/", -EACCES}};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct command c = shell(SCRIPT("true"));
        struct command_end end;
        _cleanup_(diag_done) struct diag why = {0};
        c.path = bad[i].path;
        c.cwd = bad[i].cwd;
        assert_int_equal(command_run(&c, &end, &why), bad[i].err);
        assert_non_null(strstr(why.text, bad[i].path));
    }
}

/* P14: nothing is left open, however a run ended. */
static void test_no_descriptor_is_left_open(void **state)
{
    int before = dup(STDERR_FILENO);

    close(before);
    test_status_and_both_streams_come_back(NULL);
    test_who_takes_too_long_gets_term(NULL);
    test_what_cannot_be_started_says_why(NULL);
    test_a_child_that_got_away_in_silence_does_not_hold_us_up(NULL);
    int after = dup(STDERR_FILENO);
    close(after);
    assert_int_equal(before, after);
}

static void a_program_is_looked_up_where_an_operator_expects_it(void **state)
{
    _cleanup_free_ char *sh = command_find("sh"), *given = command_find("/no/where"),
                        *none = command_find("no-such-program"), *home = command_home(),
                        *failed = command_status(3), *killed = command_status(128 + SIGTERM);

    assert_int_equal(access(sh, X_OK), 0);
    assert_string_equal(given, "/no/where");
    assert_null(none);
    assert_int_equal(*home, '/');
    assert_string_equal(failed, "exit status 3");
    assert_string_equal(killed, "killed by SIGTERM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_privileges_can_be_gained), /* first: the others give them up */
        cmocka_unit_test(test_status_and_both_streams_come_back),
        cmocka_unit_test(test_death_by_a_signal_is_told),
        cmocka_unit_test(test_the_environment_is_only_what_was_given),
        cmocka_unit_test(test_no_descriptor_of_ours_is_passed_on),
        cmocka_unit_test(test_signals_are_as_a_program_expects),
        cmocka_unit_test(test_the_request_can_be_read),
        cmocka_unit_test(test_a_request_that_nobody_reads_is_no_problem),
        cmocka_unit_test(test_a_flood_is_taken_and_its_end_kept),
        cmocka_unit_test(test_who_takes_too_long_gets_term),
        cmocka_unit_test(test_who_ignores_term_gets_kill),
        cmocka_unit_test(test_a_good_end_after_the_timeout_is_told_as_late),
        cmocka_unit_test(test_stop_ends_it_at_once),
        cmocka_unit_test(test_stop_kills_who_ignores_term),
        cmocka_unit_test(test_a_child_left_in_the_group_is_killed),
        cmocka_unit_test(test_a_child_that_got_away_does_not_hold_us_up),
        cmocka_unit_test(test_a_child_that_got_away_in_silence_does_not_hold_us_up),
        cmocka_unit_test(test_what_cannot_be_started_says_why),
        cmocka_unit_test(test_no_descriptor_is_left_open),
        cmocka_unit_test(a_program_is_looked_up_where_an_operator_expects_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
