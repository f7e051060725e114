#include "fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "repo/refs.h"
#include "repo/watch.h"

/* Loads the refs at each call, as a mainline does, and says when a ref has reached a value. */
struct seen {
    struct repo *repo;
    atomic_int calls, inside;
    char *name;
    _Atomic int64_t at; /* when `name` was first seen in the state that is waited for */
    struct oid want;    /* zero: gone */
};

static int look(void *arg)
{
    struct seen *s = arg;
    struct oid oid = {0};

    assert_int_equal(atomic_fetch_add(&s->inside, 1), 0);
    if (s->name) {
        int r = ref_read(s->repo, s->name, &oid);
        assert_true(r == 0 || r == -ENOENT);
        if (r == -ENOENT)
            oid = (struct oid){0};
        if (!atomic_load(&s->at) && oid_equal(&oid, &s->want))
            atomic_store(&s->at, clock_mono());
    }
    atomic_fetch_add(&s->calls, 1);
    atomic_fetch_sub(&s->inside, 1);
    return 0;
}

static bool was_seen(void *arg)
{
    return atomic_load(&((struct seen *)arg)->at) != 0;
}

static bool was_called(void *arg)
{
    return atomic_load(&((struct seen *)arg)->calls) != 0;
}

static int asked, late;

/* The shell command makes `name` be `want`: the watch must tell of it, and mostly (assert_quick())
 * within 100 ms of its end. On a busy machine a thread may take longer to run at all. */
static void assert_seen(struct fixture *f, const char *name, const struct oid *want,
                        const char *command)
{
    struct seen s = {.repo = f->repo, .name = (char *)name, .want = *want};
    struct watch *w;

    assert_int_equal(watch_new(f->repo, look, &s, &w, NULL), 0);
    test_run(f->dir, "%s", command);
    int64_t done = clock_mono();
    if (!test_wait(was_seen, &s, 10000))
        fail_msg("not seen: %s", command);
    asked++;
    late += atomic_load(&s.at) - done > 100 * NS_PER_MS;
    watch_free(w);
}

static void assert_quick(void)
{
    if (late * 2 > asked)
        fail_msg("%d of %d changes were seen after more than 100 ms", late, asked);
    asked = late = 0;
}

static int fail_twice(void *arg)
{
    return atomic_fetch_add((atomic_int *)arg, 1) < 2 ? -EIO : 0;
}

static bool was_retried(void *arg)
{
    return atomic_load((atomic_int *)arg) >= 3;
}

/* Without another event. */
static void test_news_that_cannot_be_taken_in_are_told_again(void **state)
{
    struct fixture *f = *state;
    atomic_int calls = 0;
    struct watch *w;

    assert_int_equal(watch_new(f->repo, fail_twice, &calls, &w, NULL), 0);
    test_run(f->path, "git symbolic-ref HEAD refs/heads/news");
    assert_true(test_wait(was_retried, &calls, 5000));
    watch_free(w);
}

static void test_every_kind_of_change_is_told_within_100_ms(void **state)
{
    static const struct oid gone;
    struct fixture *f = *state;

    free(test_commit(f->path, "a", "1", "x"));
    free(test_commit(f->path, "a", "2", "y"));
    struct oid a = oid_from(f->path, "git rev-parse HEAD~"),
               b = oid_from(f->path, "git rev-parse HEAD");
    test_run(f->dir, "git clone -q work other; git -C work checkout -q --detach");
    assert_seen(f, "refs/heads/main", &a, "git -C work update-ref refs/heads/main main~");
    assert_seen(f, "refs/heads/main", &b, "git -C other push -q origin main");
    assert_seen(f, "refs/heads/p/q/r/s", &b, "git -C other push -q origin main:refs/heads/p/q/r/s");
    assert_seen(f, "refs/heads/p/q/r/s", &a, "git -C work update-ref refs/heads/p/q/r/s main~");
    assert_seen(f, "refs/tags/t/u", &b, "git -C work tag t/u main");
    assert_seen(f, "refs/onward/ledger/host", &b,
                "git -C work update-ref refs/onward/ledger/host main");
    assert_seen(f, "refs/tags/t/u", &gone, "git -C work tag -d t/u");
    test_run(f->path, "git tag top; git pack-refs --all --prune; git checkout -q main");
    /* Only packed-refs changes: its directory is there for the lock. */
    assert_seen(f, "refs/tags/top", &gone, "git -C work tag -d top");
    assert_seen(f, "refs/heads/p/q/r/s", &gone, "git -C work update-ref -d refs/heads/p/q/r/s");
    assert_seen(f, "refs/heads/new/in/old", &a, "git -C work branch new/in/old main~");
    assert_seen(f, "HEAD", &a, "git -C work checkout -q new/in/old");
    assert_quick();
}

