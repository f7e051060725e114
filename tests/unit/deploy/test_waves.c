/* Waves of rollouts, by hand; tests/sim holds their invariants over long lives. */
#include "testlib.h"

#include <stdlib.h>

#include "base/buf.h"
#include "deploy/waves.h"

/* A scene in letters: a site each, in the order of their names, by its standing: Fresh, Moving,
 * Arrived (at time 100), failed (X), Passed. */
struct scene {
    struct wave waves[4];
    struct waves_input in;
    struct wave_site sites[100];
};

static void scene_init(struct scene *s, const char *standings)
{
    static const char letters[] = "FMAXP";

    *s = (struct scene){.waves = {{.name = (char *)"one", .count = 1},
                                  {.name = (char *)"tenth", .share = 10},
                                  {.name = (char *)"half", .share = 50},
                                  {.name = (char *)"all"}}};
    s->in = (struct waves_input){.waves = s->waves,
                                 .nwaves = 4,
                                 .sites = s->sites,
                                 .nsites = strlen(standings),
                                 .nrollouts = 1,
                                 .now = 100};
    for (size_t i = 0; i < s->in.nsites; i++)
        s->sites[i] = (struct wave_site){
            .standing = strchr(letters, standings[i]) - letters, .fits = 0xf, .arrived = 100};
}

/* "wave of each site / phase:room of each wave". */
static void assert_waves(struct scene *s, const char *expected)
{
    _cleanup_(buf_done) struct buf out = {0};
    struct waves w;

    waves_make(&s->in, &w);
    if (!w.n)
        buf_adds(&out, "over");
    for (size_t i = 0; w.n && i < s->in.nsites; i++)
        buf_addf(&out, "%d", w.wave[i]);
    for (size_t k = 0; w.n && k < s->in.nwaves; k++)
        buf_addf(&out, " %s:%zu", wave_phase_name(w.v[0].waves[k].phase), w.v[0].waves[k].room);
    assert_string_equal(buf_str(&out), expected);
    waves_done(&w);
}

static void test_one_a_tenth_half_all(void **state)
{
    struct scene s;

    scene_init(&s, "FFFFFFFFFF");
    assert_waves(&s, "0122222333 moving:1 waiting:0 waiting:0 waiting:0");
    scene_init(&s, "MFFFFFFFFF");
    assert_waves(&s, "0122222333 moving:0 waiting:0 waiting:0 waiting:0");
    scene_init(&s, "AFFFFFFFFF");
    assert_waves(&s, "0122222333 done:0 moving:1 waiting:0 waiting:0");
    scene_init(&s, "AAMFFFFFFF");
    assert_waves(&s, "0122222333 done:0 done:0 moving:4 waiting:0");
    scene_init(&s, "AAAAAAAFFM");
    assert_waves(&s, "0122222333 done:0 done:0 done:0 moving:2");
    scene_init(&s, "AAAAAAAAAA");
    assert_waves(&s, "over");
}

static void test_too_many_failures_stop_a_rollout(void **state)
{
    struct scene s;

    scene_init(&s, "XFFFFFFFFF");
    assert_waves(&s, "0122222333 stopped:0 waiting:0 waiting:0 waiting:0");
    s.in.max_failures = 1;
    assert_waves(&s, "0122222333 done:0 moving:1 waiting:0 waiting:0");
    scene_init(&s, "AAXXFFFFFF");
    s.in.max_failures = 1;
    assert_waves(&s, "0122222333 done:0 done:0 stopped:0 waiting:0");
}

/* Fifteen failures, 6: who is away is not waited for, takes nobody's place, and catches up. */
static void test_who_is_passed_over_is_waited_for_by_nobody(void **state)
{
    struct scene s;

    scene_init(&s, "PFFFFFFFFF");
    assert_waves(&s, "0012222233 moving:1 waiting:0 waiting:0 waiting:0");
    scene_init(&s, "PAFFFFFFFF");
    assert_waves(&s, "0012222233 done:0 moving:1 waiting:0 waiting:0");
    scene_init(&s, "PAAAAAAAAA");
    assert_waves(&s, "0012222233 done:0 done:0 done:0 done:0");
    scene_init(&s, "FAAAAAAAFF"); /* the first one is back: in the first wave that has room */
    assert_waves(&s, "3012222233 done:0 done:0 done:0 moving:3");
}

static void test_a_wave_soaks_before_the_next_begins(void **state)
{
    struct scene s;

    scene_init(&s, "AFFF");
    s.waves[0].soak = 50;
    s.in.now = 149;
    assert_waves(&s, "0122 soaking:0 waiting:0 waiting:0 waiting:0");
    s.in.now = 150;
    assert_waves(&s, "0122 done:0 moving:1 waiting:0 waiting:0");
    scene_init(&s, "AAAA");
    s.waves[3].soak = 50; /* nobody is in it */
    s.in.now = 120;
    assert_waves(&s, "0122 done:0 done:0 done:0 done:0");
}

static void test_only_so_many_may_be_away_at_once(void **state)
{
    struct scene s;

    scene_init(&s, "AAMXFFFFFF");
    s.in.max_failures = 1;
    s.waves[2].max_unavailable = 3;
    assert_waves(&s, "0122222333 done:0 done:0 moving:1 waiting:0");
    s.waves[2].max_unavailable = -20; /* of five: one */
    assert_waves(&s, "0122222333 done:0 done:0 moving:0 waiting:0");
    s.waves[2].max_unavailable = -1; /* never none */
    scene_init(&s, "AAFFFFFFFF");
    s.waves[2].max_unavailable = -1;
    assert_waves(&s, "0122222333 done:0 done:0 moving:1 waiting:0");
}

static void test_labels_say_which_wave_may_take_a_site(void **state)
{
    struct scene s;

    scene_init(&s, "FFFFF");
    for (int i = 0; i < 5; i++)
        s.sites[i].fits = i == 3 ? 1 : i == 4 ? 2 : 4;
    assert_waves(&s, "22201 moving:1 waiting:0 waiting:0 waiting:0");
    for (int i = 0; i < 5; i++)
        s.sites[i].fits = 0; /* nobody names it: it is the last wave's */
    assert_waves(&s, "33333 done:0 done:0 done:0 moving:5");
}

/* Fifteen failures, 7: nothing that happens at one revision is taken for another. */
static void test_rollouts_do_not_know_each_other(void **state)
{
    struct scene s;
    struct waves w;

    scene_init(&s, "XFFAFF");
    s.in.nrollouts = 3; /* the last one is nobody's any more */
    for (int i = 3; i < 6; i++)
        s.sites[i].rollout = 1;
    s.sites[2].rollout = WAVES_NONE;
    waves_make(&s.in, &w);
    assert_int_equal(w.n, 2);
    assert_int_equal(w.view[0]->waves[0].phase, WAVE_STOPPED);
    assert_int_equal(w.view[1]->waves[0].phase, WAVE_DONE);
    assert_int_equal(w.view[1]->waves[1].room, 1);
    assert_null(w.view[2]);
    waves_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_a_tenth_half_all),
        cmocka_unit_test(test_too_many_failures_stop_a_rollout),
        cmocka_unit_test(test_who_is_passed_over_is_waited_for_by_nobody),
        cmocka_unit_test(test_a_wave_soaks_before_the_next_begins),
        cmocka_unit_test(test_only_so_many_may_be_away_at_once),
        cmocka_unit_test(test_labels_say_which_wave_may_take_a_site),
        cmocka_unit_test(test_rollouts_do_not_know_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
