#include "fixture.h"
#include "written.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "repo/mainline.h"
#include "repo/revision.h"

static const struct oid zero;

/* What a listener saw: how often it was told, and head at that time. */
struct heard {
    struct mainline *m;
    struct oid head;
    int times, inside;
    bool again; /* moves the mainline from inside, once */
    struct oid from, to;
};

static void hear(void *arg)
{
    struct heard *h = arg;

    assert_int_equal(h->inside++, 0);
    mainline_head(h->m, &h->head);
    h->times++;
    if (h->again) {
        h->again = false;
        assert_int_equal(mainline_advance(h->m, &h->from, &h->to, "from inside", NULL), 0);
    }
    h->inside--;
}

static struct mainline *open_mainline(struct fixture *f, const char *branch)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct mainline *m = NULL;
    int r = mainline_new(f->repo, branch, &m, &why);

    if (r < 0)
        fail_msg("%s", diag_text(&why, r));
    return m;
}

static void assert_ref(struct mainline *m, const char *want)
{
    _cleanup_free_ char *ref = mainline_ref(m);

    assert_string_equal(ref, want);
}

/* A commit on `parent` whose tree is that of `rev`, not on any branch. */
static struct oid commit_on(struct fixture *f, const char *parent, const char *rev)
{
    return oid_from(f->path, "git commit-tree -m next -p %s %s^{tree}", parent, rev);
}

static void test_the_branch_is_chosen_once(void **state)
{
    struct fixture *f = *state;
    struct oid head;

    test_run(f->path, "git symbolic-ref HEAD refs/heads/trunk");
    _cleanup_(mainline_freep) struct mainline *m = open_mainline(f, NULL);
    _cleanup_(mainline_freep) struct mainline *named = open_mainline(f, "ops/live");
    assert_ref(m, "refs/heads/trunk");
    assert_ref(named, "refs/heads/ops/live");
    assert_int_equal(mainline_head(m, &head), -ENOENT);
    test_run(f->path, "git symbolic-ref HEAD refs/heads/other");
    assert_int_equal(mainline_refresh(m, NULL), 0);
    assert_ref(m, "refs/heads/other");
    free(test_commit(f->path, "a", "1", "x"));
    assert_int_equal(mainline_refresh(m, NULL), 0);
    assert_int_equal(mainline_head(m, &head), 0);
    assert_oid_is(&head, f->path, "other");
    test_run(f->path, "git checkout -q -b main; git branch ops/live");
    assert_int_equal(mainline_refresh(m, NULL), 0);
    assert_ref(m, "refs/heads/other");
    assert_int_equal(mainline_head(named, &head), -ENOENT);
    assert_int_equal(mainline_refresh(named, NULL), 0);
    assert_int_equal(mainline_head(named, &head), 0);
    _cleanup_(mainline_freep) struct mainline *later = open_mainline(f, NULL);
    assert_ref(later, "refs/heads/main");
}

static void test_a_refresh_tells_only_of_changes(void **state)
{
    struct fixture *f = *state;

    free(test_commit(f->path, "a", "1", "x"));
    _cleanup_(mainline_freep) struct mainline *m = open_mainline(f, NULL);
    struct heard h = {m};
    mainline_listen(m, hear, &h);
    assert_int_equal(mainline_changed_at(m), TEST_TIME * NS_PER_SEC);
    assert_int_equal(mainline_refresh(m, NULL), 0);
    assert_int_equal(h.times, 0);
    test_run(f->path, "git tag one");
    assert_int_equal(mainline_refresh(m, NULL), 0);
    assert_int_equal(h.times, 1);
    int64_t first = mainline_changed_at(m);
    assert_true(first > TEST_TIME * NS_PER_SEC);
    test_run(f->path, "git pack-refs --all --prune");
    assert_int_equal(mainline_refresh(m, NULL), 0);
    assert_int_equal(h.times, 1);
    test_run(f->path, "git tag -d one");
    assert_int_equal(mainline_refresh(m, NULL), 0);
    assert_int_equal(h.times, 2);
    assert_true(mainline_changed_at(m) > first);
    _cleanup_(refs_unrefp) struct refs *refs = mainline_refs(m);
    assert_int_equal(refs->n, 1);
}

static void test_an_empty_mainline_has_a_stable_time(void **state)
{
    struct fixture *f = *state;
    _cleanup_(mainline_freep) struct mainline *m = open_mainline(f, NULL);
    _cleanup_(mainline_freep) struct mainline *again = open_mainline(f, NULL);

    assert_true(mainline_changed_at(m) > 0);
    assert_int_equal(mainline_changed_at(m), mainline_changed_at(again));
}

