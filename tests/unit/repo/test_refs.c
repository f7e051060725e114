#include "fixture.h"
#include "written.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "repo/history.h"
#include "repo/refs.h"
#include "repo/revision.h"

static const struct oid zero;

static void test_the_list_is_that_of_git(void **state)
{
    struct fixture *f = *state;

    free(test_commit(f->path, "a", "1", "x"));
    free(test_commit(f->path, "a", "2", "y"));
    test_run(f->path,
             "git branch feature/x HEAD~; git branch feature-y; git branch z; git tag light;"
             "git tag -a -m x heavy; git tag -a -m x heavier heavy; git tag blob HEAD:a;"
             "git tag -a -m x tagblob HEAD:a; git update-ref refs/onward/ledger/host HEAD~;"
             "git update-ref refs/pull/7/head HEAD~; git update-ref refs/notes/commits HEAD;"
             "git symbolic-ref refs/remotes/origin/HEAD refs/heads/z;"
             "git symbolic-ref refs/heads/dangling refs/heads/none;"
             "echo nonsense >.git/refs/heads/broken; : >.git/refs/heads/empty;"
             "echo 0123456789012345678901234567890123456789 >.git/refs/heads/missing");
    for (int packed = 0; packed < 2; packed++) {
        _cleanup_(refs_unrefp) struct refs *refs = NULL;
        _cleanup_(buf_done) struct buf ours = {0};
        assert_int_equal(refs_load(f->repo, &refs, NULL), 0);
        for (size_t i = 0; i < refs->n; i++) {
            char hex[OID_HEX + 1];
            assert_ptr_equal(refs_find(refs, refs->v[i].name), &refs->v[i]);
            if (!oid_is_zero(&refs->v[i].target))
                buf_addf(&ours, "%s %s\n", refs->v[i].name, oid_hex(&refs->v[i].target, hex));
        }
        test_write_bytes(f->dir, "ours", ours.data, ours.len);
        test_run(f->path,
                 "git for-each-ref --format='%%(refname)' 2>/dev/null | grep -v missing | grep -vE "
                 "'pull|notes' |"
                 "while read r; do c=$(git rev-parse -q --verify \"$r^{commit}\" 2>/dev/null) &&"
                 "echo $r $c; done | LC_ALL=C sort | diff - ../ours");
        const struct ref *blob = refs_find(refs, "refs/tags/tagblob");
        assert_true(blob && oid_is_zero(&blob->target));
        assert_null(refs_find(refs, "refs/heads/broken"));
        assert_null(refs_find(refs, "refs/heads/dangling"));
        assert_null(refs_find(refs, "refs/heads"));
        _cleanup_(refs_unrefp) struct refs *pulls = NULL;
        assert_int_equal(refs_load_below(f->repo, "refs/pull/", &pulls, NULL), 0);
        assert_int_equal(pulls->n, 1);
        assert_string_equal(pulls->v[0].name, "refs/pull/7/head");
        size_t first = refs_first(refs, "refs/heads/feature/");
        assert_string_equal(refs->v[first].name, "refs/heads/feature/x");
        assert_int_equal(refs_first(refs, "refs/zzz"), refs->n);
        test_run(f->path, "git pack-refs --all --prune 2>/dev/null; test -s .git/packed-refs");
    }
}

/* What is known already is not looked at again, and what has moved is. */
static void test_reloading_gives_what_loading_gives(void **state)
{
    struct fixture *f = *state;
    _cleanup_(refs_unrefp) struct refs *known = NULL;

    free(test_commit(f->path, "a", "1", "x"));
    free(test_commit(f->path, "a", "2", "y"));
    test_run(f->path, "git branch stays; git branch moves; git branch goes; git tag -a -m x heavy;"
                      "git tag light; git pack-refs --all");
    assert_int_equal(refs_load(f->repo, &known, NULL), 0);
    test_run(f->path, "git branch -f moves HEAD~; git branch -D -q goes; git branch comes HEAD~;"
                      "git tag -f -a -m x heavy HEAD~; git tag -f light HEAD~");
    for (int packed = 0; packed < 2; packed++) {
        _cleanup_(refs_unrefp) struct refs *fresh = NULL, *again = NULL;
        assert_int_equal(refs_load(f->repo, &fresh, NULL), 0);
        assert_int_equal(refs_reload(f->repo, known, &again, NULL), 0);
        assert_int_equal(again->n, fresh->n);
        for (size_t i = 0; i < fresh->n; i++) {
            assert_string_equal(again->v[i].name, fresh->v[i].name);
            assert_oid_equal(&again->v[i].target, &fresh->v[i].target);
        }
        test_run(f->path, "git pack-refs --all --prune");
    }
}

