/* Requests that are done once (mount/once.h), by one process or the next. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "mount/once.h"
#include "testlib.h"

#define AGAIN (UINT64_C(1) << 63)

static struct once *succeed(struct once *o)
{
    int fd = fcntl(once_fd(o), F_DUPFD_CLOEXEC, 0);
    struct once *next;

    once_free(o);
    assert_int_equal(once_open(fd, &next), 0);
    return next;
}

static void what_was_done_has_its_answer(void **state)
{
    struct once *o;

    assert_int_equal(once_new(&o), 0);
    struct once_turn turn = once_begin(o, 10);
    assert_false(turn.again || turn.done);
    once_end(&turn, -28);
    struct once_turn begun = once_begin(o, 12);
    assert_false(begun.again);
    o = succeed(o);
    turn = once_begin(o, 10 | AGAIN);
    assert_true(turn.again && turn.done);
    assert_int_equal(turn.result, -28);
    turn = once_begin(o, 12 | AGAIN);
    assert_true(turn.again && !turn.done);
    o = succeed(o); /* once more, before it was done */
    turn = once_begin(o, 12 | AGAIN);
    assert_true(turn.again && !turn.done);
    once_end(&turn, 3);
    o = succeed(o);
    turn = once_begin(o, 12 | AGAIN);
    assert_true(turn.done);
    assert_int_equal(turn.result, 3);
    turn = once_begin(o, 14 | AGAIN); /* taken, and not begun */
    assert_false(turn.again || turn.done);
    once_free(o);
}

static void the_newest_are_remembered(void **state)
{
    struct once *o;

    assert_int_equal(once_new(&o), 0);
    struct once_turn first = once_begin(o, 2);
    for (uint64_t i = 2; i <= ONCE_KEPT; i++) {
        struct once_turn turn = once_begin(o, 2 * i);
        once_end(&turn, i);
    }
    once_end(&first, 1);
    struct once_turn turn = once_begin(o, 2 * ONCE_KEPT + 2); /* in the place of the first */
    once_end(&first, 5);
    assert_false(once_begin(o, (2 * ONCE_KEPT + 2) | AGAIN).done);
    once_end(&turn, 0);
    assert_false(once_begin(o, 2 | AGAIN).again);
    assert_int_equal(once_begin(o, 2 * ONCE_KEPT | AGAIN).result, ONCE_KEPT);
    once_free(o);
}

static void without_a_successor_nothing_is_noted(void **state)
{
    struct once_turn turn = once_begin(NULL, 7 | AGAIN);

    assert_false(turn.again || turn.done);
    once_end(&turn, 0);
}

static void something_else_is_refused(void **state)
{
    struct once *o;
    int pipe_ends[2];

    assert_int_equal(pipe(pipe_ends), 0);
    assert_true(once_open(pipe_ends[0], &o) < 0);
    close(pipe_ends[1]);
    assert_int_equal(once_new(&o), 0);
    int fd = fcntl(once_fd(o), F_DUPFD_CLOEXEC, 0);
    once_free(o);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    assert_int_equal(once_open(fd, &o), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_done_has_its_answer),
        cmocka_unit_test(the_newest_are_remembered),
        cmocka_unit_test(without_a_successor_nothing_is_noted),
        cmocka_unit_test(something_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
