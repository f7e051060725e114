/* What one process leaves to the next, and how that one plays it again (mount/takeover.h). The
 * kernel's end of the connection is a socket. */
#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mount/takeover.h"
#include "testlib.h"

#define AGAIN      (UINT64_C(1) << 63)
#define HAS_RESEND (UINT64_C(1) << 39)
#define UNIQUE     6

struct asked {
    struct fuse_in_header head;
    struct fuse_init_in init;
};
struct answer {
    struct fuse_out_header head;
    struct fuse_init_out init;
};

struct scene {
    struct park park;
    int ours, kernels; /* ends of the connection */
    struct asked asked;
    struct answer answer;
};

static void begin(struct scene *s, uint64_t kernel_can)
{
    int pair[2];

    assert_int_equal(park_open(&s->park), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    s->ours = pair[0];
    s->kernels = pair[1];
    s->asked = (struct asked){
        .head = {.len = sizeof(s->asked), .opcode = FUSE_INIT, .unique = UNIQUE},
        .init = {.major = 7, .flags = (uint32_t)kernel_can, .flags2 = kernel_can >> 32},
    };
    s->answer = (struct answer){.head = {.len = sizeof(s->answer), .unique = UNIQUE},
                                .init = {.major = 7, .minor = 38, .max_write = 12345}};
}

static void end(struct scene *s)
{
    park_close(&s->park);
    close(s->ours);
    close(s->kernels);
}

/* The first process, which ends when it has agreed with the kernel. */
static void reign(struct scene *s)
{
    const struct succession first = {.park = &s->park};
    struct fuse_out_header notice = {.len = sizeof(notice), .error = 1};
    const struct iovec other = {&notice, sizeof(notice)},
                       parts[] = {{&s->answer.head, sizeof(s->answer.head)},
                                  {&s->answer.init, sizeof(s->answer.init)}};
    struct takeover *t;

    assert_int_equal(takeover_new(&first, &t, NULL), 0);
    assert_int_equal(takeover_fd(t), -1);
    assert_false(takeover_saw_read(t, &s->asked, sizeof(s->asked)));
    takeover_sees_write(t, s->ours, &other, 1);
    assert_false(park_is_full(&s->park));
    takeover_sees_write(t, s->ours, parts, ARRAY_SIZE(parts));
    takeover_free(t);
}

static struct takeover *succeed(struct scene *s, struct succession *next)
{
    struct takeover *t;

    *next = (struct succession){.park = &s->park};
    assert_int_equal(park_look(&s->park, &next->found), 0);
    assert_int_equal(takeover_new(next, &t, NULL), 0);
    assert_true(takeover_fd(t) >= 0);
    return t;
}

/* The connection is not closed with it, which libfuse does. */
static void depart(struct takeover *t)
{
    close(takeover_fd(t));
    takeover_free(t);
}

static void the_first_request_is_played_again(void **state)
{
    struct scene s;
    struct succession next;
    char got[sizeof(struct asked) + 8];
    ssize_t n;

    begin(&s, HAS_RESEND);
    reign(&s);
    for (int i = 0; i < 2; i++) { /* and by the one after that */
        struct takeover *t = succeed(&s, &next);
        const struct iovec answer = {&s.answer, sizeof(s.answer)};
        assert_false(takeover_write(t, &answer, 1, &n));
        assert_true(takeover_read(t, got, sizeof(got), &n));
        assert_int_equal(n, sizeof(s.asked));
        assert_memory_equal(got, &s.asked, n);
        assert_false(takeover_read(t, got, sizeof(got), &n));
        assert_true(takeover_write(t, &answer, 1, &n));
        assert_int_equal(n, sizeof(s.answer));
        assert_false(takeover_write(t, &answer, 1, &n));
        depart(t);
    }
    assert_int_equal(read(s.kernels, got, sizeof(got)), -1); /* the kernel has seen none of it */
    end(&s);
}

/* The first process died when it had left everything, and not answered yet. */
static void an_answer_that_was_not_given_is_given(void **state)
{
    struct scene s;
    struct succession next;
    struct answer got;

    begin(&s, HAS_RESEND);
    reign(&s);
    struct takeover *t = succeed(&s, &next);
    s.asked.head.unique |= AGAIN;
    assert_true(takeover_saw_read(t, &s.asked, sizeof(s.asked)));
    assert_int_equal(read(s.kernels, &got, sizeof(got)), sizeof(got));
    assert_int_equal(got.head.unique, UNIQUE | AGAIN);
    assert_memory_equal(&got.init, &s.answer.init, sizeof(got.init));
    s.asked.head.opcode = FUSE_GETATTR;
    assert_false(takeover_saw_read(t, &s.asked, sizeof(s.asked)));
    depart(t);
    end(&s);
}

static void a_kernel_that_cannot_send_again_leaves_nothing(void **state)
{
    struct scene s;

    begin(&s, ~HAS_RESEND);
    reign(&s);
    assert_false(park_is_full(&s.park));
    end(&s);
}

static void what_is_not_all_there_is_not_taken(void **state)
{
    struct scene s;
    struct succession next = {.found = {.n = 2}};
    struct takeover *t;

    begin(&s, HAS_RESEND);
    for (size_t i = 0; i < next.found.n; i++)
        next.found.fds[i] = dup(s.ours);
    assert_int_equal(takeover_new(&next, &t, NULL), -EBADMSG);
    for (size_t i = 0; i < next.found.n; i++)
        close(next.found.fds[i]);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_request_is_played_again),
        cmocka_unit_test(an_answer_that_was_not_given_is_given),
        cmocka_unit_test(a_kernel_that_cannot_send_again_leaves_nothing),
        cmocka_unit_test(what_is_not_all_there_is_not_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
