/* When a thread looks out for the next request, and that nothing keeps it from going to sleep. */
#include <pthread.h>
#include <unistd.h>

#include "mount/vigil.h"
#include "testlib.h"

struct bench {
    struct vigil vigil;
    int pipe[2]; /* for /dev/fuse */
    unsigned calls;
};

static void count_call(void *arg)
{
    ((struct bench *)arg)->calls++;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    vigil_init(&b->vigil, 2, count_call, b);
    assert_int_equal(pipe(b->pipe), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    close(b->pipe[0]);
    close(b->pipe[1]);
    free(b);
    return 0;
}

static void answer(struct bench *b, int requests)
{
    for (int i = 0; i < requests; i++) {
        vigil_begin(&b->vigil);
        vigil_end(&b->vigil);
    }
}

/* Does a thread that comes now look out? It returns at any rate. */
static bool looks_out(struct bench *b)
{
    unsigned before = b->calls;

    vigil_keep(&b->vigil, b->pipe[0]);
    return b->calls != before;
}

static void after_a_row_until_nothing_comes(void **state)
{
    struct bench *b = *state;

    answer(b, VIGIL_ROW - 1);
    assert_false(looks_out(b));
    answer(b, 1);
    assert_true(looks_out(b)); /* in vain */
    assert_false(looks_out(b));
    answer(b, VIGIL_ROW - 1);
    assert_false(looks_out(b));
}

static void requests_at_the_same_time_are_no_row(void **state)
{
    struct bench *b = *state;

    answer(b, VIGIL_ROW);
    vigil_begin(&b->vigil);
    answer(b, 1);
    vigil_end(&b->vigil);
    assert_false(looks_out(b));
    answer(b, VIGIL_ROW);
    assert_int_equal(write(b->pipe[1], "x", 1), 1);
    assert_false(looks_out(b)); /* it came before the last one was answered */
    assert_false(looks_out(b));
}

static void one_cpu(void **state)
{
    struct bench *b = *state;

    vigil_init(&b->vigil, 1, count_call, b);
    answer(b, 2 * VIGIL_ROW);
    assert_false(looks_out(b));
}

static void not_when_the_cpu_is_wanted(void **state)
{
    struct bench *b = *state;

    b->vigil.respite = INT64_MAX;
    answer(b, 2 * VIGIL_ROW);
    assert_false(looks_out(b));
}

/* Who was called away comes back although the other never answers. */
static void a_long_request_keeps_nobody_away(void **state)
{
    struct bench *b = *state;

    answer(b, 2 * VIGIL_ROW);
    vigil_begin(&b->vigil);
    assert_false(looks_out(b));
    vigil_end(&b->vigil);
    answer(b, VIGIL_ROW);
    b->vigil.kept = true; /* by a thread that was cancelled in it */
    assert_false(looks_out(b));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(after_a_row_until_nothing_comes), T(requests_at_the_same_time_are_no_row), T(one_cpu),
        T(not_when_the_cpu_is_wanted),      T(a_long_request_keeps_nobody_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
