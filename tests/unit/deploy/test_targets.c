#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "deploy/targets.h"

static const char DECLARATION[] = "onward: 1\n"
                                  "sites:\n"
                                  "  - {name: a, source: stores/a, include: [common]}\n"
                                  "  - {name: b, source: stores/b}\n";

/* Writes what a site takes, and the declaration. */
static void write_sites(struct fixture *f)
{
    test_write_file(f->work, "onward.yaml", DECLARATION);
    test_write_file(f->work, "stores/a/app", "a\n");
    test_write_file(f->work, "stores/b/app", "b\n");
    test_write_file(f->work, "common/shared", "c\n");
}

/* Takes in that the mainline is at `head`, and was at `seen` (NULL: never), with an index. */
static int update_with(struct fixture *f, struct history_index *ix, struct targets *t,
                       const struct oid *head, const struct oid *seen)
{
    _cleanup_(refs_unrefp) struct refs *refs = NULL;

    assert_int_equal(refs_load(f->repo, &refs, NULL), 0);
    struct targets_source s = {
        .repo = f->repo, .refs = refs, .mainline = "refs/heads/mian", .history = ix};
    if (head)
        s.head = *head;
    if (seen)
        s.seen = *seen;
    return targets_update(t, &s);
}

static int update(struct fixture *f, struct targets *t, const struct oid *head,
                  const struct oid *seen)
{
    return update_with(f, NULL, t, head, seen);
}

static struct history_index *index_new(struct fixture *f)
{
    _cleanup_free_ char *dir = xasprintf("%s/index", f->dir);
    struct history_index *ix;

    assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
    return ix;
}

static void index_follow(struct history_index *ix, const struct oid *head)
{
    history_index_follow(ix, head);
    assert_int_equal(history_index_wait(ix, 30 * NS_PER_SEC), 0);
}

static const struct target *find(const struct targets *t, const char *name)
{
    vec_foreach (e, t)
        if (!strcmp(e->site->name, name))
            return e;
    fail_msg("no target for %s", name);
    return NULL;
}

static void assert_desired(const struct targets *t, const char *name, const struct oid *rev)
{
    char got[OID_HEX + 1], want[OID_HEX + 1];

    assert_string_equal(oid_hex(&find(t, name)->desired, got), oid_hex(rev, want));
}

/* Principle 3, and fifteen failures, 3: only a commit that touches its inputs moves a site. */
static void test_a_site_follows_only_what_touches_it(void **state)
{
    struct fixture *f = *state;
    _cleanup_(targets_done) struct targets t = {0};
    write_sites(f);
    struct oid one = add_revision(f, "one");
    assert_int_equal(update(f, &t, &one, NULL), 1);
    assert_desired(&t, "a", &one);
    struct oid a = find(&t, "a")->inputs, b = find(&t, "b")->inputs;

    test_write_file(f->work, "unrelated", "x\n");
    struct oid two = add_revision(f, "two");
    assert_int_equal(update(f, &t, &two, &one), 1);
    assert_desired(&t, "a", &one);
    assert_memory_equal(&find(&t, "a")->inputs, &a, sizeof(a));
    test_write_file(f->work, "common/shared", "new\n");
    struct oid three = add_revision(f, "three");
    test_write_file(f->work, "unrelated", "y\n");
    struct oid four = add_revision(f, "four");
    assert_int_equal(update(f, &t, &four, &two), 1);
    assert_desired(&t, "a", &three);
    assert_desired(&t, "b", &one);
    assert_memory_not_equal(&find(&t, "a")->inputs, &a, sizeof(a));
    assert_memory_equal(&find(&t, "b")->inputs, &b, sizeof(b));
}

static void assert_same(const struct targets *a, const struct targets *b)
{
    assert_memory_equal(&a->head, &b->head, sizeof(a->head));
    assert_int_equal(a->n, b->n);
    for (size_t k = 0; k < b->n; k++) {
        assert_string_equal(a->v[k].site->name, b->v[k].site->name);
        assert_desired(a, b->v[k].site->name, &b->v[k].desired);
        assert_memory_equal(&a->v[k].inputs, &b->v[k].inputs, sizeof(struct oid));
    }
}

/* However the news come, in steps or all at once after a restart, the targets are the same; also
 * with an index that is current, and with one that is a step behind. */
