/* How often a supervisor tries again (daemon/respawn.h). */
#include "base/cleanup.h"
#include "daemon/respawn.h"
#include "testlib.h"

static const struct respawn_end killed_early = {.killed = true, .served = true, .lived = 1};
static const struct respawn_end killed_late = {
    .killed = true, .served = true, .lived = RESPAWN_LIFE_KILLED};
static const struct respawn_end crashed = {.served = true, .lived = RESPAWN_LIFE - 1};
static const struct respawn_end crashed_late = {.served = true, .lived = RESPAWN_LIFE};
static const struct respawn_end never_served = {.killed = true, .lived = RESPAWN_LIFE};
static const struct respawn_end upgraded = {.killed = true, .asked = true, .lived = 1};

static void a_row_of_failures_is_given_up(void **state)
{
    const struct respawn_end *const kinds[] = {&killed_early, &crashed, &never_served};

    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        struct respawn r = {0};
        int64_t before = 0;
        assert_int_equal(respawn_after(&r, kinds[k]), 0);
        for (int i = 2; i < RESPAWN_FAILURES; i++) {
            int64_t wait = respawn_after(&r, kinds[k]);
            assert_true(wait > before && wait <= 5 * NS_PER_SEC);
            before = wait;
        }
        assert_int_equal(respawn_after(&r, kinds[k]), -1);
    }
}

static void who_lives_or_is_ended_for_another_is_no_failure(void **state)
{
    const struct respawn_end *const kinds[] = {&killed_late, &crashed_late, &upgraded};

    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        struct respawn r = {0};
        for (int i = 1; i < RESPAWN_FAILURES; i++)
            respawn_after(&r, &crashed);
        assert_int_equal(respawn_after(&r, kinds[k]), 0);
        assert_int_equal(r.failures, 0);
        assert_int_equal(respawn_after(&r, &crashed), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_of_failures_is_given_up),
        cmocka_unit_test(who_lives_or_is_ended_for_another_is_no_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
