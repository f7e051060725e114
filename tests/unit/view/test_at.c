/* at/<time>: what git says the mainline was then, with and without an index. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fixture.h"

/* at/<time> against `git rev-list`, whose answer is empty before the first revision. */
static void assert_at(struct fixture *f, int64_t time)
{
    char when[CLOCK_TEXT];
    _cleanup_free_ char *path = xasprintf("at/%s", clock_format(clock_from_seconds(time), when));
    _cleanup_free_ char *got = target(f, path);
    _cleanup_free_ char *hex =
        test_output(f->path, "git rev-list -1 --first-parent --before=%" PRId64 " main", time);
    _cleanup_free_ char *want = *hex ? xasprintf("../revisions/%s", hex) : xstrdup("(none)");

    assert_string_equal(got, want);
}

static void test_the_mainline_as_it_was(void **state)
{
    struct fixture *f = *state;
    /* The third one's clock was wrong: the fourth is newer by place, and older by time. */
    static const int steps[] = {100, 200, 5000, 300, 400, 90000};

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        change(f, "GIT_COMMITTER_DATE='%" PRId64 " +0200' git commit -q --allow-empty -m %zu",
               TEST_TIME + steps[i], i);
    change(f,
           "git checkout -q -b side main~2 && "
           "GIT_COMMITTER_DATE='%" PRId64 " +0000' git commit -q --allow-empty -m side && "
           "git checkout -q main && "
           "GIT_COMMITTER_DATE='%" PRId64 " +0000' git merge -q --no-ff -m merge side",
           TEST_TIME + 350, TEST_TIME + 90001);
    assert_at(f, TEST_TIME - 1);
    assert_at(f, TEST_TIME);
    assert_at(f, TEST_TIME + 90001);
    assert_at(f, TEST_TIME + 1000000);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        for (int d = -1; d <= 1; d++)
            assert_at(f, TEST_TIME + steps[i] + d);
}

static void assert_same(struct fixture *f, const char *path, const char *other)
{
    _cleanup_free_ char *a = target(f, path), *b = target(f, other);

    assert_string_equal(a, b);
}

static void test_how_a_time_may_be_written(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {
        "",
        "2026",
        "2026-01",
        "2026-1-02",
        "2026-01-02T",
        "2026-01-2",
        "2026-02-30",
        "2026-13-01",
        "2026-01-02T03:04",
        "2026-01-02T03:04z",
        " 026-01-02",
        "2026-01-02Z",
        "2026-01-02T24:00Z",
        "2026-01-02T03:60Z",
        "2026-01-02 03:04Z",
        "yesterday",
        "2026-01-02T03:04:60Z",
        "2026-01-02T03:04:05Z ",
        "+2026-01-02",
        "0000-00-00",
    };

    change(f, "GIT_COMMITTER_DATE=2026-01-02T00:00:00Z git commit -q --allow-empty -m day");
    change(f, "GIT_COMMITTER_DATE=2026-01-02T03:04:00Z git commit -q --allow-empty -m minute");
    change(f, "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z git commit -q --allow-empty -m second");
    assert_same(f, "at/2026-01-02", "at/2026-01-02T00:00:00Z");
    assert_same(f, "at/2026-01-02T03:04Z", "at/2026-01-02T03:04:00Z");
    _cleanup_free_ char *now = target(f, "at/9999-12-31"), *head = target(f, "head");
    assert_string_equal(now + strlen("../"), head);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        _cleanup_free_ char *path = xasprintf("at/%s", wrong[i]);
        _cleanup_free_ char *got = target(f, path);
        assert_string_equal(got, "(none)");
    }
    _cleanup_free_ char *listed = sorted_listing(f, "at");
    assert_string_equal(listed, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_mainline_as_it_was),
        TEST_WITHOUT(test_the_mainline_as_it_was),
        TEST(test_how_a_time_may_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
