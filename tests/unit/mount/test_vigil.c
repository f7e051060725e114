/* When a thread looks out for the next request, and that nothing keeps it from going to sleep. */
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "mount/vigil.h"
#include "testlib.h"

struct bench {
    struct vigil vigil;
    int pipe[2]; /* for /dev/fuse */
    int device;  /* for /dev/cpu_dma_latency: keeps what was asked of it */
    unsigned calls;
    bool busy; /* a request comes as soon as somebody looks out */
};

static void send(struct bench *b)
{
    assert_int_equal(write(b->pipe[1], "x", 1), 1);
}

static void take(struct bench *b)
{
    char c;

    assert_int_equal(read(b->pipe[0], &c, 1), 1);
}

static void on_call(void *arg)
{
    struct bench *b = arg;

    b->calls++;
    if (b->busy)
        send(b);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    assert_int_equal(pipe(b->pipe), 0);
    b->device = memfd_create("device", MFD_CLOEXEC);
    _cleanup_free_ char *path = xasprintf("/proc/self/fd/%d", b->device);
    vigil_init(&b->vigil, 2, path, on_call, b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    vigil_done(&b->vigil);
    close(b->pipe[0]);
    close(b->pipe[1]);
    close(b->device);
    free(b);
    return 0;
}

static void answer_to(struct bench *b, int64_t who, int requests)
{
    for (int i = 0; i < requests; i++) {
        vigil_begin(&b->vigil, who);
        vigil_end(&b->vigil);
    }
}

static void answer(struct bench *b, int requests)
{
    answer_to(b, 1, requests);
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
    vigil_begin(&b->vigil, 2);
    answer(b, 1);
    vigil_end(&b->vigil);
    assert_false(looks_out(b));
}

/* A request is there before the last one is off our hands. Does the row of the first go on? */
static bool goes_on(struct bench *b, int64_t who)
{
    b->vigil.respite = 0; /* the last one may not have had the CPU */
    answer(b, VIGIL_ROW);
    send(b);
    assert_false(looks_out(b)); /* it need not */
    take(b);
    answer_to(b, who, 1);
    return looks_out(b);
}

static void who_asks_next_at_once_goes_on(void **state)
{
    struct bench *b = *state;

    assert_true(goes_on(b, 1));
    assert_false(goes_on(b, 2));
    assert_true(goes_on(b, VIGIL_NOBODY));
    assert_false(goes_on(b, VIGIL_ANYBODY));
    answer_to(b, VIGIL_NOBODY, 2 * VIGIL_ROW);
    assert_false(looks_out(b));
    answer_to(b, VIGIL_ANYBODY, VIGIL_ROW);
    assert_true(looks_out(b));
}

/* What was asked of the device last; -1: nothing. */
static int64_t asked(struct bench *b)
{
    off_t size = lseek(b->device, 0, SEEK_END);
    int32_t last;

    if (size == 0)
        return -1;
    assert_int_equal(pread(b->device, &last, sizeof(last), size - sizeof(last)), sizeof(last));
    return last;
}

static void idle_cpus_halt_again(void **state)
{
    struct bench *b = *state;

    assert_false(looks_out(b));
    assert_int_equal(asked(b), -1);
    answer(b, VIGIL_ROW);
    b->busy = true;
    assert_true(looks_out(b));
    assert_int_equal(asked(b), 0);
    take(b);
    vigil_begin(&b->vigil, 1);
    assert_false(looks_out(b)); /* another thread; it takes long */
    assert_true(asked(b) > NS_PER_SEC);
    vigil_end(&b->vigil);
    assert_true(looks_out(b));
    assert_int_equal(asked(b), 0);
    take(b);
    b->busy = false;
    assert_true(looks_out(b)); /* in vain */
    assert_true(asked(b) > NS_PER_SEC);
}

static void one_cpu(void **state)
{
    struct bench *b = *state;

    vigil_done(&b->vigil);
    vigil_init(&b->vigil, 1, "/not/there", on_call, b);
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
    vigil_begin(&b->vigil, 1);
    assert_false(looks_out(b));
    b->vigil.away = 1; /* another one, who will be back before */
    assert_false(looks_out(b));
    assert_int_equal(b->vigil.away, 1);
    vigil_end(&b->vigil);
    answer(b, VIGIL_ROW);
    b->vigil.kept = true; /* by a thread that was cancelled in it */
    wakeful_hold(&b->vigil.wakeful);
    vigil_leave(&b->vigil);
    assert_true(asked(b) > NS_PER_SEC);
    assert_false(looks_out(b));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(after_a_row_until_nothing_comes),
        T(requests_at_the_same_time_are_no_row),
        T(who_asks_next_at_once_goes_on),
        T(idle_cpus_halt_again),
        T(one_cpu),
        T(not_when_the_cpu_is_wanted),
        T(a_long_request_keeps_nobody_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
