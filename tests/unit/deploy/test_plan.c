/* The table of deploy/plan.h, line by line. tests/sim holds the invariants over long lives. */
#include "testlib.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "deploy/plan.h"

#define NOW (1000 * NS_PER_SEC)

static struct oid oid_number(int n)
{
    struct oid oid = {0};

    memcpy(oid.id, &n, sizeof(n));
    return oid;
}

/* Two sites, one backend. The first site's track is what the tests set; the second is in sync at 1.
 */
struct scene {
    struct site_track tracks[2];
    struct plan_site sites[2];
    size_t depends_on;
    const char *depends_name;
    struct plan_backend backend;
    struct plan_input input;
};

/* A site whose target is revision 2, and whose newest attempt was at `to` and is in `phase`. */
static void scene_init(struct scene *s, enum track_phase phase, int to)
{
    *s = (struct scene){
        .tracks = {{.phase = phase,
                    .generation = to ? 5 : 0,
                    .attempt = to ? 2 : 0,
                    .to = oid_number(to),
                    .inputs = oid_number(to),
                    .tries = 1,
                    .failures = 1,
                    .ended = NOW - NS_PER_SEC},
                   {.phase = TRACK_DEPLOYED,
                    .generation = 1,
                    .attempt = 1,
                    .to = oid_number(1),
                    .inputs = oid_number(1),
                    .deployed = oid_number(1)}},
        .sites = {{.name = "a", .desired = oid_number(2), .inputs = oid_number(2)},
                  {.name = "b", .desired = oid_number(1), .inputs = oid_number(1)}},
        .depends_on = 1,
        .depends_name = "b",
        .backend = {.concurrency = 1,
                    .retry = {.limit = 3,
                              .first = 10 * NS_PER_SEC,
                              .factor = 2,
                              .longest = 60 * NS_PER_SEC}},
    };
    if (phase == TRACK_DEPLOYED)
        s->tracks[0].deployed = oid_number(to);
    s->sites[0].track = &s->tracks[0];
    s->sites[1].track = &s->tracks[1];
    s->input = (struct plan_input){
        .sites = s->sites, .nsites = 2, .backends = &s->backend, .nbackends = 1, .now = NOW};
}

/* The plan for the first site as text: "actions; state step; blocked by". */
static char *plan_text(struct scene *s)
{
    static const char *const names[] = {"interrupt", "supersede", "give-up", "start",
                                        "health",    "observe",   "stop"};
    struct plan p;
    struct buf out = {0};

    plan_make(&s->input, &p);
    vec_foreach (a, &p) {
        assert_int_equal(a->site, 0);
        buf_addf(&out, "%s %d.%d ", names[a->kind], (int)a->generation, a->attempt);
    }
    buf_addf(&out, "/ %s", site_state_name(p.views[0].state));
    if (p.views[0].step)
        buf_addf(&out, " %s", p.views[0].step);
    vec_foreach (b, &p.views[0].blocked_by)
        buf_addf(&out, " (%s: %s)", b->kind, b->detail);
    if (p.wake_at != INT64_MAX)
        buf_adds(&out, " later");
    plan_done(&p);
    return buf_take(&out);
}

static void assert_plan(struct scene *s, const char *expected)
{
    _cleanup_free_ char *got = plan_text(s);

    assert_string_equal(got, expected);
}

