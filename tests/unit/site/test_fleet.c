#include "testlib.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "site/fleet.h"

static const struct oid id1 = {{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde}}, id2 = {{0xff}};

/* Two sites: one that has seen everything, one that has seen nothing. */
static struct fleet *make_fleet(void)
{
    static const char *const include[] = {"apps"};
    static const struct blocked blocked[] = {{"wave", "canary has 1 of 3"}, {"pause", NULL}};
    struct fleet *f = fleet_new();
    struct site_status hub = {
        .name = "hub",
        .team = "platform-eu",
        .backend = "files",
        .source = "sites/hub",
        .state = SITE_MIGRATING,
        .desired = id1,
        .desired_inputs = id2,
        .deployed = id2,
        .previous = id1,
        .generation = 7,
        .attempt = 2,
        .step = "retry",
        .since = TEST_TIME * NS_PER_SEC,
        .deadline = (TEST_TIME + 60) * NS_PER_SEC,
        .drifted_at = (TEST_TIME + 1) * NS_PER_SEC,
        .message = "exit status 1: no\nspace \"left\"",
        .include = {include, 1},
        .blocked_by = {blocked, 2},
    };

    fleet_add(f, &hub);
    fleet_add(f, &(struct site_status){.name = "store-0001", .team = "x"});
    return f;
}

static void the_table_is_aligned(void **state)
{
    struct fleet *f = make_fleet();
    struct buf out = {0};

    fleet_render(f, &out);
    assert_string_equal(
        buf_str(&out),
        "SITE        TEAM         STATE      DEPLOYED      DESIRED       SINCE\n"
        "hub         platform-eu  migrating  ff0000000000  123456789abc  2026-01-01T00:00:00Z\n"
        "store-0001  x            unknown    -             -             -\n");
    buf_clear(&out);
    f->problem = strdup("onward.yaml:1:1:\nwrong");
    fleet_render(f, &out);
    assert_int_equal(strncmp(out.data, "# onward.yaml:1:1:\\nwrong\nSITE ", 31), 0);
    buf_done(&out);
    fleet_unref(f);
}

/* A rollout with 500 sites in four waves, the second of which is in the phase. */
static struct fleet_rollout rolling(unsigned char id, const char *phase)
{
    static const char *const names[] = {"canary", "quarter", "half", "rest"};
    struct fleet_rollout r = {.revision = {{id}}, .open = 1};

    for (size_t k = 0; k < 4; k++)
        *VEC_ADD(&r.waves) = (struct fleet_wave){.name = strdup(names[k]), .phase = "waiting"};
    r.waves.v[0] = (struct fleet_wave){r.waves.v[0].name, "done", .sites = 25, .arrived = 25};
    r.waves.v[1] = (struct fleet_wave){r.waves.v[1].name, phase, .sites = 125, .arrived = 15};
    r.waves.v[3].sites = 350;
    return r;
}

static void rollouts_say_where_they_are(void **state)
{
    struct fleet *f = fleet_new();
    struct buf out = {0};

    *VEC_ADD(&f->rollouts) = rolling(1, "moving");
    *VEC_ADD(&f->rollouts) = rolling(2, "soaking");
    *VEC_ADD(&f->rollouts) = rolling(3, "stopped");
    f->rollouts.v[1].waves.v[1].soaked_at = TEST_TIME * NS_PER_SEC;
    f->rollouts.v[1].waves.v[1].arrived = 125;
    f->rollouts.v[2].waves.v[1].failed = 1;
    for (int i = 0; i < FLEET_FEW + 2; i++)
        fleet_few_add(&f->rollouts.v[0].moving, i ? "store" : "edge");
    fleet_few_add(&f->rollouts.v[2].failed, "hub");
    fleet_few_add(&f->rollouts.v[2].passed, "far");
    fleet_render(f, &out);
    assert_string_equal(
        buf_str(&out),
        "# rollout 030000000000: 40 of 500 sites have arrived\n"
        "#   wave quarter (2 of 4) has stopped: 1 failed; a new revision or onward retry goes on; "
        "15 of 125 have arrived\n"
        "#   failed: hub\n"
        "#   passed over: far\n"
        "#   then: rest (350)\n"
        "# rollout 010000000000: 40 of 500 sites have arrived\n"
        "#   wave quarter (2 of 4) moves; 15 of 125 have arrived\n"
        "#   moving: edge store store store store store and 2 more\n"
        "#   then: rest (350)\n"
        "# rollout 020000000000: 150 of 500 sites have arrived\n"
        "#   wave quarter (2 of 4) soaks until 2026-01-01T00:00:00Z; 125 of 125 have arrived\n"
        "#   then: rest (350)\n"
        "SITE  TEAM  STATE  DEPLOYED  DESIRED  SINCE\n");
    json_t *all = fleet_rollouts_json(f), *one = json_array_get(all, 2);
    assert_string_equal(json_str(one, "open", ""), "quarter");
    assert_string_equal(json_string_value(json_array_get(json_object_get(one, "failed"), 0)),
                        "hub");
    json_decref(all);
    buf_done(&out);
    fleet_unref(f);
}

