/* Workspaces that commit by themselves: when, and when not. */
#include <errno.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "fixture.h"

#define LONG_ENOUGH 20000 /* ms: for what happens */

static int setup(void **state)
{
    struct fixture *f = *state = fixture_new();

    free(fixture_push(f, "echo 1 > file"));
    fixture_open(f);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static int set(struct fixture *f, const char *ws, const char *after)
{
    _cleanup_free_ char *path = xasprintf("%s/.onward/autocommit", ws);
    _cleanup_free_ char *line = xasprintf("%s\n", after);
    ssize_t r = fx_write(f, path, line, 0);

    return r < 0 ? r : 0;
}

static void open_workspace(struct fixture *f, const char *ws, const char *after)
{
    assert_int_equal(fx_mkdir(f, ws, 0777), 0);
    assert_int_equal(set(f, ws, after), 0);
}

struct landing {
    struct fixture *f;
    struct oid from;
};

static bool has_moved(void *arg)
{
    struct landing *l = arg;
    struct oid head;

    return mainline_head(l->f->mainline, &head) == 0 && !oid_equal(&head, &l->from);
}

static struct landing now(struct fixture *f)
{
    struct landing l = {.f = f};

    assert_int_equal(mainline_head(f->mainline, &l.from), 0);
    return l;
}

static void assert_lands(struct landing *l)
{
    assert_true(test_wait(has_moved, l, LONG_ENOUGH));
}

static void assert_stays(struct landing *l)
{
    assert_false(test_wait(has_moved, l, 100));
}

static void it_waits_for_the_last_write(void **state)
{
    struct fixture *f = *state;
    int64_t begun = clock_mono();

    open_workspace(f, "ws", "300ms");
    struct landing before = now(f);
    fx_put(f, "ws/file", "2\n");
    test_wait(has_moved, &before, 200);
    int64_t last = clock_mono();
    fx_put(f, "ws/file", "3\n");
    if (last - begun > 300 * NS_PER_MS)
        test_skip("somebody else has the machine");
    assert_lands(&before);
    assert_true(clock_mono() - last >= 300 * NS_PER_MS);
    _cleanup_free_ char *log =
        test_output(f->work, "git log -1 --format=%%B main && git show main:file");
    assert_string_equal(log, "Autocommit of workspace ws after 300ms without writes\n\n"
                             "Onward-Workspace: ws\n\n3");
}

/* It waits for an hour already when it is told to wait no longer. */
static void a_shorter_time_counts_at_once(void **state)
{
    struct fixture *f = *state;

    open_workspace(f, "ws", "1h");
    struct landing before = now(f);
    fx_put(f, "ws/file", "2\n");
    assert_stays(&before);
    assert_int_equal(set(f, "ws", "10ms"), 0);
    assert_lands(&before);
}

/* Later than any clock can say. */
static void the_longest_time_is_never(void **state)
{
    struct fixture *f = *state;

    open_workspace(f, "ws", "106751d");
    struct landing before = now(f);
    fx_put(f, "ws/file", "2\n");
    assert_stays(&before);
    assert_int_equal(set(f, "ws", "10ms"), 0);
    assert_lands(&before);
}

static void one_that_has_ended_does_not(void **state)
{
    struct fixture *f = *state;

    open_workspace(f, "dropped", "500ms");
    open_workspace(f, "off", "500ms");
    open_workspace(f, "other", "600ms");
    struct landing before = now(f);
    int64_t begun = clock_mono();
    fx_put(f, "dropped/file", "dropped\n");
    fx_put(f, "off/file", "off\n");
    assert_int_equal(set(f, "off", "off"), 0);
    assert_int_equal(fx_write(f, "dropped/.onward/drop", "force\n", 0), 6);
    if (clock_mono() - begun > 500 * NS_PER_MS)
        test_skip("somebody else has the machine");
    fx_put(f, "other/file", "other\n");
    assert_lands(&before);
    test_run(f->work,
             "test $(git rev-list --count main) = 2 && test $(git show main:file) = other");
}

static bool has_failed(void *arg)
{
    int err;
    _cleanup_free_ char *outcome = fx_read(arg, "ws/.onward/outcome", &err);

    return outcome && strstr(outcome, "x.json:1:") == outcome;
}

/* A failure says why, and is not tried again before the next write. */
static void a_failure_waits_for_the_next_write(void **state)
{
    struct fixture *f = *state;

    open_workspace(f, "ws", "10ms");
    struct landing before = now(f);
    fx_put(f, "ws/x.json", "{");
    assert_true(test_wait(has_failed, f, LONG_ENOUGH));
    test_run(f->dir, "rm state/workspaces/ws/outcome");
    assert_stays(&before);
    test_run(f->dir, "test ! -e state/workspaces/ws/outcome");
    fx_put(f, "ws/x.json", "{}");
    assert_lands(&before);
}

static void what_waits_at_the_end_is_committed_after_the_next_start(void **state)
{
    struct fixture *f = *state;

    open_workspace(f, "ws", "10ms");
    staging_end(f->staging);
    struct landing before = now(f);
    fx_put(f, "ws/file", "2\n");
    assert_stays(&before);
    fixture_close(f);
    fixture_open(f);
    assert_lands(&before);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(it_waits_for_the_last_write),
        T(a_shorter_time_counts_at_once),
        T(the_longest_time_is_never),
        T(one_that_has_ended_does_not),
        T(a_failure_waits_for_the_next_write),
        T(what_waits_at_the_end_is_committed_after_the_next_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
