#include "testlib.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "repo/object.h"
#include "repo/packing.h"

struct fixture {
    char *dir, *path;
    struct repo *repo;
    struct oid blobs[1200]; /* that no ref leads to */
};

static int setup(void **state)
{
    struct fixture *f = NEW(struct fixture);

    f->dir = test_dir_new();
    f->path = test_repo_new(f->dir, "r.git", "--bare");
    assert_int_equal(repo_open(f->path, &f->repo, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    repo_free(f->repo);
    free(f->path);
    test_dir_free(f->dir);
    free(f);
    return 0;
}

/* The blobs that `git hash-object` makes of numbers, far cheaper than one by one. */
static void make_loose(struct fixture *f)
{
    test_run(f->path, "mkdir n && for i in $(seq 0 1199); do echo $i > n/$i; done && "
                      "seq -f n/%%g 0 1199 | git hash-object -w --stdin-paths > ids && rm -r n");
    for (size_t i = 0; i < ARRAY_SIZE(f->blobs); i++) {
        _cleanup_free_ char *text = xasprintf("%zu\n", i);
        blob_hash(text, strlen(text), &f->blobs[i]);
    }
}

static void assert_all_there(struct fixture *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(f->blobs); i++) {
        _cleanup_(blob_unrefp) struct blob *blob = NULL;
        assert_int_equal(blob_load(f->repo, &f->blobs[i], &blob), 0);
        assert_int_equal(strtol(blob->data, NULL, 10), i);
    }
}

/* What no ref leads to may be about to be committed: it is packed, and never lost. */
static void test_what_is_loose_is_packed_and_nothing_lost(void **state)
{
    struct fixture *f = *state;
    _cleanup_(diag_done) struct diag why = {0};

    assert_false(packing_is_due(f->repo));
    make_loose(f);
    assert_false(packing_is_due(f->repo));
    test_run(f->path, "git config gc.auto 256");
    assert_true(packing_is_due(f->repo));
    if (packing_run(f->repo, -1, &why) < 0)
        fail_msg("%s", why.text);
    assert_false(packing_is_due(f->repo));
    _cleanup_free_ char *loose = test_output(f->path, "find objects/?? -type f | wc -l");
    assert_string_equal(loose, "0");
    assert_all_there(f);
}

static void test_many_packs_become_few(void **state)
{
    struct fixture *f = *state;

    test_run(f->path, "git config gc.autoPackLimit 5 && for i in 1 2 3 4 5 6 7; do "
                      "echo pack $i | git hash-object -w --stdin | git pack-objects -q "
                      "objects/pack/pack && git prune-packed; done");
    assert_true(packing_is_due(f->repo));
    /* one that is being written, as its .keep says, is left alone */
    test_run(f->path, "p=$(ls objects/pack/*.pack | head -1) && : > ${p%%.pack}.keep");
    assert_int_equal(packing_run(f->repo, -1, NULL), 0);
    assert_false(packing_is_due(f->repo));
    _cleanup_free_ char *packs = test_output(f->path, "ls objects/pack/*.pack | wc -l");
    assert_string_equal(packs, "2");
    test_run(f->path, "for i in 1 2 3 4 5 6 7; do git cat-file -e $(echo pack $i | "
                      "git hash-object --stdin); done");
}

static void test_who_packs_by_himself_is_not_helped(void **state)
{
    struct fixture *f = *state;

    make_loose(f);
    test_run(f->path, "git config gc.auto 0");
    assert_false(packing_is_due(f->repo));
    test_run(f->path, "git config gc.auto 256 && : > gc.pid");
    assert_false(packing_is_due(f->repo));
    test_run(f->path, "rm gc.pid");
    assert_true(packing_is_due(f->repo));
}

static void test_a_failure_says_what_git_said(void **state)
{
    struct fixture *f = *state;
    _cleanup_(diag_done) struct diag why = {0};

    make_loose(f);
    test_run(f->path, "git config pack.packSizeLimit nonsense");
    assert_int_equal(packing_run(f->repo, -1, &why), -EIO);
    assert_non_null(strstr(why.text, "git repack: "));
    assert_non_null(strstr(why.text, "nonsense"));
    assert_all_there(f);
}

static void test_who_ends_does_not_wait(void **state)
{
    struct fixture *f = *state;
    int stop = eventfd(1, EFD_CLOEXEC);

    make_loose(f);
    assert_int_equal(packing_run(f->repo, stop, NULL), 0);
    assert_all_there(f);
    close(stop);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_loose_is_packed_and_nothing_lost),
        TEST(test_many_packs_become_few),
        TEST(test_who_packs_by_himself_is_not_helped),
        TEST(test_a_failure_says_what_git_said),
        TEST(test_who_ends_does_not_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