static void test_each_phase_at_and_off_the_target(void **state)
{
    static const struct {
        enum track_phase phase;
        int to;
        const char *plan;
    } table[] = {
        {TRACK_NEW, 0, "start 1.1 / pending"},
        {TRACK_DEPLOYED, 2, "/ in-sync"},
        {TRACK_DEPLOYED, 1, "start 6.1 / pending"},
        {TRACK_OPEN, 2, "interrupt 5.2 start 5.3 / migrating retry"},
        {TRACK_OPEN, 1, "interrupt 5.2 supersede 5.2 start 6.1 / pending"},
        {TRACK_INTERRUPTED, 2, "start 5.3 / migrating retry"},
        {TRACK_INTERRUPTED, 1, "supersede 5.2 start 6.1 / pending"},
        {TRACK_RETRY, 2, "/ migrating retry later"},
        {TRACK_RETRY, 1, "supersede 5.2 start 6.1 / pending"}, /* fifteen failures, 5 */
        {TRACK_SUPERSEDED, 1, "start 6.1 / pending"},
        {TRACK_SUPERSEDED, 2, "start 6.1 / pending"},
        {TRACK_FAILED, 2, "/ failed"},
        {TRACK_FAILED, 1, "start 6.1 / pending"},
        {TRACK_STALLED, 2, "/ stalled"},
        {TRACK_STALLED, 1, "start 6.1 / pending"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct scene s;
        scene_init(&s, table[i].phase, table[i].to);
        assert_plan(&s, table[i].plan);
    }
}

/* Principle 3: a version is the revision and the inputs. */
static void test_other_inputs_at_the_same_revision_are_another_target(void **state)
{
    struct scene s;

    scene_init(&s, TRACK_DEPLOYED, 2);
    s.sites[0].inputs = oid_number(77);
    assert_plan(&s, "start 6.1 / pending");
}

/* Going back to what is deployed, after an attempt at something else, is a deployment (I9). */
static void test_what_was_deployed_before_a_failure_is_not_in_sync(void **state)
{
    struct scene s;

    scene_init(&s, TRACK_FAILED, 1);
    s.tracks[0].deployed = s.tracks[0].deployed_inputs = oid_number(2);
    assert_plan(&s, "start 6.1 / pending");
}

static void test_a_running_attempt_is_let_finish(void **state)
{
    struct scene s;

    scene_init(&s, TRACK_OPEN, 1);
    s.sites[0].attempt = true;
    s.sites[0].call = VERB_APPLY;
    assert_plan(&s, "/ migrating apply");
    s.sites[0].suspend = true;
    assert_plan(&s, "/ migrating apply");
}

static void test_whatever_blocks_is_named_and_holds(void **state)
{
    struct scene s;

    scene_init(&s, TRACK_NEW, 0);
    s.sites[0].suspend = true;
    assert_plan(&s, "/ suspended (suspend: onward.yaml says suspend)");
    scene_init(&s, TRACK_DEPLOYED, 1);
    s.sites[0].problem_kind = "declaration";
    s.sites[0].problem = "no such backend";
    assert_plan(&s, "/ pending (declaration: no such backend)");
    scene_init(&s, TRACK_NEW, 0);
    s.input.frozen_kind = "rewritten";
    s.input.frozen = "gone";
    assert_plan(&s, "/ unknown (rewritten: gone)");
    scene_init(&s, TRACK_RETRY, 2);
    s.tracks[0].ended = 0;
    s.input.frozen_kind = "declaration";
    s.input.frozen = "line 3";
    assert_plan(&s, "/ migrating retry (declaration: line 3)");
    scene_init(&s, TRACK_DEPLOYED, 2);
    s.input.frozen_kind = "rewritten";
    s.input.frozen = "gone";
    assert_plan(&s, "/ in-sync (rewritten: gone)");
}

static void test_dependencies_come_first(void **state)
{
    struct scene s;

    scene_init(&s, TRACK_NEW, 0);
    s.sites[0].depends_on = &s.depends_on;
    s.sites[0].depends_names = &s.depends_name;
    s.sites[0].ndepends = 1;
    assert_plan(&s, "start 1.1 / pending");
    s.tracks[1].phase = TRACK_FAILED; /* the other one is not where it should be */
    assert_plan(&s, "/ pending (dependency: b is not in sync)");
    s.tracks[1].phase = TRACK_DEPLOYED;
    s.sites[1].inputs = s.sites[1].desired = oid_number(9); /* nor at what it should run now */
    s.sites[1].suspend = true;
    assert_plan(&s, "/ pending (dependency: b is not in sync)");
    s.depends_on = PLAN_NO_SITE;
    assert_plan(&s, "/ pending (dependency: b is not declared)");
}

static void test_retry_does_not_wait_and_brings_the_ended_back(void **state)
{
    static const enum track_phase phases[] = {TRACK_RETRY, TRACK_FAILED, TRACK_STALLED};

    for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
        struct scene s;
        scene_init(&s, phases[i], 2);
        s.sites[0].retry_asked = true;
        assert_plan(&s, phases[i] == TRACK_RETRY ? "start 5.3 / migrating retry"
                                                 : "start 5.3 / pending");
    }
}

static void test_who_only_shows_records_nothing(void **state)
{
    struct scene s;

    scene_init(&s, TRACK_OPEN, 1);
    s.input.readonly = true;
    s.input.frozen_kind = "lease";
    s.input.frozen = "another host";
    assert_plan(&s, "/ unknown (lease: another host)");
}

static void test_room_goes_to_who_has_waited_longest(void **state)
{
    struct scene s;
    struct plan p;

    scene_init(&s, TRACK_NEW, 0);
    s.tracks[1] = s.tracks[0];
    s.sites[0].desired_at = 20;
    s.sites[1].desired_at = 10;
    plan_make(&s.input, &p);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.v[0].site, 1);
    plan_done(&p);
    s.backend.running = 1; /* of a site that is no longer declared, say */
    plan_make(&s.input, &p);
    assert_int_equal(p.n, 0);
    plan_done(&p);
}