static void test_one_ref_is_read_as_it_is(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *branch = NULL;
    struct oid oid;

    free(test_commit(f->path, "a", "1", "x"));
    test_run(f->path,
             "git tag -a -m x heavy; git tag blob HEAD:a; git symbolic-ref refs/heads/sym HEAD");
    assert_int_equal(ref_read(f->repo, "refs/heads/main", &oid), 0);
    assert_oid_is(&oid, f->path, "HEAD");
    assert_int_equal(ref_read(f->repo, "refs/tags/heavy", &oid), 0);
    assert_oid_is(&oid, f->path, "HEAD");
    assert_int_equal(ref_read(f->repo, "refs/heads/sym", &oid), 0);
    assert_int_equal(ref_read(f->repo, "refs/tags/blob", &oid), -ENOENT);
    assert_int_equal(ref_read(f->repo, "refs/heads/none", &oid), -ENOENT);
    assert_int_equal(ref_read(f->repo, "refs/heads/../x", &oid), -ENOENT);
    test_run(f->path, "git symbolic-ref HEAD refs/heads/ops/live");
    assert_int_equal(ref_head_branch(f->repo, &branch), 0);
    assert_string_equal(branch, "refs/heads/ops/live");
    test_run(f->path, "git checkout -q --detach main");
    free(TAKE(branch));
    assert_int_equal(ref_head_branch(f->repo, &branch), -ENOENT);
}

/* What nobody could start with says which file is to blame, and what to do. */
static void assert_check_says(struct fixture *f, const char *change, const char *words,
                              const char *advice)
{
    _cleanup_(diag_done) struct diag why = {0};

    test_run(f->path, "cp -a .git ../saved; %s", change);
    fixture_reopen(f);
    assert_int_equal(ref_check(f->repo, "refs/heads/main", &why), -EIO);
    test_run(f->path, "rm -rf .git; mv ../saved .git");
    assert_non_null(strstr(why.text, words));
    assert_non_null(strstr(why.text, advice));
}

static void test_a_ref_without_sense_is_explained(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ref_check(f->repo, "refs/heads/main", NULL), 0);
    free(test_commit(f->path, "a", "1", "x"));
    assert_int_equal(ref_check(f->repo, "refs/heads/main", NULL), 0);
    _cleanup_free_ char *object =
        test_output(f->path, "git rev-parse HEAD | sed 's,..,objects/&/,'");
    _cleanup_free_ char *torn =
        xasprintf("chmod u+w .git/%s; truncate -s 9 .git/%s", object, object);
    _cleanup_free_ char *gone = xasprintf("rm -f .git/%s", object);
    assert_check_says(f, torn, object, "update-ref refs/heads/main");
    assert_check_says(f, gone, "which is missing", "update-ref refs/heads/main");
    assert_check_says(f, "t=$(git rev-parse HEAD^{tree}); echo $t >.git/refs/heads/main",
                      "no commit", "fetch");
    assert_check_says(f, ": >.git/refs/heads/main", ".git/refs/heads/main", "logs/refs/heads/main");
    assert_check_says(f, "echo x >.git/refs/heads/main", ".git/refs/heads/main", "logs/");
}

static void test_a_ref_moves_only_from_where_it_is(void **state)
{
    struct fixture *f = *state;
    const char *const name = "refs/heads/live";

    free(test_commit(f->path, "a", "1", "x"));
    free(test_commit(f->path, "a", "2", "y"));
    struct oid a = oid_from(f->path, "git rev-parse HEAD~"),
               b = oid_from(f->path, "git rev-parse HEAD");
    for (int packed = 0; packed < 2; packed++) {
        const char *pack = packed ? "git pack-refs --all --prune" : "true";
        assert_int_equal(ref_update(f->repo, name, &a, &b, "x", NULL), -EAGAIN);
        assert_int_equal(ref_update(f->repo, name, &zero, &a, "x", NULL), 0);
        test_run(f->path, "%s", pack);
        assert_int_equal(ref_update(f->repo, name, &zero, &b, "x", NULL), -EAGAIN);
        assert_int_equal(ref_update(f->repo, name, &b, &a, "x", NULL), -EAGAIN);
        assert_oid_is(&a, f->path, name);
        assert_int_equal(ref_update(f->repo, name, &a, &b, "why it moved", NULL), 0);
        assert_oid_is(&b, f->path, name);
        test_run(f->path, "git reflog -1 %s | grep -q 'why it moved'", name);
        test_run(f->path, "%s", pack);
        assert_int_equal(ref_delete(f->repo, name, &a, NULL), -EAGAIN);
        assert_int_equal(ref_delete(f->repo, name, &b, NULL), 0);
        assert_int_equal(ref_delete(f->repo, name, &b, NULL), 0);
        assert_int_not_equal(test_status(f->path, "git rev-parse -q --verify %s", name), 0);
    }
    test_run(f->path, "git symbolic-ref refs/heads/sym refs/heads/main");
    assert_int_equal(ref_update(f->repo, "refs/heads/sym", &b, &a, "x", NULL), 0);
    assert_oid_is(&a, f->path, "refs/heads/main");
    test_run(f->path, "git symbolic-ref -q refs/heads/sym");
    assert_int_equal(ref_update(f->repo, "refs/heads/a..b", &zero, &a, "x", NULL), -EINVAL);
}

