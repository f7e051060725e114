/* The cache of descriptors: bounded, never closing what is in use or cannot be had again. */
#include <fcntl.h>
#include <unistd.h>

#include "stage/fd_cache.h"
#include "testlib.h"

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int open_null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void closes_what_was_used_longest_ago(void **state)
{
    struct fd_cache *c = fd_cache_new(2);
    struct fd_slot s[3];
    int fd[3];

    for (int i = 0; i < 3; i++) {
        fd_slot_init(&s[i]);
        assert_int_equal(fd_cache_get(c, &s[i]), -1);
        fd[i] = fd_cache_add(c, &s[i], open_null());
        fd_cache_put(c, &s[i]);
        if (i == 1) { /* 0 is younger than 1 now */
            assert_int_equal(fd_cache_get(c, &s[0]), fd[0]);
            fd_cache_put(c, &s[0]);
        }
    }
    assert_int_equal(s[1].fd, -1);
    assert_false(is_open(fd[1]) && fd[1] != fd[0] && fd[1] != fd[2]);
    assert_true(is_open(fd[0]) && is_open(fd[2]));
    for (int i = 0; i < 3; i++)
        fd_cache_drop(c, &s[i]);
    assert_false(is_open(fd[0]) || is_open(fd[2]));
    fd_cache_free(c);
}

static void pinned_and_kept_stay(void **state)
{
    struct fd_cache *c = fd_cache_new(1);
    struct fd_slot pinned, kept, idle;

    fd_slot_init(&pinned);
    fd_slot_init(&kept);
    fd_slot_init(&idle);
    fd_cache_add(c, &pinned, open_null());
    fd_cache_add(c, &kept, open_null());
    fd_cache_keep(c, &kept);
    fd_cache_put(c, &kept);
    fd_cache_add(c, &idle, open_null());
    fd_cache_put(c, &idle);
    fd_cache_trim(c);
    assert_true(pinned.fd >= 0 && is_open(pinned.fd));
    assert_true(kept.fd >= 0 && is_open(kept.fd));
    assert_int_equal(idle.fd, -1);
    fd_cache_put(c, &pinned);
    fd_cache_drop(c, &pinned);
    fd_cache_drop(c, &kept);
    fd_cache_drop(c, &idle);
    fd_cache_free(c);
}

static void the_second_of_two_openers_gets_the_first_ones(void **state)
{
    struct fd_cache *c = fd_cache_new(1);
    struct fd_slot s;

    fd_slot_init(&s);
    int first = fd_cache_add(c, &s, open_null());
    int late = open_null();
    assert_int_equal(fd_cache_add(c, &s, late), first);
    assert_false(is_open(late));
    fd_cache_put(c, &s);
    assert_true(is_open(first));
    fd_cache_put(c, &s);
    fd_cache_drop(c, &s);
    fd_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closes_what_was_used_longest_ago),
        cmocka_unit_test(pinned_and_kept_stay),
        cmocka_unit_test(the_second_of_two_openers_gets_the_first_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
