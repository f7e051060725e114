#include "testlib.h"

#include "base/clock.h"
#include "base/metric.h"

static void metrics_are_prometheus_text(void **state)
{
    struct buf out = {0};

    metric_add(METRIC_FUSE_REQUESTS, "read", 2);
    metric_add(METRIC_FUSE_REQUESTS, "read", 3);
    metric_add2(METRIC_ATTEMPTS, "files", "done", 1);
    metric_set(METRIC_NODES, NULL, 7);
    metric_set(METRIC_NODES, NULL, 5);
    metric_render(&out);
    assert_non_null(strstr(out.data, "# TYPE onward_fuse_requests_total counter\n"
                                     "onward_fuse_requests_total{op=\"read\"} 5\n"));
    assert_non_null(
        strstr(out.data, "onward_attempts_total{backend=\"files\",outcome=\"done\"} 1\n"));
    assert_non_null(strstr(out.data, "# TYPE onward_nodes gauge\nonward_nodes 5\n"));
    /* A counter without labels is there before it counts, so that alerts can be written on it. */
    assert_non_null(strstr(out.data, "\nonward_object_errors_total 0\n"));
    buf_done(&out);
}

static void labels_of_an_info_hold_any_text(void **state)
{
    const struct metric_label labels[] = {{"site", "a"}, {"team", "q\"b\\n\n"}};
    struct buf out = {0};

    metric_render(&out);
    assert_null(strstr(out.data, "onward_site_info"));
    buf_clear(&out);
    metric_render_head(METRIC_SITE_INFO, &out);
    metric_render_info(METRIC_SITE_INFO, labels, 2, &out);
    assert_string_equal(out.data,
                        "# HELP onward_site_info What each site runs, and what it should run\n"
                        "# TYPE onward_site_info gauge\n"
                        "onward_site_info{site=\"a\",team=\"q\\\"b\\\\n\\n\"} 1\n");
    buf_done(&out);
}

static void durations_fall_into_buckets(void **state)
{
    struct buf out = {0};

    metric_observe(METRIC_TO_DEPLOYED, NS_PER_SEC);
    metric_observe(METRIC_TO_DEPLOYED, 2 * NS_PER_SEC);
    metric_observe(METRIC_TO_DEPLOYED, 90 * INT64_C(3600) * NS_PER_SEC);
    metric_render(&out);
    assert_non_null(strstr(out.data, "# TYPE onward_commit_to_deployed_seconds histogram\n"
                                     "onward_commit_to_deployed_seconds_bucket{le=\"1\"} 1\n"
                                     "onward_commit_to_deployed_seconds_bucket{le=\"5\"} 2\n"));
    assert_non_null(strstr(out.data, "_bucket{le=\"86400\"} 2\n"
                                     "onward_commit_to_deployed_seconds_bucket{le=\"+Inf\"} 3\n"
                                     "onward_commit_to_deployed_seconds_sum 324003.000\n"
                                     "onward_commit_to_deployed_seconds_count 3\n"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(metrics_are_prometheus_text),
                                       cmocka_unit_test(labels_of_an_info_hold_any_text),
                                       cmocka_unit_test(durations_fall_into_buckets)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
