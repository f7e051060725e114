/* Proposals as records in the repository: what is read back, and what is none. */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fixture.h"
#include "stage/proposal.h"

struct records {
    char *dir, *path;
    struct repo *repo;
    struct oid base, content;
};

static struct oid oid_of(const char *hex)
{
    struct oid oid;

    assert_int_equal(oid_parse(hex, &oid), 0);
    return oid;
}

/* A commit of the work tree with this message on top of `parents` ("-p ID …"). */
static struct oid record(struct records *t, const char *parents, const char *author,
                         const char *message)
{
    test_write_file(t->dir, "message", message);
    _cleanup_free_ char *hex = test_output(
        t->path, "GIT_AUTHOR_EMAIL='%s' git commit-tree $(git write-tree) %s -F - <../message",
        author, parents);
    return oid_of(hex);
}

static struct oid on_top(struct records *t, const struct oid *parent, const char *author,
                         const char *message)
{
    char hex[OID_HEX + 1];
    _cleanup_free_ char *parents = xasprintf("-p %s", oid_hex(parent, hex));

    return record(t, parents, author, message);
}

static int setup(void **state)
{
    struct records *t = NEW(struct records);

    t->dir = test_dir_new();
    t->path = test_repo_new(t->dir, "repo", "");
    _cleanup_free_ char *base = test_commit(t->path, "a", "1\n", "base");
    t->base = oid_of(base);
    test_run(t->path, "echo 2 >a && git add a");
    assert_int_equal(repo_open(t->path, &t->repo, NULL), 0);
    struct proposal like = {.number = 7,
                            .message = "lock later\n\nOnward-Id: mine\n",
                            .workspace = "fix",
                            .owner = "Ann Lee <ann@x>",
                            .id = "c0ffee"};
    _cleanup_free_ char *text = proposal_content_text(&like);
    t->content = on_top(t, &t->base, "root@x", text);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct records *t = *state;

    repo_free(t->repo);
    test_dir_free(t->dir);
    free(t->path);
    free(t);
    return 0;
}

static void assert_none(struct records *t, uint64_t number, struct oid tip, const char *why)
{
    _cleanup_(diag_done) struct diag said = {0};
    struct proposal *p;

    assert_int_equal(proposal_load(t->repo, number, &tip, &p, &said), -EINVAL);
    assert_non_null(strstr(diag_text(&said, 0), why));
}

static void numbers_are_plain(void **state)
{
    assert_int_equal(proposal_number("refs/onward/proposals/1"), 1);
    assert_int_equal(proposal_number("refs/onward/proposals/120"), 120);
    static const char *const wrong[] = {"0", "01", "", "-1", "1x", "1/2", "9999999999999999999"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        _cleanup_free_ char *ref = xasprintf("refs/onward/proposals/%s", wrong[i]);
        assert_int_equal(proposal_number(ref), 0);
    }
    assert_int_equal(proposal_number("refs/onward/proposals-ended"), 0);
    assert_int_equal(proposal_number("refs/heads/1"), 0);
}

static void what_is_written_is_read(void **state)
{
    struct records *t = *state;
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    struct signature bob = {.email = "BOB@x"}, ann = {.email = "ann@X"}, root = {.email = "root@x"};
    _cleanup_free_ char *yes = proposal_approval_text(7, &t->content, "looks good"),
                        *no_words = proposal_approval_text(7, &t->content, ""),
                        *merge = proposal_merging_text(7, &t->base);
    struct oid tip = on_top(t, &t->content, "bob@x", yes);
    tip = on_top(t, &tip, "cay@x", no_words);
    struct oid before = tip;
    tip = on_top(t, &tip, "host@x", merge);

    assert_int_equal(proposal_load(t->repo, 7, &tip, &p, NULL), 0);
    assert_int_equal(p->state, PROPOSAL_MERGING);
    assert_true(oid_equal(&p->as, &t->base) && oid_equal(&p->before, &before));
    assert_true(oid_equal(&p->content, &t->content) && oid_equal(&p->base, &t->base));
    assert_string_equal(p->message, "lock later\n\nOnward-Id: mine\n");
    assert_string_equal(p->workspace, "fix");
    assert_string_equal(p->id, "c0ffee");
    assert_int_equal(p->approvals.n, 2);
    assert_string_equal(p->approvals.v[0].comment, "looks good");
    assert_string_equal(p->approvals.v[1].comment, "");
    assert_ptr_equal(proposal_approval_by(p, &bob), &p->approvals.v[0]);
    assert_true(proposal_is_of(p, &ann) && proposal_is_of(p, &root) && !proposal_is_of(p, &bob));
}

