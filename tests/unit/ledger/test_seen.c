/* The high-water mark in its two places, and what the loss of one, of both, and of neither does. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "ledger/seen.h"

#define REF "refs/onward/seen/ops-1"

/* A line of revisions a ← b ← c, and o, which is beside it. */
struct line {
    struct oid a, b, c, o;
};

static struct oid revise(struct fixture *f, const struct oid *parent, const char *message)
{
    char hex[OID_HEX + 1];
    _cleanup_free_ char *id =
        test_output(f->path, "git commit-tree %s%s -m %s $(git mktree </dev/null)",
                    parent ? "-p " : "", parent ? oid_hex(parent, hex) : "", message);
    struct oid oid;

    assert_int_equal(oid_parse(id, &oid), 0);
    return oid;
}

static struct line make_line(struct fixture *f)
{
    struct line l = {.a = revise(f, NULL, "a")};

    l.b = revise(f, &l.a, "b");
    l.c = revise(f, &l.b, "c");
    l.o = revise(f, &l.a, "o");
    return l;
}

/* The mark as a start finds it, kept below <dir>/<name>/. */
static void begin(struct fixture *f, struct seen *s, const char *name, const struct oid *head)
{
    _cleanup_free_ char *path = xasprintf("%s/%s/seen", f->dir, name);

    test_run(f->dir, "mkdir -p %s", name);
    seen_init(s, f->repo, "ops-1");
    struct ledger_mainline mainline = {.branch = "refs/heads/main", .head = *head};
    assert_int_equal(seen_keep(s, path, &mainline, NULL), 0);
}

static void assert_mark(struct seen *s, const struct oid *head, const struct oid *expected)
{
    struct oid mark;

    assert_int_equal(seen_get(s, head, &mark), 0);
    assert_memory_equal(&mark, expected, sizeof(mark));
}

/* That a start finds it at `expected`, whatever became of its places. */
static void assert_found(struct fixture *f, const struct oid *head, const struct oid *expected)
{
    struct seen s;

    begin(f, &s, "state", head);
    assert_mark(&s, head, expected);
    seen_done(&s);
}

static void set_ref(struct fixture *f, const struct oid *rev)
{
    char hex[OID_HEX + 1];

    test_run(f->path, "git update-ref " REF " %s", oid_hex(rev, hex));
}

static void set_file(struct fixture *f, const struct oid *rev)
{
    char hex[OID_HEX + 1];

    test_run(f->dir, "sed -i 's/^mark .*/mark %s/' state/seen", oid_hex(rev, hex));
}

static void test_either_place_makes_up_for_the_other(void **state)
{
    struct fixture *f = *state;
    struct line l = make_line(f);
    struct seen s;

    begin(f, &s, "state", &l.a);
    struct oid mark;
    assert_int_equal(seen_get(&s, &l.a, &mark), -ENOENT);
    assert_int_equal(seen_move(&s, &l.a, NULL), 0);
    assert_int_equal(seen_move(&s, &l.b, NULL), 0);
    seen_done(&s);
    assert_found(f, &l.c, &l.b);
    test_run(f->dir, "rm state/seen");
    assert_found(f, &l.c, &l.b);
    begin(f, &s, "state", &l.c);
    assert_int_equal(seen_move(&s, &l.b, NULL), 0); /* no news, but one place had lost it */
    seen_done(&s);
    test_run(f->path, "git update-ref -d " REF);
    assert_found(f, &l.c, &l.b);
    begin(f, &s, "state", &l.c);
    assert_int_equal(seen_move(&s, &l.a, NULL), -ESTALE);
    assert_int_equal(seen_move(&s, &l.c, NULL), 0);
    seen_done(&s);
    test_run(f->dir, "test $(git -C %s rev-parse " REF ") = $(sed -n 's/^mark //p' state/seen)",
             f->path);
}