static void test_ends_and_what_is_recorded_of_them(void **state)
{
    static const struct {
        enum backend_end end;
        int failures;
        enum record_kind kind;
        const char *outcome;
    } table[] = {
        {BACKEND_DONE, 0, RECORD_DEPLOYED, "done"},
        {BACKEND_LATER, 99, RECORD_FAILED, "later"},
        {BACKEND_FAILED, 0, RECORD_FAILED, "retry"},
        {BACKEND_FAILED, 1, RECORD_FAILED, "retry"},
        {BACKEND_FAILED, 2, RECORD_FAILED, "failed"},
        {BACKEND_TIMEOUT, 1, RECORD_FAILED, "retry"},
        {BACKEND_TIMEOUT, 2, RECORD_FAILED, "failed"}, /* fifteen failures, 1 */
        {BACKEND_STALLED, 0, RECORD_FAILED, "stalled"},
        {BACKEND_REFUSED, 0, RECORD_FAILED, "failed"},
        {BACKEND_STOPPED, 0, RECORD_INTERRUPTED, NULL},
    };
    struct retry retry = {.limit = 3};

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct site_track t = {.failures = table[i].failures};
        struct plan_outcome o = plan_outcome(&t, table[i].end, &retry);
        assert_int_equal(o.kind, table[i].kind);
        assert_true(o.outcome == table[i].outcome || !strcmp(o.outcome, table[i].outcome));
    }
}

/* I6: exponential, bounded, spread out, and the same each time. */
static void test_backoff(void **state)
{
    struct retry retry = {.first = 10 * NS_PER_SEC, .factor = 3, .longest = 100 * NS_PER_SEC};
    double full[] = {10, 30, 90, 100, 100};
    int64_t least = INT64_MAX, most = 0;

    for (int tries = 1; tries <= 5; tries++) {
        struct site_track t = {.tries = tries, .generation = 3, .attempt = tries};
        for (int i = 0; i < 100; i++) {
            _cleanup_free_ char *name = xasprintf("site-%d", i);
            int64_t wait = plan_backoff(&retry, name, &t);
            assert_true(wait <= full[tries - 1] * NS_PER_SEC);
            assert_true(wait >= full[tries - 1] * NS_PER_SEC * 0.749);
            assert_int_equal(wait, plan_backoff(&retry, name, &t));
            if (tries == 1) {
                least = wait < least ? wait : least;
                most = wait > most ? wait : most;
            }
        }
    }
    assert_true(most - least > 2 * NS_PER_SEC);
    struct site_track huge = {.tries = 1000000};
    retry.factor = 1e300;
    assert_true(plan_backoff(&retry, "a", &huge) <= retry.longest);
}

/* I6: what a backend asks for is honoured, spread out behind it, and never more than `longest`. */
static void test_a_backend_says_how_long_it_wants_to_be_left_alone(void **state)
{
    struct retry retry = {.first = 10 * NS_PER_SEC, .factor = 2, .longest = 100 * NS_PER_SEC};
    struct site_track t = {.tries = 1, .generation = 1, .attempt = 1};

    for (int i = 0; i < 100; i++) {
        _cleanup_free_ char *name = xasprintf("site-%d", i);
        t.retry_after = 40 * NS_PER_SEC;
        int64_t wait = plan_backoff(&retry, name, &t);
        assert_true(wait >= 40 * NS_PER_SEC && wait <= 50 * NS_PER_SEC);
        t.retry_after = NS_PER_SEC; /* sooner than we would */
        wait = plan_backoff(&retry, name, &t);
        assert_true(wait >= 7 * NS_PER_SEC && wait <= 10 * NS_PER_SEC);
        t.retry_after = INT64_MAX;
        assert_int_equal(plan_backoff(&retry, name, &t), retry.longest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_phase_at_and_off_the_target),
        cmocka_unit_test(test_other_inputs_at_the_same_revision_are_another_target),
        cmocka_unit_test(test_what_was_deployed_before_a_failure_is_not_in_sync),
        cmocka_unit_test(test_a_running_attempt_is_let_finish),
        cmocka_unit_test(test_whatever_blocks_is_named_and_holds),
        cmocka_unit_test(test_dependencies_come_first),
        cmocka_unit_test(test_retry_does_not_wait_and_brings_the_ended_back),
        cmocka_unit_test(test_who_only_shows_records_nothing),
        cmocka_unit_test(test_room_goes_to_who_has_waited_longest),
        cmocka_unit_test(test_ends_and_what_is_recorded_of_them),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_a_backend_says_how_long_it_wants_to_be_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
