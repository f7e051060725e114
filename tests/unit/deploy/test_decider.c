/* What the decider does besides applying: health, drift, holds, pauses, waves, rewritten mainlines.
 * What is decided is tested in test_plan.c, test_waves.c and tests/sim. */
#include "living.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "deploy/site_track.h"

/* ---- health ---------------------------------------------------------------------------------- */

static void test_a_site_is_deployed_once_it_is_healthy(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    set_verbs(w, "[ $1 = health ] && { [ -e well ] && exit 0 || exit 75; }", "");
    start_enabled(w);
    assert_true(test_wait(has_calls, w, WAIT));
    WAIT_FOR(w, "a", SITE_MIGRATING);
    assert_records(w, "a", "1.1:attempt ");
    test_write_file(w->f->dir, "well", "");
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_calls(w, "a 1.1");
    assert_records(w, "a", "1.1:deployed=done 1.1:attempt ");
}

static void test_who_is_not_healthy_in_time_has_failed(void **state)
{
    struct world *w = *state;

    add_revision(w->f, "one");
    w->backends[0].timeout = 300 * NS_PER_MS;
    w->backends[0].retry.limit = 1;
    set_verbs(w, "[ $1 = health ] && { echo too slow; exit 75; }", "");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_FAILED);
    struct fleet *f = fleet_board_get(w->board);
    assert_non_null(strstr(fleet_site(f, "a")->message, "not healthy within"));
    assert_non_null(strstr(fleet_site(f, "a")->message, "too slow"));
    fleet_unref(f);
    assert_records(w, "a", "1.1:failed=failed 1.1:attempt ");
}

/* A fix waits neither for the broken version's deadline nor for a question that hangs. */
static void test_what_is_newer_does_not_wait_for_health(void **state)
{
    /* The broken versions are the even generations. */
    static const char *const sick[] = {
        "[ $1 = health ] && [ $((ONWARD_GENERATION % 2)) = 0 ] && exit 75",
        "[ $1 = health ] && [ $((ONWARD_GENERATION % 2)) = 0 ] && sleep 999",
    };
    struct world *w = *state;
    int generation = 1;

    add_revision(w->f, "one");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC);
    for (size_t i = 0; i < ARRAY_SIZE(sick); i++) {
        set_verbs(w, sick[i], "");
        commit(w, "stores/a/app", i ? "sick 1\n" : "sick 0\n");
        WAIT_FOR(w, "a", SITE_MIGRATING);
        _cleanup_free_ char *line = xasprintf("grep -q 'a %d' calls", ++generation);
        while (test_status(w->f->dir, "%s", line))
            usleep(1000);
        struct oid fix = commit(w, "stores/a/app", i ? "well 1\n" : "well 0\n");
        generation++;
        WAIT_FOR(w, "a", SITE_IN_SYNC, &fix);
    }
    assert_records(w, "a",
                   "5.1:deployed=done 5.1:attempt 4.1:superseded 4.1:attempt 3.1:deployed=done "
                   "3.1:attempt 2.1:superseded 2.1:attempt 1.1:deployed=done 1.1:attempt ");
}

/* So a mount reads one record for each site that is in sync. */
static void test_the_newest_record_says_what_ran_before(void **state)
{
    _cleanup_(site_track_done) struct site_track track = {0};
    struct track_reader reader = {0};
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    struct oid two = commit(w, "stores/a/app", "two\n");
    WAIT_FOR(w, "a", SITE_IN_SYNC, &two);
    assert_int_equal(ledger_history(w->ledger, "a", track_reader_add, &reader, NULL), 1);
    assert_int_equal(reader.n, 1);
    track_reader_finish(&reader, clock_real(), clock_mono(), &track);
    assert_memory_equal(&track.previous, &one, sizeof(one));
    assert_string_equal(track.previous_source, "stores/a");
    assert_true(track.begun_at > 0 && track.begun_at <= track.at);
}

/* ---- drift ----------------------------------------------------------------------------------- */

static void test_drift_is_found_shown_and_healed_when_asked(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    w->backends[0].observe_every = 10 * NS_PER_MS;
    set_verbs(w, "[ $1 = observe ] && { [ ! -e bent ] || { echo bent; exit 2; }; exit 0; }",
              "rm -f bent");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    test_write_file(w->f->dir, "bent", "");
    WAIT_FOR(w, "a", SITE_DRIFTED, &one);
    struct fleet *f = fleet_board_get(w->board);
    assert_string_equal(fleet_site(f, "a")->message, "bent");
    fleet_unref(f);
    stop(w, 0); /* it is known after a restart */
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_DRIFTED, &one);
    assert_int_equal(give_order(w, "Ann", "retry a", NULL), 0);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_calls(w, "a 1.1,a 2.1");
    assert_records(w, "a",
                   "2.1:healed=done 2.1:attempt=heal 1.1:drifted 1.1:deployed=done "
                   "1.1:attempt ");
}

static void test_a_site_heals_itself_where_that_is_declared(void **state)
{
    struct world *w = *state;

    w->backends[0].observe_every = 10 * NS_PER_MS;
    set_verbs(w, "[ $1 = observe ] && { [ ! -e bent ] || exit 2; exit 0; }", "rm -f bent");
    declare(w, "  - {name: a, source: stores/a, backend: script, self_heal: true}\n");
    struct oid one = add_revision(w->f, "one");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    test_write_file(w->f->dir, "bent", "");
    assert_true(test_wait(has_two_calls, w, WAIT));
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_records(w, "a",
                   "2.1:healed=done 2.1:attempt=heal 1.1:drifted 1.1:deployed=done "
                   "1.1:attempt ");
}

