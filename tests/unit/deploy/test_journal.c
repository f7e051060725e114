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
                        "{\"at\":\"2026-01-01T00:00:00.000Z\",\"event\":\"failed\",\"site\":\"a\","
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

static void test_healing_is_counted_and_drift_too(void **state)
{
    struct journal j = {0};
    struct record r = {.site = (char *)"a", .kind = RECORD_HEALED, .backend = (char *)"healer"};
    _cleanup_(buf_done) struct buf metrics = {0};

    journal_record(&j, &r); /* somebody else has put it in order */
    r.outcome = (char *)"done";
    journal_record(&j, &r);
    r.kind = RECORD_DRIFTED;
    r.outcome = NULL;
    journal_record(&j, &r);
    metric_render(&metrics);
    assert_non_null(
        strstr(metrics.data, "onward_attempts_total{backend=\"healer\",outcome=\"healed\"} 1\n"));
    assert_non_null(strstr(metrics.data, "onward_drifts_total{backend=\"healer\"} 1\n"));
}

static void test_an_order_to_the_fleet_concerns_no_site(void **state)
{
    json_t *event = NULL;
    struct journal j = {keep, &event};
    struct record r = {.site = (char *)RECORD_FLEET,
                       .kind = RECORD_PAUSED,
                       .message = (char *)"freeze",
                       .by = (char *)"ann"};

    journal_record(&j, &r);
    assert_string_equal(json_str(event, "event", ""), "paused");
    assert_true(json_is_null(json_object_get(event, "site")));
    assert_string_equal(json_str(event, "by", ""), "ann");
    json_decref(event);
}

/* A fleet with one rollout, of revision 1, whose wave `open` of two is in the phase; NULL: none. */
static struct fleet *rolling(size_t open, const char *phase)
{
    struct fleet *f = fleet_new();

    fleet_add(f, &(struct site_status){.name = "a", .desired = oid_number(1)});
    if (!phase)
        return f;
    struct fleet_rollout *r = VEC_ADD(&f->rollouts);
    *r = (struct fleet_rollout){.revision = oid_number(1), .open = open};
    for (size_t k = 0; k < 2; k++)
        *VEC_ADD(&r->waves) =
            (struct fleet_wave){.name = xasprintf("w%zu", k), .phase = phase, .sites = 3};
    return f;
}

static void keep_last(json_t *event, void *arg)
{
    json_decref(*(json_t **)arg);
    *(json_t **)arg = event;
}

/* "event wave" of what is told between two moments; "-": nothing. */
static char *told(struct fleet *before, struct fleet *now)
{
    json_t *event = NULL;
    struct journal j = {keep_last, &event};

    journal_rollouts(&j, before, now);
    char *text = event
                     ? xasprintf("%s %s", json_str(event, "event", ""), json_str(event, "wave", ""))
                     : xstrdup("-");
    json_decref(event);
    fleet_unref(before);
    fleet_unref(now);
    return text;
}

static void test_rollouts_are_told_when_they_go_on(void **state)
{
    const struct {
        size_t from;
        const char *was;
        size_t to;
        const char *is, *told;
    } table[] = {
        {0, NULL, 0, "moving", "wave-opened w0"},
        {0, "moving", 0, "moving", "-"},
        {0, "moving", 0, "soaking", "wave-soaking w0"},
        {0, "soaking", 1, "moving", "wave-opened w1"},
        {1, "moving", 1, "stopped", "wave-stopped w1"},
        {1, "moving", 0, NULL, "rollout-done "},
        {1, "moving", 2, "done", "-"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_free_ char *got =
            told(rolling(table[i].from, table[i].was), rolling(table[i].to, table[i].is));
        assert_string_equal(got, table[i].told);
    }
    struct fleet *newer = rolling(0, NULL);
    newer->sites.v[0]->desired = oid_number(2);
    _cleanup_free_ char *superseded = told(rolling(1, "moving"), newer);
    assert_string_equal(superseded, "rollout-superseded ");
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
        cmocka_unit_test(test_healing_is_counted_and_drift_too),
        cmocka_unit_test(test_an_order_to_the_fleet_concerns_no_site),
        cmocka_unit_test(test_rollouts_are_told_when_they_go_on),
        cmocka_unit_test(test_heads_and_problems_are_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
