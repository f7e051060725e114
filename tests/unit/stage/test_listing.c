/* Listings that are handed out in pieces while the directory changes. */
#include <stdlib.h>

#include "stage/listing.h"
#include "testlib.h"

struct reader {
    struct dir_sink sink;
    int room;
    uint64_t cookie;
    int seen[2000]; /* by the number in the name */
};

static int take(struct dir_sink *sink, const char *name, mode_t type, uint64_t ino, uint64_t cookie,
                bool plus)
{
    struct reader *r = container_of(sink, struct reader, sink);

    if (r->room-- == 0)
        return 1;
    assert_true(cookie > r->cookie && cookie < UINT64_C(1) << 62);
    r->cookie = cookie;
    r->seen[strtol(name + 1, NULL, 10)]++;
    return 0;
}

static void fill(struct listing *l, int from, int to, int step)
{
    for (int i = from; i < to; i += step) {
        char *name = xasprintf("n%d", i);
        listing_add(l, name, S_IFREG, i + 2);
        free(name);
    }
    listing_finish(l);
}

/* What is there all the time is seen exactly once, whatever comes and goes meanwhile. */
static void names_that_stay_are_seen_once(void **state)
{
    struct reader r = {.sink.add = take};

    for (int round = 0;; round++) {
        struct listing l = {0};
        fill(&l, 0, 1000, 2);
        for (int i = 1 + 2 * (round % 7); i < 1000; i += 14) {
            char *name = xasprintf("n%d", i);
            listing_add(&l, name, S_IFREG, i);
            free(name);
        }
        listing_finish(&l);
        r.room = 7;
        bool all = listing_emit(&l, r.cookie, &r.sink);
        listing_done(&l);
        if (all)
            break;
    }
    for (int i = 0; i < 1000; i += 2)
        assert_int_equal(r.seen[i], 1);
}

static void an_empty_one_is_all_at_once(void **state)
{
    struct reader r = {.sink.add = take, .room = 1};
    struct listing l = {0};

    listing_finish(&l);
    assert_true(listing_emit(&l, 0, &r.sink));
    fill(&l, 0, 1, 1);
    assert_true(listing_emit(&l, 0, &r.sink));
    assert_true(listing_emit(&l, r.cookie, &r.sink));
    assert_int_equal(r.seen[0], 1);
    listing_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_stay_are_seen_once),
        cmocka_unit_test(an_empty_one_is_all_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