/* ---- holds and pauses ------------------------------------------------------------------------ */

static void test_only_a_person_lifts_a_hold(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_int_equal(give_order(w, "Ann", "hold a", NULL), -EINVAL);
    assert_int_equal(give_order(w, "Ann", "hold x --reason y", NULL), -ENOENT);
    assert_int_equal(give_order(w, "Ann", "hold a --reason aisle 3: new shelves", NULL), 0);
    assert_int_equal(give_order(w, "Ann", "hold a --reason new shelves  ", NULL), 0);
    assert_int_equal(give_order(w, "Ann", "hold a --reason new shelves", NULL), 0);
    commit(w, "stores/a/app", "two\n");
    WAIT_FOR(w, "a", SITE_HELD, &one, "hold");
    stop(w, 0);
    start_enabled(w);
    struct oid three = commit(w, "stores/a/app", "three\n");
    WAIT_FOR(w, "a", SITE_HELD, &one, "hold");
    struct fleet *f = fleet_board_get(w->board);
    const char *why = fleet_site(f, "a")->blocked_by.v[0].detail;
    assert_non_null(strstr(why, "by Ann since 2"));
    assert_non_null(strstr(why, ": new shelves"));
    assert_true(why[strlen(why) - 1] == 's');
    fleet_unref(f);
    assert_calls(w, "a 1.1");
    assert_int_equal(give_order(w, "Bob", "hold a --reason new shelves", NULL), 0);
    assert_int_equal(give_order(w, "Bob", "release a", NULL), 0);
    assert_int_equal(give_order(w, "Bob", "release a", NULL), 0);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &three);
    assert_records(w, "a",
                   "2.1:deployed=done 2.1:attempt 1.1:released 1.1:held 1.1:held 1.1:held "
                   "1.1:deployed=done 1.1:attempt ");
}

static void test_a_pause_is_for_all_and_survives(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_int_equal(give_order(w, "Ann", "pause --reason half the day: stocktaking", NULL), 0);
    assert_int_equal(give_order(w, "Ann", "pause --reason stocktaking", NULL), 0);
    assert_int_equal(give_order(w, "Ann", "pause --reason stocktaking", NULL), 0);
    commit(w, "stores/a/app", "two\n");
    WAIT_FOR(w, "a", SITE_PENDING, &one, "pause");
    stop(w, 0);
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_PENDING, &one, "pause");
    struct fleet *f = fleet_board_get(w->board);
    assert_non_null(strstr(f->paused, ": stocktaking"));
    fleet_unref(f);
    assert_int_equal(give_order(w, "Ann", "resume", NULL), 0);
    assert_int_equal(give_order(w, "Ann", "resume", NULL), 0);
    WAIT_FOR(w, "a", SITE_IN_SYNC);
    assert_records(w, "", "0.0:resumed 0.0:paused 0.0:paused ");
}

/* ---- rollouts -------------------------------------------------------------------------------- */

static void test_a_failed_wave_stops_the_others(void **state)
{
    struct world *w = *state;
    struct buf sites = {0};

    for (int i = 0; i < 5; i++)
        buf_addf(&sites, "  - {name: s%d, source: stores/a, backend: script}\n", i);
    buf_adds(&sites, "rollout: {waves: [{name: first, sites: [s3]}, {name: rest}]}\n");
    declare(w, sites.data);
    buf_done(&sites);
    w->backends[0].retry.limit = 1;
    set_script(w, "exit 1");
    add_revision(w->f, "one");
    start_enabled(w);
    WAIT_FOR(w, "s3", SITE_FAILED);
    WAIT_FOR(w, "s0", SITE_PENDING, NULL, "wave");
    struct fleet *f = fleet_board_get(w->board);
    assert_int_equal(f->rollouts.n, 1);
    assert_string_equal(f->rollouts.v[0].waves.v[0].phase, "stopped");
    fleet_unref(f);
    assert_calls(w, "s3 1.1");
    set_script(w, "");
    struct oid fix = commit(w, "stores/a/app", "two\n");
    for (int i = 0; i < 5; i++) {
        char name[] = {'s', '0' + i, 0};
        WAIT_FOR(w, name, SITE_IN_SYNC, &fix);
    }
    test_run(w->f->dir, "sed -n 2p calls | grep -q '^s3 2.1'");
}

/* ---- rewritten mainlines --------------------------------------------------------------------- */

static void test_a_rewritten_mainline_moves_on_when_it_is_accepted(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_int_equal(give_order(w, "Ann", "accept --reason x", NULL), -EINVAL);
    test_run(w->f->work, "git checkout -q --orphan other && git branch -qD main && "
                         "git branch -qm main");
    struct oid other = commit(w, "stores/a/app", "another history\n");
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one, "rewritten");
    assert_int_equal(give_order(w, "Ann", "accept --reason my fault", NULL), 0);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &other);
    assert_records(w, "", "0.0:accepted ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LTEST(test_a_site_is_deployed_once_it_is_healthy),
        LTEST(test_who_is_not_healthy_in_time_has_failed),
        LTEST(test_what_is_newer_does_not_wait_for_health),
        LTEST(test_the_newest_record_says_what_ran_before),
        LTEST(test_drift_is_found_shown_and_healed_when_asked),
        LTEST(test_a_site_heals_itself_where_that_is_declared),
        LTEST(test_only_a_person_lifts_a_hold),
        LTEST(test_a_pause_is_for_all_and_survives),
        LTEST(test_a_failed_wave_stops_the_others),
        LTEST(test_a_rewritten_mainline_moves_on_when_it_is_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