static void test_a_linked_worktree_sees_its_head_and_the_common_refs(void **state)
{
    struct fixture *f = *state;

    free(test_commit(f->path, "a", "1", "x"));
    free(test_commit(f->path, "a", "2", "y"));
    struct oid a = oid_from(f->path, "git rev-parse HEAD~");
    test_run(f->path, "git worktree add -q -b side ../linked; git branch old HEAD~");
    free(f->path);
    f->path = xasprintf("%s/linked", f->dir);
    fixture_reopen(f);
    assert_seen(f, "HEAD", &a, "git -C linked checkout -q old");
    assert_seen(f, "refs/heads/main", &a, "git -C work reset -q --hard HEAD~");
    assert_quick();
}

static void test_packing_is_told_of(void **state)
{
    struct fixture *f = *state;
    struct seen s = {.repo = f->repo};
    struct watch *w;

    free(test_commit(f->path, "a", "1", "x"));
    assert_int_equal(watch_new(f->repo, look, &s, &w, NULL), 0);
    test_run(f->path, "git pack-refs --all --prune");
    assert_true(test_wait(was_called, &s, 1000));
    watch_free(w);
}

/* Many refs in directories that come and go: after the last change, the last call must see it. */
static void test_nothing_is_missed_in_a_burst(void **state)
{
    struct fixture *f = *state;

    free(test_commit(f->path, "a", "1", "x"));
    free(test_commit(f->path, "a", "2", "y"));
    struct oid a = oid_from(f->path, "git rev-parse HEAD~");
    for (int i = 0; i < 10; i++) {
        _cleanup_free_ char *name = xasprintf("refs/heads/d%d/e/last", i);
        _cleanup_free_ char *command = xasprintf(
            "cd work; for i in 1 2 3 4 5 6 7 8; do echo create refs/heads/d%d/$i/$i main; done |"
            "git update-ref --stdin; git pack-refs --all --prune;"
            "mkdir -p .git/refs/heads/d%d/e; git update-ref refs/heads/d%d/e/last main~",
            i, i, i);
        assert_seen(f, name, &a, command);
    }
    assert_quick();
}

static void test_other_files_do_not_wake_it(void **state)
{
    struct fixture *f = *state;
    struct seen s = {.repo = f->repo};
    struct watch *w;

    free(test_commit(f->path, "a", "1", "x"));
    assert_int_equal(watch_new(f->repo, look, &s, &w, NULL), 0);
    test_run(f->path,
             "echo x >b; git add b; git stash list; git hash-object -w b; git config a.b c;"
             "touch .git/refs/heads/main.lock; rm .git/refs/heads/main.lock");
    watch_free(w);
    assert_int_equal(atomic_load(&s.calls), 0);
}

static void test_it_ends_at_once(void **state)
{
    struct fixture *f = *state;
    struct seen s = {.repo = f->repo};
    int64_t start = clock_mono();

    for (int i = 0; i < 50; i++) {
        struct watch *w;
        assert_int_equal(watch_new(f->repo, look, &s, &w, NULL), 0);
        if (i % 2)
            test_write_file(f->path, ".git/refs/x", "");
        watch_free(w);
        int calls = atomic_load(&s.calls);
        test_write_file(f->path, ".git/refs/y", "");
        assert_int_equal(atomic_load(&s.calls), calls);
    }
    assert_true(clock_mono() - start < 5 * NS_PER_SEC); /* 100 ms each */
    watch_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_kind_of_change_is_told_within_100_ms),
        TEST(test_a_linked_worktree_sees_its_head_and_the_common_refs),
        TEST(test_packing_is_told_of),
        TEST(test_nothing_is_missed_in_a_burst),
        TEST(test_other_files_do_not_wake_it),
        TEST(test_news_that_cannot_be_taken_in_are_told_again),
        TEST(test_it_ends_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
