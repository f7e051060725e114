#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/cache.h"

static int alive; /* objects that are not destroyed */

static void destroy(struct cached *o)
{
    alive--;
    free(o);
}

static struct oid number(unsigned n)
{
    struct oid oid = {0};

    oid.id[0] = n % 3; /* many in one slot */
    memcpy(oid.id + 8, &n, sizeof(n));
    return oid;
}

/* Loads object `n` of `bytes`; the caller's reference goes at once. */
static void load(struct cache *c, unsigned n, size_t bytes)
{
    struct oid oid = number(n);
    struct cached *o = NEW(struct cached);

    assert_null(cache_begin(c, &oid));
    *o = (struct cached){.oid = oid, .bytes = bytes, .destroy = destroy, .refs = 1};
    alive++;
    cache_finish(c, &oid, o);
    cached_unref(o);
}

static bool has(struct cache *c, unsigned n)
{
    struct oid oid = number(n);
    struct cached *o = cache_begin(c, &oid);

    if (!o)
        cache_finish(c, &oid, NULL);
    cached_unref(o);
    return o != NULL;
}

static void test_the_least_recently_used_goes_first(void **state)
{
    struct cache *c = cache_new(100);

    for (unsigned i = 0; i < 10; i++)
        load(c, i, 10);
    assert_int_equal(alive, 10);
    assert_true(has(c, 0));
    load(c, 10, 15);
    assert_int_equal(alive, 9);
    assert_true(has(c, 0));
    assert_false(has(c, 1));
    assert_false(has(c, 2));
    assert_true(has(c, 3));
    cache_free(c);
    assert_int_equal(alive, 0);
}

static void test_the_newest_stays_whatever_its_size(void **state)
{
    struct cache *c = cache_new(100);

    load(c, 1, 50);
    load(c, 2, 1000);
    assert_true(has(c, 2));
    assert_int_equal(alive, 1);
    load(c, 3, 10);
    assert_false(has(c, 2));
    assert_true(has(c, 3));
    cache_free(c);
}

static void test_what_is_in_use_outlives_its_place(void **state)
{
    struct cache *c = cache_new(100);
    struct oid oid = number(1);

    load(c, 1, 60);
    struct cached *held = cache_begin(c, &oid);
    load(c, 2, 60);
    assert_false(has(c, 1));
    assert_int_equal(alive, 2);
    cache_free(c);
    assert_int_equal(alive, 1);
    assert_oid_equal(&held->oid, &oid);
    cached_unref(held);
    assert_int_equal(alive, 0);
}

static void test_it_grows_with_its_objects(void **state)
{
    struct cache *c = cache_new(100000);
    int64_t before = metric_value("onward_object_cache_bytes");

    for (unsigned i = 0; i < 20000; i++)
        load(c, i, 1);
    for (unsigned i = 0; i < 20000; i++)
        assert_true(has(c, i));
    assert_int_equal(metric_value("onward_object_cache_bytes") - before, 20000);
    cache_free(c);
    assert_int_equal(metric_value("onward_object_cache_bytes") - before, 0);
}

static void *begin(void *arg)
{
    struct oid oid = number(1);
    struct cached *o = cache_begin(arg, &oid);

    if (!o)
        cache_finish(arg, &oid, NULL);
    return o;
}

/* A second miss waits for the first, and takes over when that fails. */
static void test_misses_at_the_same_time_are_one_load(void **state)
{
    struct cache *c = cache_new(100);
    struct oid oid = number(1);
    pthread_t thread;
    void *found;

    assert_null(cache_begin(c, &oid));
    assert_int_equal(pthread_create(&thread, NULL, begin, c), 0);
    assert_false(has(c, 2)); /* others need not wait */
    cache_finish(c, &oid, NULL);
    pthread_join(thread, &found);
    assert_null(found);

    assert_null(cache_begin(c, &oid));
    assert_int_equal(pthread_create(&thread, NULL, begin, c), 0);
    struct cached *o = NEW(struct cached);
    *o = (struct cached){.oid = oid, .bytes = 1, .destroy = destroy, .refs = 1};
    alive++;
    cache_finish(c, &oid, o);
    pthread_join(thread, &found);
    assert_ptr_equal(found, o);
    cached_unref(o);
    cached_unref(o);
    cache_free(c);
    assert_int_equal(alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least_recently_used_goes_first),
        cmocka_unit_test(test_the_newest_stays_whatever_its_size),
        cmocka_unit_test(test_what_is_in_use_outlives_its_place),
        cmocka_unit_test(test_it_grows_with_its_objects),
        cmocka_unit_test(test_misses_at_the_same_time_are_one_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
