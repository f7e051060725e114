#include "testlib.h"

#include <errno.h>

#include "base/clock.h"

static void an_instant_reads_back(void **state)
{
    char text[CLOCK_TEXT];
    int64_t ns;

    assert_string_equal(clock_format(TEST_TIME * NS_PER_SEC + 999999999, text), TEST_DATE);
    assert_int_equal(clock_parse(TEST_DATE, &ns), 0);
    assert_int_equal(ns, TEST_TIME * NS_PER_SEC);
    assert_string_equal(clock_format(-1, text), "1969-12-31T23:59:59Z");
    assert_string_equal(clock_format(clock_from_seconds(4107542399), text), "2100-02-28T23:59:59Z");
    assert_string_equal(clock_format(INT64_MAX, text), "2262-04-11T23:47:16Z");
    assert_string_equal(clock_format(INT64_MIN, text), "1677-09-21T00:12:43Z");
    assert_int_equal(clock_parse("2026-01-01", &ns), -EINVAL);
    assert_int_equal(clock_parse("2026-01-01T00:00:00Z ", &ns), -EINVAL);
    assert_int_equal(clock_parse("2426-11-23T07:28:49Z", &ns), -EINVAL);
}

static void durations_read_and_are_refused(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } right[] = {
        {"500ms", 500 * NS_PER_MS}, {"10s", 10 * NS_PER_SEC},   {"5m", 300 * NS_PER_SEC},
        {"2h", 7200 * NS_PER_SEC},  {"1d", 86400 * NS_PER_SEC}, {"0s", 0},
    };
    static const char *const wrong[] = {"",           "ten", "10",   "s",
                                        "-1s",        " 1s", "1.5s", "1 s",
                                        "1ss",        "1us", "+1s",  "99999999999999999999s",
                                        "9999999999d"};
    int64_t ns;

    for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
        assert_int_equal(clock_parse_duration(right[i].text, &ns), 0);
        assert_int_equal(ns, right[i].ns);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        if (clock_parse_duration(wrong[i], &ns) != -EINVAL)
            fail_msg("\"%s\" was read as a duration", wrong[i]);
}

static void durations_are_written_for_people(void **state)
{
    char text[CLOCK_TEXT];

    assert_string_equal(clock_format_duration(500 * NS_PER_MS, text), "500ms");
    assert_string_equal(clock_format_duration(90 * NS_PER_SEC, text), "1m30s");
    assert_string_equal(clock_format_duration(7200 * NS_PER_SEC, text), "2h");
    assert_string_equal(clock_format_duration(90061 * NS_PER_SEC, text), "1d1h");
    assert_string_equal(clock_format_duration(0, text), "0ms");
}

static void negative_times_keep_their_nanoseconds_positive(void **state)
{
    struct timespec t = clock_timespec(-1);

    assert_int_equal(t.tv_sec, -1);
    assert_int_equal(t.tv_nsec, NS_PER_SEC - 1);
    assert_int_equal(clock_ns(t), -1);
}

static void any_number_of_seconds_becomes_a_time(void **state)
{
    assert_int_equal(clock_from_seconds(TEST_TIME), TEST_TIME * NS_PER_SEC);
    assert_int_equal(clock_from_seconds(0), NS_PER_SEC);
    assert_int_equal(clock_from_seconds(INT64_MIN), NS_PER_SEC);
    assert_true(clock_from_seconds(INT64_MAX) > INT64_MAX - NS_PER_SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instant_reads_back),
        cmocka_unit_test(durations_read_and_are_refused),
        cmocka_unit_test(durations_are_written_for_people),
        cmocka_unit_test(negative_times_keep_their_nanoseconds_positive),
        cmocka_unit_test(any_number_of_seconds_becomes_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
