#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"

/* Against the simplest thing that can be right: an array indexed by the number in the key. */
static void agrees_with_a_model(void **state)
{
    enum { KEYS = 500, STEPS = 200000 };
    static int values[STEPS];
    int *model[KEYS] = {0};
    struct map m = {0};
    size_t live = 0;
    unsigned seed = 1;
    char key[16];

    for (int i = 0; i < STEPS; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned k = (seed >> 16) % KEYS, what = (seed >> 8) % 3;
        snprintf(key, sizeof(key), "key-%u", k);
        if (what == 0) {
            assert_ptr_equal(map_put(&m, key, &values[i]), model[k]);
            live += !model[k];
            model[k] = &values[i];
        } else if (what == 1) {
            assert_ptr_equal(map_del(&m, key), model[k]);
            live -= !!model[k];
            model[k] = NULL;
        } else {
            assert_ptr_equal(map_get(&m, key), model[k]);
        }
        assert_int_equal(m.live, live);
    }
    size_t seen = 0;
    map_foreach (it, &m)
        seen += model[strtoul(it->key + 4, NULL, 10)] == it->value;
    assert_int_equal(seen, live);
    map_done(&m, NULL);
}

static void iteration_is_in_the_order_of_insertion(void **state)
{
    struct map m = {0};
    int n = 0;
    char key[16];

    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%d", i * 7919 % 1000);
        map_put(&m, key, xstrdup(key));
    }
    map_foreach (it, &m) {
        assert_int_equal(strtol(it->key, NULL, 10), n * 7919 % 1000);
        assert_string_equal(it->key, it->value);
        n++;
    }
    assert_int_equal(n, 1000);
    map_done(&m, free);
    assert_null(map_get(&m, "1"));
    assert_null(map_del(&m, "1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(iteration_is_in_the_order_of_insertion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