static void test_an_advance_is_known_when_it_returns(void **state)
{
    struct fixture *f = *state;

    free(test_commit(f->path, "a", "1", "x"));
    free(test_commit(f->path, "a", "2", "y"));
    test_run(f->dir, "git clone -q --bare work bare; rm -rf work; mv bare work");
    fixture_reopen(f);
    struct oid a = oid_from(f->path, "git rev-parse main"), b = commit_on(f, "main", "main~");
    struct oid aside = commit_on(f, "main~", "main"), head;
    _cleanup_(mainline_freep) struct mainline *m = open_mainline(f, NULL);
    struct heard h = {m};
    mainline_listen(m, hear, &h);
    assert_int_equal(mainline_advance(m, &a, &aside, "not a descendant", NULL), -EINVAL);
    assert_int_equal(mainline_advance(m, &zero, &b, "not unborn", NULL), -EAGAIN);
    assert_int_equal(h.times, 0);
    assert_int_equal(mainline_advance(m, &a, &b, "why", NULL), 0);
    assert_int_equal(h.times, 1);
    assert_oid_equal(&h.head, &b);
    assert_int_equal(mainline_head(m, &head), 0);
    assert_oid_equal(&head, &b);
    assert_oid_is(&b, f->path, "main");
    struct oid c = commit_on(f, "main", "main");
    assert_int_equal(mainline_advance(m, &a, &c, "too late", NULL), -EAGAIN);
    /* From inside the listener: it is called again when it returns, not within. */
    struct oid d = commit_on(f, "main", "main");
    char hex[OID_HEX + 1];
    h.from = d;
    h.to = commit_on(f, oid_hex(&d, hex), "main");
    h.again = true;
    assert_int_equal(mainline_advance(m, &b, &d, "outer", NULL), 0);
    assert_int_equal(h.times, 3);
    assert_oid_equal(&h.head, &h.to);
}

static void test_an_unborn_mainline_is_born(void **state)
{
    struct fixture *f = *state;
    _cleanup_(mainline_freep) struct mainline *m = open_mainline(f, NULL);
    struct oid blob, tree, first;
    const struct signature who = {"a", "b", 1700000000, 0};

    assert_int_equal(blob_write(f->repo, "hello\n", 6, &blob, NULL), 0);
    struct tree_entry e = {"file", ENTRY_EXEC, blob};
    assert_int_equal(tree_write(f->repo, &e, 1, &tree, NULL), 0);
    const struct revision draft = {
        .tree = tree, .author = who, .committer = who, .message = (char *)"m\n"};
    assert_int_equal(commit_write(f->repo, &draft, &first, NULL), 0);
    test_write_file(f->path, "file", "mine\n");
    assert_int_equal(mainline_advance(m, &zero, &first, "born", NULL), -EBUSY);
    test_run(f->path, "rm file; ! git rev-parse -q --verify main");
    assert_int_equal(mainline_advance(m, &zero, &first, "born", NULL), 0);
    test_run(f->path,
             "test -x file; test \"$(cat file)\" = hello; test -z \"$(git status --porcelain)\"");
}

/* main at c1, and c2 on it which changes `a`, deletes `gone`, adds `new/x`. */
static void make_step(struct fixture *f, struct oid *ret_from, struct oid *ret_to)
{
    test_write_file(f->path, "keep", "keep\n");
    test_write_file(f->path, "gone", "gone\n");
    free(test_commit(f->path, "a", "1\n", "one"));
    test_run(f->path,
             "git checkout -q --detach; git rm -q gone; mkdir new; echo x >new/x; echo 2 >a;"
             "git add -A; git commit -q -m two; git tag two; git checkout -q main");
    *ret_from = oid_from(f->path, "git rev-parse main");
    *ret_to = oid_from(f->path, "git rev-parse two");
}

static void test_a_checked_out_branch_takes_its_work_tree_along(void **state)
{
    struct fixture *f = *state;
    struct oid from, to;

    make_step(f, &from, &to);
    test_run(f->path,
             "git worktree add -q -b other ../linked; echo mine >untracked; echo edited >keep;"
             "git add keep; echo more >>keep; git status --porcelain >../before");
    _cleanup_(mainline_freep) struct mainline *m = open_mainline(f, "main");
    assert_int_equal(mainline_advance(m, &from, &to, "why", NULL), 0);
    test_run(
        f->path,
        "git status --porcelain | diff - ../before; test ! -e gone; cat new/x;"
        "test \"$(cat a)\" = 2; test \"$(cat untracked)\" = mine; git diff --quiet two -- a new;"
        "test -z \"$(git -C ../linked status --porcelain)\"; test -e ../linked/gone");
    /* The same for a linked one, with the daemon's repository being the linked one, or the main
     * one. */
    struct oid next = commit_on(f, "other", "two");
    struct oid other = oid_from(f->path, "git rev-parse other");
    _cleanup_(mainline_freep) struct mainline *linked = open_mainline(f, "other");
    assert_int_equal(mainline_advance(linked, &other, &next, "why", NULL), 0);
    test_run(f->dir, "test ! -e linked/gone; test -e linked/new/x; cd linked; test -z \"$(git "
                     "status --porcelain)\"");
    test_run(f->path, "git checkout -q -f main; git clean -qfd");
    _cleanup_free_ char *path = xasprintf("%s/linked", f->dir);
    _cleanup_(repo_freep) struct repo *repo = NULL;
    assert_int_equal(repo_open(path, &repo, NULL), 0);
    _cleanup_(mainline_freep) struct mainline *from_linked = NULL;
    assert_int_equal(mainline_new(repo, "main", &from_linked, NULL), 0);
    next = commit_on(f, "main", "main~");
    assert_int_equal(mainline_advance(from_linked, &to, &next, "why", NULL), 0);
    test_run(f->path, "test -e gone; test ! -e new; test -z \"$(git status --porcelain)\"");
}

