/* The keeper: what becomes of commands when those who ordered them are killed, or it is. The same
 * for one that is a fork, and one that is a program. */
#include "testlib.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/keeper.h"

#define LONG (60 * NS_PER_SEC)

static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};

/* The program; NULL: a fork. */
static const char *program;

struct place {
    char *dir, *lock;
    int64_t grace; /* from TERM to KILL */
};

static int set_up(void **state)
{
    struct place *p = NEW(struct place);

    p->dir = test_dir_new();
    p->grace = LONG;
    p->lock = xasprintf("%s/lock", p->dir);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;

    keeper_end();
    test_dir_free(p->dir);
    free(p->lock);
    free(p);
    return 0;
}

static void begin(const struct place *p)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = keeper_begin(p->lock, program, &why);

    if (r < 0)
        fail_msg("%s", diag_text(&why, r));
}

/* Runs a script in the test's directory; what command_run() returns. */
static int run(const struct place *p, const char *script, bool alone, int stop_fd,
               struct command_end *ret)
{
    _cleanup_(diag_done) struct diag why = {0};
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct command c = {.path = "/bin/sh",
                        .argv = argv,
                        .envp = env,
                        .cwd = p->dir,
                        .keep = 1000,
                        .timeout = LONG,
                        .kill_after = p->grace,
                        .stop_fd = stop_fd,
                        .alone = alone};

    return command_run(&c, ret, &why);
}

static void assert_says(const struct place *p, const char *script, const char *what)
{
    struct command_end end = {0};

    assert_int_equal(run(p, script, true, -1, &end), 0);
    assert_string_equal(buf_str(&end.output), what);
    buf_done(&end.output);
}

/* A process that runs a script as the daemon would, and is killed when the script has made `ready`.
 */
static void kill_while_it_runs(const struct place *p, const char *script)
{
    _cleanup_free_ char *ready = xasprintf("%s/ready", p->dir);
    struct command_end end;
    pid_t pid = fork();

    if (pid == 0) {
        begin(p);
        run(p, script, true, -1, &end);
        _exit(0);
    }
    assert_true(pid > 0);
    while (access(ready, F_OK) < 0)
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Says who of those in `pids` still does something. */
#define LOOK                                                                                       \
    "for p in $(cat pids); do grep -q '^State:.[^ZX]' /proc/$p/status 2>/dev/null && echo $p; "    \
    "done; true"

/* The leader ignores TERM, its child too; the next keeper waits until both are gone. */
static void a_killed_daemons_commands_are_gone_before_the_next(void **state)
{
    struct place *p = *state;
    int64_t start = clock_mono();

    p->grace = 300 * NS_PER_MS;
    kill_while_it_runs(
        p, "trap '' TERM; echo $$ >>pids; (while :; do sleep 0.01; done) & echo $! >>pids; "
           "touch ready; while :; do sleep 0.01; done");
    begin(p);
    assert_says(p, LOOK, "");
    assert_true(clock_mono() - start >= p->grace);
}

/* TERM first: it may tidy up, and print what it likes. Its child that ignores TERM goes with it. */
static void it_has_time_to_tidy_up(void **state)
{
    const struct place *p = *state;

    kill_while_it_runs(p, "trap 'seq 100000; echo tidy >tidy; exit 0' TERM; echo $$ >>pids;"
                          "(trap '' TERM; while :; do sleep 0.01; done) & echo $! >>pids;"
                          "touch ready; while :; do sleep 0.01; done");
    begin(p);
    assert_says(p, LOOK "; cat tidy", "tidy\n");
}

/* Others are not; and one that waits can be stopped, and is then never started. */
static void only_those_that_are_alone_wait(void **state)
{
    const struct place *p = *state;
    _cleanup_close_ int held = open(p->lock, O_RDONLY | O_CREAT | O_CLOEXEC, 0600),
                        stop = eventfd(1, EFD_CLOEXEC);
    struct command_end end = {0};

    assert_int_equal(flock(held, LOCK_EX), 0);
    begin(p);
    assert_int_equal(run(p, "echo here", false, -1, &end), 0);
    assert_string_equal(buf_str(&end.output), "here\n");
    buf_done(&end.output);
    assert_int_equal(run(p, "touch started", true, stop, &end), 0);
    assert_true(end.stopped);
    assert_int_equal(flock(held, LOCK_UN), 0);
    assert_says(p, "ls", "lock\n");
}

/* Our child of that name. */
static pid_t find_keeper(void)
{
    _cleanup_free_ char *pid = test_output(NULL, "pgrep -x -P %d onward-commands", getpid());

    return strtol(pid, NULL, 10);
}

static bool nobody_is_left(void *place)
{
    _cleanup_free_ char *left = test_output(((struct place *)place)->dir, LOOK);

    return !*left;
}

/* What it started goes with it, and the next command has a new one. */
static void a_keeper_that_dies_is_replaced(void **state)
{
    const struct place *p = *state;
    struct command_end end = {0};

    begin(p);
    assert_says(p, "echo here", "here\n"); /* it has its name */
    pid_t keeper = find_keeper();
    _cleanup_free_ char *script = xasprintf("trap '' TERM; echo $$ >>pids; (while :; do sleep "
                                            "0.01; done) & echo $! >>pids; kill -9 %d; "
                                            "while :; do sleep 0.01; done",
                                            keeper);
    assert_true(keeper > 1);
    assert_int_equal(run(p, script, true, -1, &end), -EPIPE);
    assert_true(test_wait(nobody_is_left, *state, 10000));
    assert_says(p, "echo here", "here\n");
    assert_true(find_keeper() > 1 && find_keeper() != keeper);
}

/* What runs as the keeper. */
static char *keeper_words(void)
{
    return test_output(NULL, "tr '\\0' ' ' </proc/%d/cmdline", find_keeper());
}

static void it_is_the_program_if_there_is_one(void **state)
{
    const struct place *p = *state;

    begin(p);
    assert_says(p, "echo here", "here\n");
    _cleanup_free_ char *words = keeper_words();
    assert_int_equal(!strncmp(words, "onward-commands ", 16), program != NULL);
}

/* One that is not there, and one that the kernel does not start. */
static void it_does_without_a_program_that_cannot_be_run(void **state)
{
    const struct place *p = *state;
    _cleanup_free_ char *absent = xasprintf("%s/absent", p->dir),
                        *broken = xasprintf("%s/broken", p->dir);
    _cleanup_close_ int fd = open(broken, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

    assert_true(fd >= 0);
    assert_int_equal(keeper_begin(p->lock, absent, NULL), 0);
    assert_says(p, "echo here", "here\n");
    assert_int_equal(keeper_begin(p->lock, broken, NULL), 0);
    assert_says(p, "echo there", "there\n");
}

static void nothing_is_left_of_it(void **state)
{
    const struct place *p = *state;
    _cleanup_close_ int lock = open(p->lock, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);

    begin(p);
    assert_says(p, "echo here", "here\n");
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), -1);
    keeper_end();
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_killed_daemons_commands_are_gone_before_the_next),
        TEST(it_has_time_to_tidy_up),
        TEST(only_those_that_are_alone_wait),
        TEST(a_keeper_that_dies_is_replaced),
        TEST(it_is_the_program_if_there_is_one),
        TEST(it_does_without_a_program_that_cannot_be_run),
        TEST(nothing_is_left_of_it),
    };

    program = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
