#include "testlib.h"

#include "base/metric.h"
#include "repo/base_cache.h"

#define SIZE 1000
/* Room for eight bases of that size. */
#define BUDGET (8 * (SIZE + sizeof(struct base)))

static void put(struct base_cache *c, uint64_t at, size_t size)
{
    struct base *b = base_new(GIT_OBJECT_BLOB, size);

    memset(b->data, (int)at, size);
    base_cache_put(c, 1, at, b);
    base_unref(b);
}

static bool has(struct base_cache *c, uint64_t serial, uint64_t at)
{
    struct base *b = base_cache_get(c, serial, at);
    bool found = b && b->at == at && b->serial == serial && (!b->size || b->data[0] == (at & 0xff));

    base_unref(b);
    return found;
}

static void test_least_recently_used_goes_first(void **state)
{
    struct base_cache *c = base_cache_new(BUDGET);

    for (int at = 0; at < 8; at++)
        put(c, at, SIZE);
    assert_true(has(c, 1, 0));
    put(c, 8, SIZE);
    assert_true(has(c, 1, 0));
    assert_false(has(c, 1, 1));
    for (int at = 2; at < 9; at++)
        assert_true(has(c, 1, at));
    assert_false(has(c, 2, 2));
    base_cache_free(c);
}

static void test_one_base_does_not_push_out_the_others(void **state)
{
    struct base_cache *c = base_cache_new(BUDGET);

    put(c, 1, SIZE);
    put(c, 2, BUDGET / 2);
    assert_true(has(c, 1, 1));
    assert_false(has(c, 1, 2));
    base_cache_free(c);
}

static void test_dropped_bases_live_while_used(void **state)
{
    struct base_cache *c = base_cache_new(BUDGET);

    put(c, 7, SIZE);
    struct base *b = base_cache_get(c, 1, 7);
    for (int at = 100; at < 200; at++)
        put(c, at, SIZE);
    assert_false(has(c, 1, 7));
    base_cache_free(c);
    assert_int_equal(b->data[SIZE - 1], 7);
    base_unref(b);
}

static void test_the_first_of_two_stays(void **state)
{
    struct base_cache *c = base_cache_new(BUDGET);

    put(c, 3, SIZE);
    struct base *first = base_cache_get(c, 1, 3);
    put(c, 3, SIZE);
    struct base *again = base_cache_get(c, 1, 3);
    assert_ptr_equal(first, again);
    base_unref(first);
    base_unref(again);
    base_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least_recently_used_goes_first),
        cmocka_unit_test(test_one_base_does_not_push_out_the_others),
        cmocka_unit_test(test_dropped_bases_live_while_used),
        cmocka_unit_test(test_the_first_of_two_stays),
    };

    return cmocka_run_group_tests_name("base_cache", tests, NULL, NULL);
}
