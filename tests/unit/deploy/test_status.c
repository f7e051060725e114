#include "fixture.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metric.h"
#include "deploy/status.h"

struct scene {
    struct site *site;
    struct target target;
    struct targets targets;
    struct roster_site entry;
    struct roster_site *list[1];
    struct roster roster;
    struct plan_view view;
    struct plan plan;
};

static void scene_init(struct scene *s, enum site_state state)
{
    *s = (struct scene){.site = site_new(), .view = {.state = state}};
    s->target = (struct target){.site = s->site, .desired = oid_number(2), .inputs = oid_number(3)};
    s->targets.head = oid_number(5);
    s->entry.name = (char *)"store-1";
    s->entry.target = &s->target;
    s->entry.desired = s->target.desired;
    s->entry.inputs = s->target.inputs;
    s->entry.facts.track = (struct site_track){.generation = 4,
                                               .attempt = 2,
                                               .from = oid_number(1),
                                               .to = oid_number(2),
                                               .begun_at = 100 * NS_PER_SEC,
                                               .at = 200 * NS_PER_SEC,
                                               .deployed = oid_number(1),
                                               .deployed_source = (char *)"old"};
    s->list[0] = &s->entry;
    s->roster.v = s->list;
    s->roster.n = s->roster.ndeclared = 1;
    s->plan.views = &s->view;
    s->plan.nviews = 1;
}

static void scene_done(struct scene *s)
{
    site_status_unref(s->entry.shown);
    site_free(s->site);
}

static struct fleet *show(struct scene *s, const char *problem)
{
    return status_fleet(&(struct status_source){
        .roster = &s->roster, .targets = &s->targets, .plan = &s->plan, .problem = problem});
}

static void test_a_site_is_shown_with_all_that_is_known(void **state)
{
    struct scene s;

    scene_init(&s, SITE_PENDING);
    s.view.blocked_by.v = &(struct blocked){.kind = "suspend", .detail = "why"};
    s.view.blocked_by.n = 1;
    struct fleet *f = show(&s, NULL);
    const struct site_status *got = f->sites.v[0];
    assert_memory_equal(&f->head, &s.targets.head, sizeof(f->head));
    assert_string_equal(got->name, "store-1");
    assert_string_equal(got->team, "retail");
    assert_string_equal(got->source, "stores/1");
    assert_string_equal(got->include.v[0], "common");
    assert_string_equal(got->deployed_source, "old");
    assert_int_equal(got->generation, 4);
    assert_true(oid_is_zero(&got->to)); /* it is not under way */
    assert_string_equal(got->blocked_by.v[0].detail, "why");
    fleet_unref(f);
    scene_done(&s);
}

static void test_since_comes_from_the_ledger_or_from_the_change(void **state)
{
    static const struct {
        enum site_state state;
        int64_t since; /* 0: now */
    } table[] = {{SITE_IN_SYNC, 200},   {SITE_FAILED, 200}, {SITE_STALLED, 200},
                 {SITE_MIGRATING, 100}, {SITE_PENDING, 0},  {SITE_SUSPENDED, 0}};

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct scene s;
        scene_init(&s, table[i].state);
        s.view.step = table[i].state == SITE_MIGRATING ? "retry" : NULL;
        int64_t before = clock_real();
        struct fleet *f = show(&s, NULL), *again = show(&s, NULL);
        int64_t since = f->sites.v[0]->since;
        if (table[i].since)
            assert_int_equal(since, table[i].since * NS_PER_SEC);
        else
            assert_true(since >= before);
        assert_int_equal(again->sites.v[0]->since, since); /* it does not begin again */
        fleet_unref(f);
        fleet_unref(again);
        scene_done(&s);
    }
}

static void test_what_did_not_change_is_shown_again(void **state)
{
    struct scene s;

    scene_init(&s, SITE_PENDING);
    struct fleet *first = show(&s, NULL), *again = show(&s, "the disk is full");
    assert_ptr_equal(first->sites.v[0], again->sites.v[0]);
    s.view.blocked_by.v = &(struct blocked){.kind = "wave", .detail = "waits"};
    s.view.blocked_by.n = 1;
    struct fleet *then = show(&s, NULL);
    assert_int_equal(again->sites.v[0]->blocked_by.n, 0);
    assert_string_equal(then->sites.v[0]->blocked_by.v[0].detail, "waits");
    fleet_unref(first);
    fleet_unref(again);
    fleet_unref(then);
    scene_done(&s);
}

static void test_a_migrating_site_says_how_far_it_is(void **state)
{
    struct scene s;
    struct attempt attempt = {.call = VERB_APPLY, .deadline = 51 * NS_PER_SEC};
    struct oid one = oid_number(1), two = oid_number(2);

    scene_init(&s, SITE_MIGRATING);
    s.view.step = "apply";
    s.entry.facts.attempt = &attempt;
    struct fleet *f = show(&s, NULL);
    assert_string_equal(f->sites.v[0]->step, "apply");
    assert_int_equal(f->sites.v[0]->deadline, 51 * NS_PER_SEC);
    assert_memory_equal(&f->sites.v[0]->from, &one, sizeof(one));
    assert_memory_equal(&f->sites.v[0]->to, &two, sizeof(two));
    fleet_unref(f);
    s.entry.facts.attempt = NULL;
    s.view.step = "retry";
    s.view.until = clock_mono() + 3600 * NS_PER_SEC;
    f = show(&s, NULL);
    int64_t left = f->sites.v[0]->deadline - clock_real();
    assert_true(left > 3590 * NS_PER_SEC && left <= 3600 * NS_PER_SEC);
    fleet_unref(f);
    scene_done(&s);
}

static void test_the_declarations_problem_comes_before_the_ledgers(void **state)
{
    struct scene s;

    scene_init(&s, SITE_IN_SYNC);
    struct fleet *f = show(&s, "disk full");
    assert_string_equal(f->problem, "disk full");
    fleet_unref(f);
    s.targets.frozen = (char *)"line 3";
    f = show(&s, "disk full");
    assert_string_equal(f->problem, "line 3");
    fleet_unref(f);
    scene_done(&s);
}

static void test_states_are_counted(void **state)
{
    struct scene s;
    _cleanup_(buf_done) struct buf text = {0};

    scene_init(&s, SITE_STALLED);
    fleet_unref(show(&s, NULL));
    metric_render(&text);
    assert_non_null(strstr(text.data, "onward_sites{state=\"stalled\"} 1\n"));
    assert_non_null(strstr(text.data, "onward_sites{state=\"in-sync\"} 0\n"));
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_site_is_shown_with_all_that_is_known),
        cmocka_unit_test(test_since_comes_from_the_ledger_or_from_the_change),
        cmocka_unit_test(test_what_did_not_change_is_shown_again),
        cmocka_unit_test(test_a_migrating_site_says_how_far_it_is),
        cmocka_unit_test(test_the_declarations_problem_comes_before_the_ledgers),
        cmocka_unit_test(test_states_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