/* S1, S2: as a crash between the two leaves them. */
static void test_the_one_that_is_further_on_counts(void **state)
{
    struct fixture *f = *state;
    struct line l = make_line(f);
    struct seen s;

    begin(f, &s, "state", &l.b);
    assert_int_equal(seen_move(&s, &l.b, NULL), 0);
    seen_done(&s);
    set_ref(f, &l.c);
    assert_found(f, &l.c, &l.c);
    set_ref(f, &l.a);
    assert_found(f, &l.c, &l.b);
    set_ref(f, &l.o); /* neither: both have to be held */
    assert_found(f, &l.c, &l.o);
    assert_found(f, &l.o, &l.b);
    static const struct oid gone = {{0xde, 0xad}}, nothing;
    set_file(f, &gone);
    assert_found(f, &l.c, &gone);
    assert_found(f, &nothing, &gone);
    begin(f, &s, "state", &l.c);
    assert_int_equal(seen_move(&s, &l.c, NULL), -ENOENT);
    assert_int_equal(seen_accept(&s, &l.c, NULL), 0);
    assert_mark(&s, &l.c, &l.c);
    seen_done(&s);
    assert_found(f, &l.c, &l.c);
    test_run(f->dir, "rm state/seen");
    assert_found(f, &l.c, &l.c);
}

static void test_a_file_that_is_damaged_counts_as_lost(void **state)
{
    struct fixture *f = *state;
    struct line l = make_line(f);
    struct seen s;

    begin(f, &s, "state", &l.b);
    assert_int_equal(seen_move(&s, &l.b, NULL), 0);
    seen_done(&s);
    test_run(f->dir, "printf 'mark 12\\n\\0junk' >state/seen");
    assert_found(f, &l.b, &l.b);
    begin(f, &s, "state", &l.b);
    assert_int_equal(seen_move(&s, &l.c, NULL), 0);
    seen_done(&s);
    test_run(f->path, "git update-ref -d " REF);
    assert_found(f, &l.c, &l.c);
    test_run(f->dir, "rm state/seen; mkdir state/seen");
    seen_init(&s, f->repo, "ops-1");
    _cleanup_free_ char *path = xasprintf("%s/state/seen", f->dir);
    struct ledger_mainline mainline = {.branch = "refs/heads/main", .head = l.b};
    assert_int_equal(seen_keep(&s, path, &mainline, NULL), -EISDIR);
    seen_done(&s);
}

/* The copy of a repository that lies elsewhere has a state directory beside the one that knows. */
static void test_another_path_is_no_way_around(void **state)
{
    struct fixture *f = *state;
    struct line l = make_line(f);
    struct oid elsewhere = revise(f, NULL, "elsewhere"), mark;
    struct seen s;

    begin(f, &s, "state", &l.c);
    assert_int_equal(seen_move(&s, &l.c, NULL), 0);
    seen_done(&s);
    test_run(f->path, "git update-ref -d " REF);
    begin(f, &s, "copy", &l.b);
    assert_mark(&s, &l.b, &l.c);
    assert_int_equal(seen_move(&s, &l.b, NULL), -ESTALE);
    seen_done(&s);
    begin(f, &s, "twin", &l.c);
    assert_int_equal(seen_move(&s, &l.c, NULL), 0);
    seen_done(&s);
    test_run(f->dir, "cut -d' ' -f1,2 state/seen | cmp - twin/seen"); /* as good as the other's */
    test_run(f->path, "git update-ref -d " REF);
    begin(f, &s, "unrelated", &elsewhere);
    assert_int_equal(seen_get(&s, &elsewhere, &mark), -ENOENT);
    seen_done(&s);
    begin(f, &s, "copy", &l.b);
    assert_int_equal(seen_accept(&s, &l.b, NULL), 0);
    seen_done(&s);
    test_run(f->path, "git update-ref -d " REF);
    begin(f, &s, "copy", &l.b); /* from then on it has a mark of its own, and the other its own */
    assert_mark(&s, &l.b, &l.b);
    seen_done(&s);
    assert_found(f, &l.c, &l.c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_either_place_makes_up_for_the_other),
        TEST(test_the_one_that_is_further_on_counts),
        TEST(test_a_file_that_is_damaged_counts_as_lost),
        TEST(test_another_path_is_no_way_around),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
