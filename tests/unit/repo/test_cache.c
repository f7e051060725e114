#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

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

static struct cache *cache_of(uint64_t bytes)
{
    return cache_new(&(struct cache_bounds){bytes, .newest_stays = true, .in_memory = true});
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
    struct cache *c = cache_of(100);

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
    struct cache *c = cache_of(100);

    load(c, 1, 50);
    load(c, 2, 1000);
    assert_true(has(c, 2));
    assert_int_equal(alive, 1);
    load(c, 3, 10);
    assert_false(has(c, 2));
    assert_true(has(c, 3));
    cache_free(c);
}

static void test_the_newest_need_not_stay(void **state)
{
    struct cache *c = cache_new(&(struct cache_bounds){100});
    int64_t before = metric_value("onward_object_cache_bytes");

    load(c, 1, 100);
    load(c, 2, 101);
    assert_false(has(c, 2));
    assert_true(has(c, 1));
    assert_int_equal(metric_value("onward_object_cache_bytes"), before);
    cache_free(c);
    assert_int_equal(alive, 0);
}

static void test_objects_are_bounded_in_number(void **state)
{
    struct cache *c = cache_new(&(struct cache_bounds){100, .number = 3});

    for (unsigned i = 0; i < 4; i++)
        load(c, i, i);
    assert_false(has(c, 0));
    assert_int_equal(alive, 3);
    cache_rebound(c, &(struct cache_bounds){3});
    assert_int_equal(alive, 1);
    assert_true(has(c, 3));
    cache_clear(c);
    assert_int_equal(alive, 0);
    cache_free(c);
}

static void test_what_is_in_use_outlives_its_place(void **state)
{
    struct cache *c = cache_of(100);
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
    struct cache *c = cache_of(100000);
    int64_t before = metric_value("onward_object_cache_bytes");

    for (unsigned i = 0; i < 20000; i++)
        load(c, i, 1);
    for (unsigned i = 0; i < 20000; i++)
        assert_true(has(c, i));
    assert_int_equal(metric_value("onward_object_cache_bytes") - before, 20000);
    cache_free(c);
    assert_int_equal(metric_value("onward_object_cache_bytes") - before, 0);
}

struct loader {
    struct cache *cache;
    struct cached *found;
    atomic_int tid;
    atomic_bool done;
};

static void *begin(void *arg)
{
    struct loader *l = arg;
    struct oid oid = number(1);

    atomic_store(&l->tid, gettid());
    l->found = cache_begin(l->cache, &oid);
    if (!l->found)
        cache_finish(l->cache, &oid, NULL);
    atomic_store(&l->done, true);
    return NULL;
}

/* The loader waits in the kernel, or is through. */
static bool is_settled(void *arg)
{
    struct loader *l = arg;

    if (atomic_load(&l->done))
        return true;
    if (!atomic_load(&l->tid))
        return false;
    _cleanup_free_ char *path = xasprintf("self/task/%d/stat", atomic_load(&l->tid));
    _cleanup_free_ char *stat = test_read_file("/proc", path, NULL);
    return strstr(stat, ") S ") != NULL;
}

static void start(struct loader *l, struct cache *c, pthread_t *ret)
{
    *l = (struct loader){.cache = c};
    assert_int_equal(pthread_create(ret, NULL, begin, l), 0);
    assert_true(test_wait(is_settled, l, 5000));
    assert_false(atomic_load(&l->done));
}

/* A second miss waits for the first, and takes over when that fails. */
static void test_misses_at_the_same_time_are_one_load(void **state)
{
    struct cache *c = cache_of(100);
    struct oid oid = number(1);
    struct loader other;
    pthread_t thread;

    assert_null(cache_begin(c, &oid));
    start(&other, c, &thread);
    assert_false(has(c, 2)); /* others need not wait */
    cache_finish(c, &oid, NULL);
    pthread_join(thread, NULL);
    assert_null(other.found);

    assert_null(cache_begin(c, &oid));
    start(&other, c, &thread);
    struct cached *o = NEW(struct cached);
    *o = (struct cached){.oid = oid, .bytes = 1, .destroy = destroy, .refs = 1};
    alive++;
    cache_finish(c, &oid, o);
    pthread_join(thread, NULL);
    assert_ptr_equal(other.found, o);
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
        cmocka_unit_test(test_the_newest_need_not_stay),
        cmocka_unit_test(test_objects_are_bounded_in_number),
        cmocka_unit_test(test_what_is_in_use_outlives_its_place),
        cmocka_unit_test(test_it_grows_with_its_objects),
        cmocka_unit_test(test_misses_at_the_same_time_are_one_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
