/* What is taken along, against what git says is there when the ref that led to it has gone. */
#include "fixture.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/batch.h"
#include "repo/carry.h"

/* main, and a branch `other` from it: files and directories that are new, changed, moved, gone, one
 * that is large, one that is hidden, and two commits with a merge. */
static void make_branches(struct fixture *f)
{
    test_run(
        f->path,
        "mkdir -p d/deep keep gone && echo 1 >a && echo 1 >d/deep/f && echo 1 >keep/f &&"
        " echo 1 >gone/f && git add -A && git commit -qm base && git checkout -qb other &&"
        " echo 2 >a && echo 2 >d/deep/f && echo 2 >d/new && git mv keep moved &&"
        " git rm -qr gone && head -c 3000000 /dev/urandom >large && ln -s a link &&"
        " git add -A && git commit -qm one && git checkout -qb side && echo s >s &&"
        " git add -A && git commit -qm side && git checkout -q other && echo 3 >a &&"
        " git commit -qam two && git merge -qm merge side && git branch -D side &&"
        " t=$({ git ls-tree other; printf '100644 blob %%s\\t.git\\n' $(echo hidden | git"
        " hash-object -w --stdin); } | git mktree) &&"
        " git update-ref refs/heads/other $(git commit-tree -p other -m hidden $t) &&"
        " git checkout -qf main && git rev-list --objects other ^main | cut -d' ' -f1 >../new");
}

/* The branch goes, and a git looks for what nobody keeps. */
static void lose_branch(struct fixture *f)
{
    test_run(f->path, "git update-ref -d refs/heads/other && rm -rf .git/logs && "
                      "git gc -q --prune=now");
}

static void assert_all_there(struct fixture *f)
{
    test_run(f->path, "! git cat-file --batch-check <../new | grep missing");
}

static void commits_are_whole(void **state)
{
    struct fixture *f = *state;

    make_branches(f);
    fixture_reopen(f);
    _cleanup_(batch_freep) struct batch *b = batch_new(f->repo);
    const struct sink_place place = {f->repo, batch_sink(b)};
    struct oid tip = oid_from(f->path, "git rev-parse other"),
               head = oid_from(f->path, "git rev-parse main");
    assert_int_equal(carry_commits(&place, &tip, &head, NULL), 0);
    assert_int_equal(batch_store(b, NULL), 0);
    /* And nothing else. */
    test_run(f->path, "test $(cat .git/objects/pack/pack-*.idx | git show-index | wc -l) = "
                      "$(sort -u ../new | wc -l)");
    lose_branch(f);
    assert_all_there(f);
}

static void a_tree_is_whole(void **state)
{
    struct fixture *f = *state;
    _cleanup_(diag_done) struct diag why = {0};

    make_branches(f);
    test_run(f->path, "git rev-list --objects other^{tree} ^main | cut -d' ' -f1 >../new");
    fixture_reopen(f);
    _cleanup_(batch_freep) struct batch *b = batch_new(f->repo);
    const struct sink_place place = {f->repo, batch_sink(b)};
    struct oid old = oid_from(f->path, "git rev-parse main^{tree}"),
               new = oid_from(f->path, "git rev-parse other^{tree}"), none = {0};
    assert_int_equal(carry_tree(&place, &old, &old, NULL), 0);
    assert_int_equal(carry_tree(&place, &old, &none, NULL), 0);
    assert_int_equal(carry_tree(&place, &old, &new, NULL), 0);
    assert_int_equal(batch_store(b, NULL), 0);
    lose_branch(f);
    assert_all_there(f);
    old = oid_of("0123456789012345678901234567890123456789");
    assert_int_equal(carry_tree(&place, &none, &old, &why), -EIO);
    assert_non_null(strstr(why.text, "0123456789"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(commits_are_whole),
        TEST(a_tree_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
