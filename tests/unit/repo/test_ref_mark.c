/* Locks that a killed process of ours has left go; all others stay. */
#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "repo/ref_mark.h"
#include "repo/refs.h"

#define TO    "0123456789012345678901234567890123456789"
#define OTHER "9876543210987654321098765432109876543210"

/* A process of ours that dies while it moves `ref` to TO, with `content` in the lock. */
static void die_with_lock(struct fixture *f, const char *ref, const char *content)
{
    _cleanup_free_ char *lock = xasprintf(".git/%s.lock", ref);
    struct oid to = oid_of(TO);

    test_write_file(f->path, lock, content);
    /* The mark stays; the turn that belongs to it ends with the process. */
    ref_mark_set(f->repo, ref, &to);
    test_run(f->path, "mkdir -p ../keep && cp -P .git/onwardfs.ref-* ../keep");
    ref_mark_clear(f->repo, ref, false);
    test_run(f->path, "mv ../keep/* .git");
}

static bool is_there(struct fixture *f, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/.git/%s", f->path, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

static void assert_marks(struct fixture *f, const char *count)
{
    _cleanup_free_ char *got = test_output(f->path, "ls .git | grep -c onwardfs.ref- || :");

    assert_string_equal(got, count);
}

static void test_locks_of_ours_go(void **state)
{
    struct fixture *f = *state;

    die_with_lock(f, "refs/heads/whole", TO "\n");
    die_with_lock(f, "refs/heads/part", "0123456");
    die_with_lock(f, "refs/heads/empty", "");
    die_with_lock(f, "refs/onward/ledger/host", TO "\n");
    assert_marks(f, "4");
    ref_marks_recover(f->repo);
    assert_false(is_there(f, "refs/heads/whole.lock"));
    assert_false(is_there(f, "refs/heads/part.lock"));
    assert_false(is_there(f, "refs/heads/empty.lock"));
    assert_false(is_there(f, "refs/onward/ledger/host.lock"));
    assert_marks(f, "0");
}

static void test_locks_of_others_stay(void **state)
{
    struct fixture *f = *state;

    die_with_lock(f, "refs/heads/other", OTHER "\n");
    die_with_lock(f, "refs/heads/longer", TO "\nmore");
    test_write_file(f->path, ".git/refs/heads/unmarked.lock", TO "\n");
    test_write_file(f->path, ".git/refs/heads/empty.lock", "");
    ref_marks_recover(f->repo);
    assert_true(is_there(f, "refs/heads/other.lock"));
    assert_true(is_there(f, "refs/heads/longer.lock"));
    assert_true(is_there(f, "refs/heads/unmarked.lock"));
    assert_true(is_there(f, "refs/heads/empty.lock"));
    assert_marks(f, "0");
}

static void test_locks_of_reflogs_go_with_the_mark(void **state)
{
    struct fixture *f = *state;

    test_write_file(f->path, ".git/logs/refs/heads/main.lock", "");
    test_write_file(f->path, ".git/logs/refs/heads/unmarked.lock", "");
    die_with_lock(f, "refs/heads/main", TO "\n");
    ref_marks_recover(f->repo);
    assert_false(is_there(f, "logs/refs/heads/main.lock"));
    assert_true(is_there(f, "logs/refs/heads/unmarked.lock"));
}

/* Another onwardfs, which only shows and commits, moves refs without the lease. */
static void *keep_changing(void *arg)
{
    struct fixture *f = arg;

    while (is_there(f, "onwardfs.ref-1")) {
        test_run(f->path, "test ! -e .git/refs/heads/live.lock || "
                          "touch -d @$(date +%%s.%%N) .git/refs/heads/live.lock");
    }
    return NULL;
}

static void test_a_lock_that_is_alive_stays(void **state)
{
    struct fixture *f = *state;
    pthread_t other;

    test_write_file(f->path, ".git/refs/heads/live.lock", TO "\n");
    test_run(f->path, "ln -s " TO ":refs/heads/live .git/onwardfs.ref-1");
    pthread_create(&other, NULL, keep_changing, f);
    ref_marks_recover(f->repo);
    pthread_join(other, NULL);
    assert_true(is_there(f, "refs/heads/live.lock"));
}

/* A change that fails where not even its lock can be removed, as on a disk with errors. */
static void test_a_lock_that_we_left_ourselves_goes_with_the_next_change(void **state)
{
    struct fixture *f = *state;
    struct oid to = oid_of(TO);

    ref_mark_set(f->repo, "refs/heads/main", &to);
    test_write_file(f->path, ".git/refs/heads/main.lock", TO "\n");
    ref_mark_clear(f->repo, "refs/heads/main", true);
    assert_marks(f, "1");
    ref_mark_set(f->repo, "refs/heads/main", &to);
    assert_false(is_there(f, "refs/heads/main.lock"));
    ref_mark_clear(f->repo, "refs/heads/main", false);
    assert_marks(f, "0");
}

/* Whatever a mark says, nothing outside refs/ is touched. */
static void test_marks_cannot_lead_astray(void **state)
{
    struct fixture *f = *state;

    test_write_file(f->path, ".git/victim.lock", TO "\n");
    test_write_file(f->path, "victim.lock", TO "\n");
    test_run(f->path, "ln -s " TO ":victim .git/onwardfs.ref-1 &&"
                      "ln -s " TO ":refs/../victim .git/onwardfs.ref-2 &&"
                      "ln -s " TO ":refs/../../victim .git/onwardfs.ref-3 &&"
                      "ln -s nonsense .git/onwardfs.ref-4 && : >.git/onwardfs.ref-5");
    ref_marks_recover(f->repo);
    assert_true(is_there(f, "victim.lock"));
    assert_true(is_there(f, "../victim.lock"));
}

/* What it is for: the ref moves again. */
static void test_a_ref_moves_after_a_kill(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *one = test_commit(f->path, "a", "1", "one"),
                        *two = test_commit(f->path, "a", "2", "two");
    struct oid from = oid_of(two), to = oid_of(one), at;
    _cleanup_(diag_done) struct diag why = {0};

    die_with_lock(f, "refs/heads/main", TO "\n");
    ref_marks_recover(f->repo);
    assert_int_equal(ref_update(f->repo, "refs/heads/main", &from, &to, "why", &why), 0);
    assert_int_equal(ref_read(f->repo, "refs/heads/main", &at), 0);
    assert_oid_equal(&at, &to);
    assert_marks(f, "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_locks_of_ours_go),
        TEST(test_locks_of_others_stay),
        TEST(test_locks_of_reflogs_go_with_the_mark),
        TEST(test_a_lock_that_we_left_ourselves_goes_with_the_next_change),
        TEST(test_a_lock_that_is_alive_stays),
        TEST(test_marks_cannot_lead_astray),
        TEST(test_a_ref_moves_after_a_kill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