static void approvals_that_do_not_count(void **state)
{
    struct records *t = *state;
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    _cleanup_free_ char *yes = proposal_approval_text(7, &t->content, "x");
    static const char *const who[] = {"root@x", "ann@x", "bob@x", "Bob@X", ""};
    struct oid tip = t->content;

    for (size_t i = 0; i < ARRAY_SIZE(who); i++)
        tip = on_top(t, &tip, who[i], yes);
    assert_int_equal(proposal_load(t->repo, 7, &tip, &p, NULL), 0);
    assert_int_equal(p->approvals.n, 1);
    assert_string_equal(p->approvals.v[0].who.email, "bob@x");
}

static void what_is_none(void **state)
{
    struct records *t = *state;
    char a[OID_HEX + 1], b[OID_HEX + 1];
    _cleanup_free_ char *other = proposal_approval_text(7, &t->base, ""),
                        *yes = proposal_approval_text(7, &t->content, ""),
                        *two =
                            xasprintf("-p %s -p %s", oid_hex(&t->base, a), oid_hex(&t->content, b)),
                        *long_text = xmalloc(PROPOSAL_MESSAGE_MOST + 2);
    _cleanup_free_ char *withdraw = proposal_withdrawal_text(7, &t->content);

    memset(long_text, 'x', PROPOSAL_MESSAGE_MOST + 1);
    long_text[PROPOSAL_MESSAGE_MOST + 1] = 0;
    assert_none(t, 8, t->content, "number");
    assert_none(t, 7, on_top(t, &t->content, "bob@x", other), "another content");
    assert_none(t, 7, record(t, two, "bob@x", "merge"), "merge");
    assert_none(t, 7, record(t, two, "bob@x", yes), "one parent");
    assert_none(t, 7, on_top(t, &t->base, "bob@x", long_text), "too long");
    assert_none(t, 7, on_top(t, &t->base, "", "x"), "no address");
    assert_none(t, 7, oid_of("0123456789012345678901234567890123456789"), "read");
    /* Nothing comes behind a closing record. */
    struct oid closed = on_top(t, &t->content, "x@x", withdraw);
    assert_none(t, 7, on_top(t, &closed, "bob@x", yes), "no kind");
    /* An approval of another tree. */
    test_run(t->path, "echo 3 >a && git add a");
    assert_none(t, 7, on_top(t, &t->content, "bob@x", yes), "another content");
    struct oid tip = t->content;
    for (int i = 0; i < PROPOSAL_APPROVALS_MOST + 2; i++)
        tip = on_top(t, &tip, "bob@x", yes);
    assert_none(t, 7, tip, "too many");
}

/* A disk that fails says nothing about what it holds. */
static void one_that_cannot_be_read(void **state)
{
    struct records *t = *state;
    _cleanup_(diag_done) struct diag why = {0};
    struct proposal *p;
    char hex[OID_HEX + 1];

    oid_hex(&t->base, hex);
    test_run(t->path, "f=.git/objects/%.2s/%s; chmod u+w $f; truncate -s 12 $f", hex, hex + 2);
    assert_int_equal(proposal_load(t->repo, 7, &t->content, &p, &why), -EIO);
    assert_non_null(strstr(diag_text(&why, -EIO), "its base cannot be read"));
}

static void one_that_git_made(void **state)
{
    struct records *t = *state;
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;

    assert_int_equal(proposal_load(t->repo, 3, &t->base, &p, NULL), 0);
    assert_string_equal(p->message, "base\n");
    assert_null(p->id);
    assert_true(oid_is_zero(&p->base) && oid_is_zero(&p->base_tree));
}

static void trailers_of_the_revision(void **state)
{
    struct approval by[] = {{.who = {.name = "Bob", .email = "b@x"}},
                            {.who = {.name = "C\nay", .email = "c@x"}}};
    struct proposal p = {.message = "one\n", .approvals = {by, 2, 2}};
    _cleanup_free_ char *plain = proposal_revision_text(&p);
    p.message = "one\n\nSee-also: x\n";
    _cleanup_free_ char *more = proposal_revision_text(&p);

    assert_string_equal(plain, "one\n\nApproved-by: Bob <b@x>\nApproved-by: C\\nay <c@x>\n");
    assert_string_equal(more,
                        "one\n\nSee-also: x\nApproved-by: Bob <b@x>\nApproved-by: C\\nay <c@x>\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_plain),
        cmocka_unit_test_setup_teardown(what_is_written_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(approvals_that_do_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_git_made, setup, teardown),
        cmocka_unit_test(trailers_of_the_revision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