static void test_local_changes_in_the_way_stop_it(void **state)
{
    static const char *const changes[] = {
        "echo mine >a",    "echo mine >a; git add a", "mkdir -p new; echo mine >new/x",
        "echo mine >gone", "touch .git/index.lock",   "echo mine >new",
    };
    struct fixture *f = *state;
    struct oid from, to;

    make_step(f, &from, &to);
    _cleanup_(mainline_freep) struct mainline *m = open_mainline(f, NULL);
    struct heard h = {m};
    mainline_listen(m, hear, &h);
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        _cleanup_(diag_done) struct diag why = {0};
        test_run(f->path, "%s; ls -lR --time-style=full-iso >../before", changes[i]);
        int r = mainline_advance(m, &from, &to, "why", &why);
        if (r != -EBUSY)
            fail_msg("'%s': %d", changes[i], r);
        assert_non_null(strstr(why.text, f->path));
        test_run(f->path, "ls -lR --time-style=full-iso | diff - ../before");
        assert_oid_is(&from, f->path, "main");
        test_run(f->path, "rm -f .git/index.lock; git reset -q --hard; git clean -qfd");
    }
    assert_int_equal(h.times, 0);
    assert_int_equal(mainline_advance(m, &from, &to, "why", NULL), 0);
}

struct packer {
    struct fixture *f;
    atomic_bool stop;
};

static void *watch_refs(void *arg)
{
    struct packer *p = arg;
    struct mainline *m = open_mainline(p->f, NULL);
    struct oid last, now, moving;
    int seen = 0;

    assert_int_equal(mainline_head(m, &last), 0);
    while (!atomic_load(&p->stop)) {
        assert_int_equal(mainline_refresh(m, NULL), 0);
        struct refs *refs = mainline_refs(m);
        assert_int_equal(refs->n, 22);
        const struct ref *ref = refs_find(refs, "refs/heads/moving");
        assert_non_null(ref);
        /* It only ever moves forward. */
        struct revision_brief brief;
        assert_int_equal(revision_brief(p->f->repo, &ref->target, &brief), 0);
        assert_true(brief.time >= seen);
        seen = brief.time;
        moving = ref->target;
        refs_unref(refs);
        assert_int_equal(mainline_head(m, &now), 0);
        assert_oid_equal(&now, &last);
    }
    assert_oid_is(&moving, p->f->path, "moving");
    mainline_free(m);
    return NULL;
}

static void test_packing_never_hides_a_branch(void **state)
{
    struct fixture *f = *state;
    struct packer p = {f};
    pthread_t thread;

    free(test_commit(f->path, "a", "1", "x"));
    test_run(
        f->path,
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do git branch b/$i; done;"
        "GIT_COMMITTER_DATE='1700000000 +0000' git commit -q --allow-empty -m x;"
        "git branch moving; git reset -q --hard HEAD~");
    assert_int_equal(pthread_create(&thread, NULL, watch_refs, &p), 0);
    test_run(
        f->path,
        "t=$(git rev-parse main^{tree}); i=0; while [ $i -lt 60 ]; do i=$((i + 1));"
        "c=$(GIT_COMMITTER_DATE=\"$((1700000000 + i)) +0000\" git commit-tree -m x -p moving $t);"
        "git update-ref refs/heads/moving $c; git pack-refs --all --prune;"
        "git update-ref refs/heads/b/$((i %% 20 + 1)) $c; done");
    atomic_store(&p.stop, true);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_branch_is_chosen_once),
        TEST(test_a_refresh_tells_only_of_changes),
        TEST(test_an_empty_mainline_has_a_stable_time),
        TEST(test_an_advance_is_known_when_it_returns),
        TEST(test_an_unborn_mainline_is_born),
        TEST(test_a_checked_out_branch_takes_its_work_tree_along),
        TEST(test_local_changes_in_the_way_stop_it),
        TEST(test_packing_never_hides_a_branch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
