/* The steps of proposals as others may disturb them: every one is a compare-and-swap (P1), and a
 * number is used once (P3). */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fixture.h"
#include "stage/proposals.h"

static const struct signature ann = {.name = "Ann", .email = "ann@x", .time = TEST_TIME},
                              bob = {.name = "Bob", .email = "bob@x", .time = TEST_TIME};

static int setup(void **state)
{
    struct fixture *f = fixture_new();

    free(fixture_push(f, "echo 1 >a"));
    fixture_open(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static struct proposals *all(struct fixture *f)
{
    return staging_proposals(f->staging);
}

/* A proposal of the workspace with that id, of head's tree on head. */
static struct proposal *put(struct fixture *f, const char *id)
{
    struct proposal what = {.message = "why\n", .workspace = "w", .owner = "Ann <ann@x>"};
    struct revision_brief brief;
    struct proposal *p;

    what.author = ann;
    what.id = (char *)id;
    assert_int_equal(mainline_head(f->mainline, &what.base), 0);
    assert_int_equal(revision_brief(f->repo, &what.base, &brief), 0);
    what.tree = what.base_tree = brief.tree;
    assert_int_equal(proposals_put(all(f), &what, &p, NULL), 0);
    return p;
}

static void a_ref_that_was_moved_is_not_moved_again(void **state)
{
    struct fixture *f = *state;
    _cleanup_(proposal_unrefp) struct proposal *p = put(f, "one"), *stale = put(f, "one");

    assert_int_equal(proposals_approve(all(f), &p, &bob, "", NULL), 0);
    assert_int_equal(p->approvals.n, 1);
    assert_int_equal(proposals_approve(all(f), &stale, &bob, "", NULL), -EAGAIN);
    assert_int_equal(proposals_close(all(f), &stale, NULL, NULL), -EAGAIN);
    assert_int_equal(stale->approvals.n, 0);
    _cleanup_(proposal_unrefp) struct proposal *now = put(f, "one");
    assert_true(oid_equal(&now->tip, &p->tip));
}

static void every_number_is_used_once(void **state)
{
    struct fixture *f = *state;
    _cleanup_(proposal_unrefp) struct proposal *one = put(f, "one"), *two = put(f, "two");

    assert_int_equal(one->number, 1);
    assert_int_equal(two->number, 2);
    assert_int_equal(proposals_close(all(f), &two, NULL, NULL), 0);
    assert_int_equal(proposals_resolve(all(f), &two, NULL), 0);
    assert_null(two);
    assert_int_equal(proposals_close(all(f), &one, NULL, NULL), 0);
    assert_int_equal(proposals_resolve(all(f), &one, NULL), 0);
    _cleanup_(proposal_unrefp) struct proposal *three = put(f, "one");
    assert_int_equal(three->number, 3);
    /* Also one that is no proposal's takes its number away, and one that nothing can follow. */
    test_run(f->work, "git update-ref refs/onward/proposals/5 $(git rev-parse main:a)");
    _cleanup_(proposal_unrefp) struct proposal *six = put(f, "six");
    assert_int_equal(six->number, 6);
}

static void what_is_no_proposal_harms_none(void **state)
{
    struct fixture *f = *state;
    struct proposal_list list = {0};

    proposal_unref(put(f, "one"));
    /* The same records under another number, before and after it in order. */
    test_run(f->work, "for n in 0 10 2 x; do git update-ref refs/onward/proposals/$n "
                      "refs/onward/proposals/1; done");
    proposals_changed(all(f));
    proposals_list(all(f), &list);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.v[0]->number, 1);
    proposal_list_done(&list);
}

static void no_more_than_so_many_are_open(void **state)
{
    struct fixture *f = *state;
    _cleanup_(proposal_unrefp) struct proposal *first = put(f, "one"), *p = NULL;
    struct proposal what = {
        .id = "more", .message = "why\n", .workspace = "w", .owner = "Ann <ann@x>"};
    _cleanup_(diag_done) struct diag why = {0};

    what.author = ann;
    what.base = first->base;
    what.tree = what.base_tree = first->tree;
    test_run(f->work,
             "for n in $(seq 2 %d); do echo create refs/onward/proposals/$n "
             "refs/onward/proposals/1; done | git update-ref --stdin",
             PROPOSALS_MOST);
    assert_int_equal(proposals_put(all(f), &what, &p, &why), -EDQUOT);
    assert_non_null(strstr(why.text, "1000 proposals are open already"));
    assert_int_equal(proposals_close(all(f), &first, NULL, NULL), 0);
    assert_int_equal(proposals_resolve(all(f), &first, NULL), 0);
    assert_int_equal(proposals_put(all(f), &what, &p, NULL), 0);
    assert_int_equal(p->number, PROPOSALS_MOST + 1);
}

static void reasons_are_of_one_content(void **state)
{
    struct fixture *f = *state;
    _cleanup_(proposal_unrefp) struct proposal *p = put(f, "one"), *other = put(f, "two");

    proposals_set_reason(all(f), p, "conflict: a\n");
    _cleanup_free_ char *mine = proposals_reason(all(f), p),
                        *none = proposals_reason(all(f), other);
    assert_string_equal(mine, "conflict: a\n");
    assert_string_equal(none, "");
    proposals_set_reason(all(f), p, NULL);
    _cleanup_free_ char *gone = proposals_reason(all(f), p);
    assert_string_equal(gone, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_ref_that_was_moved_is_not_moved_again, setup, teardown),
        cmocka_unit_test_setup_teardown(every_number_is_used_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_proposal_harms_none, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_than_so_many_are_open, setup, teardown),
        cmocka_unit_test_setup_teardown(reasons_are_of_one_content, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