static void of_many_rollouts_a_few_are_shown(void **state)
{
    struct fleet *f = fleet_new();
    struct buf out = {0};

    for (int i = 0; i < 100; i++)
        *VEC_ADD(&f->rollouts) = rolling(i + 1, i == 90 ? "stopped" : "moving");
    f->paused = strdup("by ann");
    fleet_render(f, &out);
    const char *text = buf_str(&out);
    assert_int_equal(strncmp(text, "# paused by ann\n# rollout 5b0000000000: ", 40), 0);
    assert_non_null(strstr(text, "wave quarter (2 of 4) is paused;"));
    assert_non_null(strstr(text, "\n# and 92 more rollouts: .onward/status.json\nSITE "));
    buf_done(&out);
    fleet_unref(f);
}

static void status_has_a_line_for_each_key(void **state)
{
    struct fleet *f = make_fleet();
    struct buf out = {0};

    site_status_render(fleet_site(f, "hub"), &out);
    assert_string_equal(buf_str(&out), "site: hub\n"
                                       "team: platform-eu\n"
                                       "state: migrating\n"
                                       "desired: 123456789abcde00000000000000000000000000\n"
                                       "deployed: ff00000000000000000000000000000000000000\n"
                                       "previous: 123456789abcde00000000000000000000000000\n"
                                       "generation: 7\n"
                                       "attempt: 2\n"
                                       "step: retry\n"
                                       "since: 2026-01-01T00:00:00Z\n"
                                       "deadline: 2026-01-01T00:01:00Z\n"
                                       "drifted: 2026-01-01T00:00:01Z\n"
                                       "message: exit status 1: no\\nspace \"left\"\n"
                                       "blocked_by: wave: canary has 1 of 3\n"
                                       "blocked_by: pause\n"
                                       "inputs: ff00000000000000000000000000000000000000\n"
                                       "backend: files\n"
                                       "include: apps\n");
    buf_clear(&out);
    site_status_render(fleet_site(f, "store-0001"), &out);
    assert_string_equal(buf_str(&out), "site: store-0001\nteam: x\nstate: unknown\n");
    assert_null(fleet_site(f, "none"));
    buf_done(&out);
    fleet_unref(f);
}

static void json_has_every_key_always(void **state)
{
    struct fleet *f = make_fleet();
    json_t *all = site_status_json(fleet_site(f, "hub")),
           *none = site_status_json(fleet_site(f, "store-0001"));
    struct buf out = {0};

    json_write(none, 0, &out);
    assert_string_equal(
        buf_str(&out),
        "{\"site\":\"store-0001\",\"team\":\"x\",\"state\":\"unknown\",\"desired\":null,"
        "\"deployed\":null,\"previous\":null,\"generation\":null,\"attempt\":null,"
        "\"step\":null,\"since\":null,\"deadline\":null,\"drifted\":null,\"message\":null,"
        "\"blocked_by\":[],\"inputs\":null,\"backend\":null,\"include\":[]}");
    assert_int_equal(json_object_size(all), json_object_size(none));
    assert_int_equal(json_int(all, "generation", 0), 7);
    json_t *why = json_array_get(json_object_get(all, "blocked_by"), 0);
    assert_string_equal(json_str(why, "kind", ""), "wave");
    assert_string_equal(json_str(why, "detail", ""), "canary has 1 of 3");
    json_decref(all);
    json_decref(none);
    buf_done(&out);
    fleet_unref(f);
}

static void every_state_has_a_name(void **state)
{
    for (int s = 0; s < SITE_STATES; s++)
        assert_non_null(site_state_name(s));
    assert_string_equal(site_state_name(SITE_IN_SYNC), "in-sync");
}

static void *get_first(void *board)
{
    return fleet_board_get(board);
}

static void the_board_shows_the_newest_and_time_only_grows(void **state)
{
    struct fleet_board *b = fleet_board_new();
    struct fleet *first = make_fleet(), *got;
    pthread_t waiter;

    /* Whoever peeks is told so, at once. */
    struct fleet *none = fleet_board_peek(b);
    assert_non_null(strstr(none->problem, "not known yet"));
    fleet_unref(none);
    /* Whoever asks before the first snapshot gets that, not an empty one. */
    pthread_create(&waiter, NULL, get_first, b);
    fleet_board_publish(b, first);
    pthread_join(waiter, (void **)&got);
    assert_ptr_equal(got, first);
    none = fleet_board_peek(b);
    assert_ptr_equal(none, first);
    fleet_unref(none);
    int64_t at = got->at;
    for (int i = 0; i < 1000; i++) {
        struct fleet *next = fleet_new();
        fleet_board_publish(b, next);
        assert_true(next->at > at);
        at = next->at;
    }
    /* A snapshot lives as long as somebody holds it. */
    assert_string_equal(fleet_site(got, "hub")->backend, "files");
    fleet_unref(got);
    fleet_board_free(b);
    fleet_board_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_aligned),
        cmocka_unit_test(rollouts_say_where_they_are),
        cmocka_unit_test(of_many_rollouts_a_few_are_shown),
        cmocka_unit_test(status_has_a_line_for_each_key),
        cmocka_unit_test(json_has_every_key_always),
        cmocka_unit_test(every_state_has_a_name),
        cmocka_unit_test(the_board_shows_the_newest_and_time_only_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
