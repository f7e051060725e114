/* Descriptors that lie in a socket (base/park.h). */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/park.h"
#include "testlib.h"

static void close_all(struct parcel *p)
{
    for (size_t i = 0; i < p->n; i++)
        close(p->fds[i]);
}

static void looking_takes_nothing_away(void **state)
{
    struct park park;
    struct parcel got;
    int ends[2];
    char c;

    assert_int_equal(park_open(&park), 0);
    assert_false(park_is_full(&park));
    assert_int_equal(park_look(&park, &got), -ENOENT);
    assert_int_equal(pipe(ends), 0);
    const struct parcel parcel = {.tag = 3, .n = 2, .fds = {ends[0], ends[1]}};
    assert_int_equal(park_leave(&park, &parcel), 0);
    close(ends[0]);
    close(ends[1]);
    for (int i = 0; i < 3; i++) {
        assert_true(park_is_full(&park));
        assert_int_equal(park_look(&park, &got), 0);
        assert_int_equal(got.tag, 3);
        assert_int_equal(got.n, 2);
        assert_int_equal(fcntl(got.fds[0], F_GETFD), FD_CLOEXEC);
        assert_int_equal(write(got.fds[1], "x", 1), 1);
        assert_int_equal(read(got.fds[0], &c, 1), 1);
        close_all(&got);
    }
    park_close(&park);
}

/* What lies there is open, and is not when it has been taken away. */
static void what_lies_there_is_open(void **state)
{
    struct park park;
    int ends[2];
    char c;

    assert_int_equal(park_open(&park), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(park_leave(&park, &(struct parcel){.n = 1, .fds = {ends[1]}}), 0);
    close(ends[1]);
    assert_int_equal(read(ends[0], &c, 1), -1);
    assert_int_equal(errno, EAGAIN);
    park_clear(&park);
    assert_int_equal(read(ends[0], &c, 1), 0);
    assert_false(park_is_full(&park));
    park_clear(&park);
    close(ends[0]);
    park_close(&park);
}

static void who_keeps_it_is_told(void **state)
{
    struct park park;

    assert_int_equal(park_open(&park), 0);
    assert_false(park_was_told(&park));
    for (int i = 0; i < 10000; i++) /* more than there is room for */
        park_tell(&park);
    assert_true(park_was_told(&park));
    assert_false(park_was_told(&park));
    assert_false(park_is_full(&park));
    park_close(&park);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looking_takes_nothing_away),
        cmocka_unit_test(what_lies_there_is_open),
        cmocka_unit_test(who_keeps_it_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
