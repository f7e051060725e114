#include "fixture.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/metric.h"
#include "deploy/journal.h"

static void keep(json_t *event, void *arg)
{
    *(json_t **)arg = event;
}

static void test_a_record_is_an_event_and_a_count(void **state)
{
    json_t *event = NULL;
    struct journal j = {keep, &event};
    struct record r = {.site = (char *)"a",
                       .kind = RECORD_FAILED,
                       .generation = 3,
                       .attempt = 2,
                       .to = oid_number(1),
                       .backend = (char *)"files",
                       .outcome = (char *)"retry",
                       .message = (char *)"disk \"full\"\n",
                       .by = (char *)"onwardfs",
                       .at = TEST_TIME * NS_PER_SEC};
    _cleanup_(buf_done) struct buf line = {0}, metrics = {0};

    journal_record(&j, &r);
    json_write(event, 0, &line);
    json_decref(event);
    assert_string_equal(line.data,
                        "{\"at\":\"2026-01-01T00:00:00Z\",\"event\":\"failed\",\"site\":\"a\","
                        "\"generation\":3,\"attempt\":2,\"from\":null,"
                        "\"to\":\"0100000000000000000000000000000000000000\","
                        "\"backend\":\"files\",\"outcome\":\"retry\","
                        "\"message\":\"disk \\\"full\\\"\\n\",\"by\":\"onwardfs\","
                        "\"duration_ms\":0}");
    metric_render(&metrics);
    assert_non_null(
        strstr(metrics.data, "onward_attempts_total{backend=\"files\",outcome=\"retry\"} 1\n"));
}

static void test_only_ends_of_attempts_are_counted(void **state)
{
    struct journal j = {0};
    struct record r = {.site = (char *)"a", .kind = RECORD_ATTEMPT, .backend = (char *)"quiet"};
    _cleanup_(buf_done) struct buf metrics = {0};

    journal_record(&j, &r); /* and nobody listens */
    r.kind = RECORD_SUPERSEDED;
    journal_record(&j, &r);
    metric_render(&metrics);
    assert_null(strstr(buf_str(&metrics), "quiet"));
}

static void test_heads_and_problems_are_events(void **state)
{
    json_t *event = NULL;
    struct journal j = {keep, &event};
    struct oid one = oid_number(1);

    journal_head(&j, &one);
    assert_string_equal(json_str(event, "event", ""), "head");
    assert_int_equal(strlen(json_str(event, "revision", "")), OID_HEX);
    json_decref(event);
    journal_problem(&j, "line 3");
    assert_string_equal(json_str(event, "event", ""), "problem");
    assert_string_equal(json_str(event, "message", ""), "line 3");
    json_decref(event);
    journal_problem(&j, NULL);
    assert_string_equal(json_str(event, "event", ""), "problem-over");
    json_decref(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_is_an_event_and_a_count),
        cmocka_unit_test(test_only_ends_of_attempts_are_counted),
        cmocka_unit_test(test_heads_and_problems_are_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