static void test_a_lock_is_waited_for_and_then_named(void **state)
{
    struct fixture *f = *state;
    _cleanup_(diag_done) struct diag why = {0};

    free(test_commit(f->path, "a", "1", "x"));
    free(test_commit(f->path, "a", "2", "y"));
    struct oid a = oid_from(f->path, "git rev-parse HEAD~"),
               b = oid_from(f->path, "git rev-parse HEAD");
    test_write_file(f->path, ".git/refs/heads/main.lock", "");
    int64_t start = clock_mono();
    assert_int_equal(ref_update(f->repo, "refs/heads/main", &b, &a, "x", &why), -EBUSY);
    assert_true(clock_mono() - start >= NS_PER_SEC);
    assert_non_null(strstr(why.text, "/.git/refs/heads/main.lock"));
    test_run(f->path, "(sleep 0.2; rm .git/refs/heads/main.lock) >/dev/null 2>&1 &");
    assert_int_equal(ref_update(f->repo, "refs/heads/main", &b, &a, "x", NULL), 0);
}

struct racer {
    struct fixture *f;
    int number, moved;
};

/* Puts 25 commits on main, each on what is there, and counts how often it was told that it did. */
static void *race(void *arg)
{
    struct racer *r = arg;
    const struct signature who = {"racer", "r@example.org", 1700000000, 0};

    while (r->moved < 25) {
        _cleanup_free_ char *message = xasprintf("racer %d move %d\n", r->number, r->moved);
        struct revision_brief brief;
        struct oid at, next;
        assert_int_equal(ref_read(r->f->repo, "refs/heads/main", &at), 0);
        assert_int_equal(revision_brief(r->f->repo, &at, &brief), 0);
        const struct revision draft = {.tree = brief.tree,
                                       .parents = &at,
                                       .nparents = 1,
                                       .author = who,
                                       .committer = who,
                                       .message = message};
        assert_int_equal(commit_write(r->f->repo, &draft, &next, NULL), 0);
        int e = ref_update(r->f->repo, "refs/heads/main", &at, &next, "race", NULL);
        assert_true(e == 0 || e == -EAGAIN || e == -EBUSY);
        r->moved += e == 0;
    }
    return NULL;
}

static void test_no_move_is_lost_in_a_race(void **state)
{
    struct fixture *f = *state;
    struct racer racers[3];
    pthread_t threads[3];

    free(test_commit(f->path, "a", "1", "start"));
    test_run(f->path, "git checkout -q --detach");
    for (int i = 0; i < 3; i++) {
        racers[i] = (struct racer){f, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    /* The git program takes part, and packs. */
    test_run(f->path,
             "n=0; t=$(git rev-parse main^{tree}); while [ $n -lt 25 ]; do p=$(git rev-parse main);"
             "c=$(git commit-tree -p $p -m \"racer git move $n\" $t);"
             "git update-ref refs/heads/main $c $p 2>/dev/null && n=$((n + 1));"
             "[ $((n %% 5)) = 0 ] && git pack-refs --all --prune; done; true");
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        test_run(f->path, "test $(git log --format=%%s main | grep -c '^racer %s move') = 25",
                 (const char *[]){"0", "1", "2", "git"}[i]);
    test_run(f->path, "test $(git rev-list --count main) = 101; git fsck --strict --no-dangling");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_list_is_that_of_git),
        TEST(test_reloading_gives_what_loading_gives),
        TEST(test_one_ref_is_read_as_it_is),
        TEST(test_a_ref_without_sense_is_explained),
        TEST(test_a_ref_moves_only_from_where_it_is),
        TEST(test_a_lock_is_waited_for_and_then_named),
        TEST(test_no_move_is_lost_in_a_race),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
