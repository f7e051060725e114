/* Reviews over a staging area: who may do what, and what a crash between two steps leaves (P1 to
 * P3). */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fixture.h"
#include "stage/proposal_node.h"
#include "stage/review.h"
#include "tree/menu.h"

static const struct caller bob = {1002, 1002};

static int setup(void **state)
{
    struct fixture *f = fixture_new();

    free(fixture_push(f, "printf 'onward: 1\\nreview: {approvals: 2}\\n' >onward.yaml; echo 1 >a"));
    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
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

static struct proposal *get(struct fixture *f, uint64_t number)
{
    struct proposal *p;

    assert_int_equal(proposals_get(all(f), number, &p), 0);
    return p;
}

static void assert_gone(struct fixture *f, uint64_t number)
{
    _cleanup_free_ char *left =
        test_output(f->work, "git for-each-ref refs/onward/proposals/%d", (int)number);
    struct proposal *p;

    assert_int_equal(proposals_get(all(f), number, &p), -ENOENT);
    assert_string_equal(left, "");
}

static void propose(struct fixture *f, const char *content, const char *message)
{
    fx_put(f, "ws/a", content);
    int r = fx_commit(f, "ws", &me, message);
    if (r < 0) {
        int err;
        _cleanup_free_ char *outcome = fx_read(f, "ws/.onward/outcome", &err);
        fail_msg("commit: %s: %s", strerror(-r), outcome);
    }
}

static void assert_outcome(struct fixture *f, const char *part)
{
    int err;
    _cleanup_free_ char *text = fx_read(f, "ws/.onward/outcome", &err);

    assert_non_null(strstr(text, part));
}

static void assert_head(struct fixture *f, const char *content)
{
    _cleanup_free_ char *got = test_output(f->work, "git show main:a");

    assert_string_equal(got, content);
}

static void two_others_make_it_a_revision(void **state)
{
    struct fixture *f = *state;

    propose(f, "2\n", "why");
    assert_outcome(f, "proposal 1: needs 2 approvals\n");
    assert_int_equal(review_approve(all(f), 1, &me, "yes"), -EACCES);
    assert_int_equal(review_approve(all(f), 2, &bob, "yes"), -ESTALE);
    assert_int_equal(review_approve(all(f), 1, &stranger, "yes"), 0);
    assert_int_equal(review_approve(all(f), 1, &stranger, "yes"), 0);
    assert_head(f, "1");
    assert_int_equal(review_approve(all(f), 1, &bob, "yes"), 0);
    assert_head(f, "2");
    assert_gone(f, 1);
    fx_assert_content(f, "ws/.onward/changes", "");
    _cleanup_free_ char *trailers =
        test_output(f->work, "git log -1 --format='%%(trailers:key=Approved-by,valueonly)' main");
    assert_non_null(strstr(trailers, "<1001@testhost>\n"));
    assert_non_null(strstr(trailers, "<1002@testhost>"));
    /* The history of the review stays. */
    _cleanup_free_ char *ended =
        test_output(f->work, "git rev-list --count refs/onward/proposals-ended --not main");
    assert_string_equal(ended, "5");
}

static void approvals_are_of_one_content(void **state)
{
    struct fixture *f = *state;
    char seen[OID_HEX + 1];

    propose(f, "2\n", "why");
    _cleanup_(proposal_unrefp) struct proposal *p = get(f, 1);
    oid_hex(&p->content, seen);
    assert_int_equal(review_approve(all(f), 1, &stranger, seen), 0);
    propose(f, "2\n", "why");
    assert_outcome(f, "needs 1 approval\n");
    propose(f, "3\n", "why");
    assert_outcome(f, "proposal 1: needs 2 approvals\n");
    assert_int_equal(review_approve(all(f), 1, &bob, seen), -ESTALE);
    assert_int_equal(review_approve(all(f), 1, &bob, "yes"), 0);
    propose(f, "3\n", "other words");
    assert_outcome(f, "needs 2 approvals\n");
    /* Proposed by root: not even then by the owner of the workspace. */
    assert_int_equal(fx_commit(f, "ws", &root_user, "other words"), 0);
    assert_int_equal(review_approve(all(f), 1, &me, "yes"), -EACCES);
    assert_int_equal(review_approve(all(f), 1, &root_user, "yes"), -EACCES);
}

static void withdrawing_and_numbers(void **state)
{
    struct fixture *f = *state;

    propose(f, "2\n", "why");
    assert_int_equal(review_withdraw(all(f), 1, &stranger), -EACCES);
    assert_int_equal(review_withdraw(all(f), 1, &me), 0);
    assert_gone(f, 1);
    assert_int_equal(review_withdraw(all(f), 1, &me), -ESTALE);
    fx_assert_content(f, "ws/a", "2\n");
    fixture_close(f);
    fixture_open(f);
    propose(f, "2\n", "why");
    assert_outcome(f, "proposal 2: ");
    /* P3: who cannot tell which numbers were used gives none. */
    test_run(f->work, "git update-ref refs/onward/proposals-ended main");
    assert_int_equal(review_withdraw(all(f), 2, &me), -EIO);
    assert_int_equal(fx_mkdir(f, "other", 0777), 0);
    fx_put(f, "other/b", "1\n");
    assert_int_equal(fx_commit(f, "other", &me, "why"), -EIO);
}

/* Leaves proposal 1, approved, with a closing record that says it becomes `as` (NULL: withdrawn),
 * as a crash right after that would. */
static void crash_while_closing(struct fixture *f, const struct oid *as)
{
    propose(f, "2\n", "why");
    assert_int_equal(review_approve(all(f), 1, &stranger, "yes"), 0);
    _cleanup_(proposal_unrefp) struct proposal *p = get(f, 1);
    assert_int_equal(proposals_close(all(f), &p, as, NULL), 0);
    fixture_close(f);
    fixture_open(f);
}

static void a_crash_before_the_mainline_moves(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *hex =
        test_output(f->work, "git commit-tree -p main -m 'never landed' main^{tree}");
    struct oid as;

    assert_int_equal(oid_parse(hex, &as), 0);
    crash_while_closing(f, &as);
    _cleanup_(proposal_unrefp) struct proposal *p = get(f, 1);
    assert_int_equal(p->state, PROPOSAL_OPEN);
    assert_int_equal(p->approvals.n, 1);
    assert_int_equal(review_approve(all(f), 1, &bob, "yes"), 0);
    assert_head(f, "2");
    assert_gone(f, 1);
}

static void a_crash_after_the_mainline_has_moved(void **state)
{
    struct fixture *f = *state;
    struct oid as;

    assert_int_equal(mainline_head(f->mainline, &as), 0);
    crash_while_closing(f, &as);
    assert_gone(f, 1);
    propose(f, "2\n", "why");
    assert_outcome(f, "proposal 2: ");
}

static void a_crash_while_withdrawing(void **state)
{
    struct fixture *f = *state;

    crash_while_closing(f, NULL);
    assert_gone(f, 1);
}

/* P2: at no instant is it to be seen both open and merged. */
static void merged_is_not_shown_before_its_ref_has_gone(void **state)
{
    struct fixture *f = *state;
    struct oid as;
    struct proposal *seen;

    assert_int_equal(mainline_head(f->mainline, &as), 0);
    propose(f, "2\n", "why");
    _cleanup_(proposal_unrefp) struct proposal *p = get(f, 1);
    assert_int_equal(proposals_close(all(f), &p, &as, NULL), 0);
    proposals_changed(all(f));
    assert_int_equal(proposals_get(all(f), 1, &seen), -ENOENT);
    assert_int_equal(review_approve(all(f), 1, &bob, "yes"), -ESTALE);
    assert_gone(f, 1);
}

static void a_conflict_keeps_it(void **state)
{
    struct fixture *f = *state;

    propose(f, "2\n", "why");
    free(fixture_push(f, "echo 3 >a"));
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    assert_int_equal(review_approve(all(f), 1, &stranger, "yes"), 0);
    assert_int_equal(review_approve(all(f), 1, &bob, "yes"), -EBUSY);
    _cleanup_(proposal_unrefp) struct proposal *p = get(f, 1);
    assert_int_equal(p->approvals.n, 2);
    _cleanup_free_ char *reason = proposals_reason(all(f), p);
    assert_non_null(strstr(reason, "conflict: a "));
    fx_assert_content(f, "ws/a", "2\n");
    free(fixture_push(f, "echo 1 >a"));
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    assert_int_equal(review_approve(all(f), 1, &bob, "again"), 0);
    assert_head(f, "2");
}

static struct node *look(struct node *dir, const char *name)
{
    struct node *n;

    assert_int_equal(dir->ops->lookup(dir, name, &n), 0);
    return n;
}

static void the_directory(void **state)
{
    struct fixture *f = *state;
    struct node *n;
    struct stat st = {0};

    propose(f, "2\n", "why");
    _cleanup_(node_unrefp) struct node *dir = proposals_dir_new(all(f), 99);
    assert_int_equal(dir->ops->lookup(dir, "2", &n), -ENOENT);
    assert_int_equal(dir->ops->lookup(dir, "01", &n), -ENOENT);
    _cleanup_(node_unrefp) struct node *one = look(dir, "1"), *message = look(one, "message"),
                                       *approve = look(one, "approve");
    _cleanup_free_ char *text = node_content(message, NULL);
    assert_string_equal(text, "why\n\nOnward-Workspace: ws\n");
    node_stat(approve, &st);
    assert_int_equal(st.st_mode & 0777, 0200);
    assert_int_equal(approve->ops->write(approve, &me, "yes\n", 4, 0), -EACCES);
    assert_int_equal(approve->ops->write(approve, &stranger, "yes\n", 4, 0), 4);
    assert_int_equal(approve->ops->write(approve, &bob, "yes\n", 4, 0), 4);
    assert_int_equal(one->ops->lookup(one, "message", &n), -ENOENT);
    assert_int_equal(approve->ops->write(approve, &bob, "yes\n", 4, 0), -ESTALE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_others_make_it_a_revision, setup, teardown),
        cmocka_unit_test_setup_teardown(approvals_are_of_one_content, setup, teardown),
        cmocka_unit_test_setup_teardown(withdrawing_and_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crash_before_the_mainline_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crash_after_the_mainline_has_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crash_while_withdrawing, setup, teardown),
        cmocka_unit_test_setup_teardown(merged_is_not_shown_before_its_ref_has_gone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_conflict_keeps_it, setup, teardown),
        cmocka_unit_test_setup_teardown(the_directory, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