static void test_steps_and_a_fresh_start_agree(void **state)
{
    static const char *const steps[] = {
        "echo 1 >common/shared",
        "echo '  - {name: c, source: stores/c}' >>onward.yaml && mkdir stores/c && "
        "echo c >stores/c/x",
        "sed -i 's/include: .common./team: x/' onward.yaml",
        "echo broken >>onward.yaml",
        "git checkout -q HEAD~1 onward.yaml && echo 2 >common/shared && echo 3 >stores/c/x",
        "git rm -qr stores/b",
        "git checkout -qb side HEAD~2 && echo 4 >stores/a/app && git commit -qam side && "
        "git checkout -q main && git merge -q -s recursive side",
        "sed -i '/name: a/d' onward.yaml",
        "git checkout -q HEAD~1 onward.yaml",
    };
    struct fixture *f = *state;
    _cleanup_(targets_done) struct targets stepwise = {0};
    write_sites(f);
    struct oid head = add_revision(f, "first"), seen;
    struct history_index *ix = index_new(f);

    index_follow(ix, &head);
    assert_int_equal(update(f, &stepwise, &head, NULL), 1);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        _cleanup_(targets_done) struct targets fresh = {0}, behind = {0}, indexed = {0};
        seen = head;
        test_run(f->work, "%s", steps[i]);
        head = add_revision(f, "step");
        update(f, &stepwise, &head, &seen);
        update(f, &fresh, &head, &seen);
        assert_same(&stepwise, &fresh);
        update_with(f, ix, &behind, &head, &seen);
        assert_same(&behind, &fresh);
        index_follow(ix, &head);
        update_with(f, ix, &indexed, &head, &seen);
        assert_same(&indexed, &fresh);
    }
    history_index_free(ix);
}

/* What would have to be walked over cannot be read: the index needs none of it. */
static void test_the_index_spares_the_walk(void **state)
{
    struct fixture *f = *state;
    _cleanup_(targets_done) struct targets walked = {0}, indexed = {0};
    struct history_index *ix = index_new(f);
    struct repo *built = f->repo;
    struct diag why = {0};
    char hex[OID_HEX + 1];
    write_sites(f);
    struct oid one = add_revision(f, "one");
    test_write_file(f->work, "unrelated", "x\n");
    struct oid two = add_revision(f, "two");
    test_write_file(f->work, "unrelated", "y\n");
    struct oid three = add_revision(f, "three");
    index_follow(ix, &three);

    oid_hex(&two, hex);
    test_run(f->work, "rm .git/objects/%.2s/%s", hex, hex + 2);
    assert_int_equal(repo_open(f->work, &f->repo, &why), 0);
    update(f, &walked, &three, &one);
    assert_string_equal(walked.frozen_kind, "rewritten"); /* for all that one can tell */
    assert_int_equal(update_with(f, ix, &indexed, &three, &one), 1);
    assert_null(indexed.frozen_kind);
    assert_desired(&indexed, "a", &one);
    assert_desired(&indexed, "b", &one);
    repo_free(f->repo);
    f->repo = built;
    history_index_free(ix);
}

static void test_nothing_new_is_said_to_be_nothing(void **state)
{
    struct fixture *f = *state;
    _cleanup_(targets_done) struct targets t = {0};
    write_sites(f);
    struct oid one = add_revision(f, "one");

    assert_int_equal(update(f, &t, &one, NULL), 1);
    const struct target *before = t.v;
    assert_int_equal(update(f, &t, &one, &one), 0);
    assert_ptr_equal(t.v, before);
}

static void test_a_wrong_declaration_keeps_the_last_good_one(void **state)
{
    struct fixture *f = *state;
    _cleanup_(targets_done) struct targets t = {0}, fresh = {0};
    write_sites(f);
    struct oid good = add_revision(f, "good");
    assert_int_equal(update(f, &t, &good, NULL), 1);
    test_write_file(f->work, "onward.yaml", "onward: 1\nsites:\n  - {nme: a}\n");
    test_write_file(f->work, "stores/a/app", "new\n");
    struct oid bad = add_revision(f, "bad");
    test_write_file(f->work, "unrelated", "x\n");
    struct oid later = add_revision(f, "later");

    assert_int_equal(update(f, &t, &later, &good), 1);
    assert_int_equal(update(f, &fresh, &later, &later), 1); /* after a restart */
    for (int i = 0; i < 2; i++) {
        struct targets *e = i ? &fresh : &t;
        assert_string_equal(e->frozen_kind, "declaration");
        assert_non_null(strstr(e->frozen, "onward.yaml:3:"));
        assert_memory_equal(&e->head, &good, sizeof(good));
        assert_int_equal(e->n, 2);
        assert_desired(e, "a", &good);
    }
    test_write_file(f->work, "onward.yaml", DECLARATION);
    struct oid fixed = add_revision(f, "fixed");
    assert_int_equal(update(f, &t, &fixed, &later), 1);
    assert_null(t.frozen_kind);
    assert_desired(&t, "a", &bad);
    assert_desired(&t, "b", &good);
}

