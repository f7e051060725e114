/* Computed listings: each name once, in an order that stays while others come and go, and a reader
 * in the middle misses nothing that was there all the time. */
#include <stdlib.h>

#include "base/alloc.h"
#include "fixture.h"

#define MANY 500

struct got {
    struct dir_sink sink;
    int room;
    uint64_t last;
    unsigned seen[MANY];
};

static int add(struct dir_sink *sink, const char *name, mode_t type, uint64_t ino, uint64_t cookie,
               bool plus)
{
    struct got *g = container_of(sink, struct got, sink);

    if (!g->room--)
        return 1;
    assert_true(cookie > g->last && cookie <= INT64_MAX);
    assert_int_equal(ino, node_ino(77, name));
    g->last = cookie;
    g->seen[strtoul(name, NULL, 10)]++;
    return 0;
}

/* The names from..to-1, those that are divisible by `doubled` twice. */
static void emit(struct got *g, int from, int to, int doubled)
{
    _cleanup_(names_done) struct names names = {0};
    struct node dir = {.ino = 77};

    for (int round = 0; round < 2; round++)
        for (int i = from; i < to; i++) {
            _cleanup_free_ char *name = xasprintf("%d", i);
            if (!round || (doubled && i % doubled == 0))
                names_add(&names, name, S_IFDIR);
        }
    names_emit(&names, &dir, g->last, &g->sink);
}

static void test_every_name_once_in_replies_of_any_size(void **state)
{
    for (int size = 1; size < 2 * MANY; size = 3 * size + 1) {
        struct got g = {.sink = {.add = add}};
        for (int reply = 0; reply <= MANY / size; reply++) {
            g.room = size;
            emit(&g, 0, MANY, 7);
        }
        for (int i = 0; i < MANY; i++)
            assert_int_equal(g.seen[i], 1);
    }
}

static void test_a_reader_in_the_middle_misses_nothing(void **state)
{
    struct got g = {.sink = {.add = add}};

    /* Names below 100 go and those from 400 come while it reads. */
    for (int reply = 0; reply <= 2 * MANY / 10; reply++) {
        g.room = 10;
        emit(&g, reply % 2 ? 0 : 100, reply % 2 ? 400 : MANY, 0);
    }
    for (int i = 100; i < 400; i++)
        assert_int_equal(g.seen[i], 1);
    for (int i = 0; i < MANY; i++)
        assert_true(g.seen[i] <= 1);
}

/* Of two entries with one name the first one added is shown. */
static void test_the_first_of_a_name_wins(void **state)
{
    _cleanup_(names_done) struct names names = {0};

    for (int i = 0; i < 100; i++) {
        _cleanup_free_ char *name = xasprintf("%d", i);
        names_add(&names, name, S_IFLNK);
    }
    for (int i = 99; i >= 0; i--) {
        _cleanup_free_ char *name = xasprintf("%d", i);
        names_add(&names, name, S_IFDIR);
    }
    struct got g = {.sink = {.add = add}, .room = 0};
    struct node dir = {.ino = 77};
    names_emit(&names, &dir, 0, &g.sink); /* sorts */
    for (size_t i = 0; i < names.n; i += 2)
        assert_true(S_ISLNK(names.v[i].type) && S_ISDIR(names.v[i + 1].type));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_name_once_in_replies_of_any_size),
        cmocka_unit_test(test_a_reader_in_the_middle_misses_nothing),
        cmocka_unit_test(test_the_first_of_a_name_wins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