/* Fifteen failures, 14 */
static void test_a_rewritten_mainline_freezes_what_was(void **state)
{
    struct fixture *f = *state;
    _cleanup_(targets_done) struct targets t = {0}, fresh = {0};
    write_sites(f);
    struct oid one = add_revision(f, "one");
    test_write_file(f->work, "stores/a/app", "two\n");
    struct oid two = add_revision(f, "two");
    assert_int_equal(update(f, &t, &two, &one), 1);
    test_run(f->work, "git reset -q --hard HEAD~1");
    test_write_file(f->work, "stores/a/app", "other\n");
    struct oid other = add_revision(f, "other");
    const struct oid *heads[] = {&one, &other, NULL};

    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        update(f, &t, heads[i], &two);
        assert_string_equal(t.frozen_kind, "rewritten");
        assert_desired(&t, "a", &two);
    }
    update(f, &fresh, &other, &two);
    assert_string_equal(fresh.frozen_kind, "rewritten");
    assert_desired(&fresh, "a", &two);
    update(f, &t, &two, &two);
    assert_null(t.frozen_kind);
}

static void test_no_revision_and_no_declaration_are_no_sites(void **state)
{
    struct fixture *f = *state;
    _cleanup_(targets_done) struct targets t = {0};

    update(f, &t, NULL, NULL);
    assert_int_equal(t.n, 0);
    assert_null(t.frozen_kind);
    test_write_file(f->work, "README", "nothing here\n");
    struct oid one = add_revision(f, "one");
    assert_int_equal(update(f, &t, &one, NULL), 1);
    assert_int_equal(t.n, 0);
    assert_null(t.frozen_kind);
}

/* A name that was mistyped, most likely. */
static void test_a_mainline_that_is_not_there_is_said(void **state)
{
    struct fixture *f = *state;
    _cleanup_(targets_done) struct targets t = {0};

    write_sites(f);
    struct oid one = add_revision(f, "one");
    test_run(f->work, "git branch dev && git branch ops/x");
    update(f, &t, NULL, NULL);
    assert_string_equal(t.frozen_kind, "declaration");
    assert_string_equal(t.frozen, "the mainline, refs/heads/mian, is not in the repository, which "
                                  "has dev, main, ops/x");
    assert_int_equal(update(f, &t, &one, NULL), 1);
    assert_null(t.frozen_kind);
}

static void test_pins_follow_tags_and_ids(void **state)
{
    struct fixture *f = *state;
    _cleanup_(targets_done) struct targets t = {0};
    char hex[OID_HEX + 1];
    write_sites(f);
    struct oid one = add_revision(f, "one");
    _cleanup_free_ char *pinned =
        xasprintf("onward: 1\nsites:\n  - {name: a, source: stores/a, pin: v1}\n"
                  "  - {name: b, source: stores/b, pin: %s}\n",
                  oid_hex(&one, hex));
    test_write_file(f->work, "onward.yaml", pinned);
    test_write_file(f->work, "stores/a/app", "two\n");
    test_write_file(f->work, "stores/b/app", "two\n");
    struct oid two = add_revision(f, "two");

    assert_int_equal(update(f, &t, &two, NULL), 1);
    assert_desired(&t, "b", &one);
    assert_true(oid_is_zero(&find(&t, "a")->desired));
    assert_non_null(strstr(find(&t, "a")->problem, "v1"));
    test_run(f->work, "git tag -a -m x v1 HEAD~1");
    assert_int_equal(update(f, &t, &two, &two), 1);
    assert_null(find(&t, "a")->problem);
    assert_desired(&t, "a", &one);
    assert_int_equal(update(f, &t, &two, &two), 0);
    test_run(f->work, "git tag -f v1 HEAD");
    assert_int_equal(update(f, &t, &two, &two), 1);
    assert_desired(&t, "a", &two);
    test_write_file(f->work, "onward.yaml", DECLARATION); /* let go: as if never pinned */
    struct oid three = add_revision(f, "three");
    assert_int_equal(update(f, &t, &three, &two), 1);
    assert_desired(&t, "b", &two);
}

static void test_a_long_walk_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    _cleanup_(targets_done) struct targets t = {0};
    write_sites(f);
    struct oid one = add_revision(f, "one");
    bool cancel = true;
    struct targets_source s = {.repo = f->repo, .head = one, .cancel = &cancel};

    assert_int_equal(refs_load(f->repo, (struct refs **)&s.refs, NULL), 0);
    assert_int_equal(targets_update(&t, &s), -ECANCELED);
    assert_null(t.declaration);
    refs_unref((struct refs *)s.refs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_site_follows_only_what_touches_it),
        TEST(test_steps_and_a_fresh_start_agree),
        TEST(test_the_index_spares_the_walk),
        TEST(test_nothing_new_is_said_to_be_nothing),
        TEST(test_a_wrong_declaration_keeps_the_last_good_one),
        TEST(test_a_rewritten_mainline_freezes_what_was),
        TEST(test_no_revision_and_no_declaration_are_no_sites),
        TEST(test_a_mainline_that_is_not_there_is_said),
        TEST(test_pins_follow_tags_and_ids),
        TEST(test_a_long_walk_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
