/* Landing: what a change of no workspace becomes, and what those learn who have to know of it when
 * races are lost (L1 to L6). */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "check/check.h"
#include "fixture.h"
#include "stage/landing.h"
#include "stage/review.h"

static const struct signature ann = {"Ann Lee", "ann@example.org", 1700000000, 60};

static int setup(void **state)
{
    struct fixture *f = fixture_new();

    free(fixture_push(f, "echo 1 >a; echo 1 >b"));
    fixture_open(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static struct oid oid_of(struct fixture *f, const char *command)
{
    _cleanup_free_ char *hex = test_output(f->work, "%s", command);
    struct oid oid;

    assert_int_equal(oid_parse(hex, &oid), 0);
    return oid;
}

/* What main has, with `content` in the file `name`. */
static struct oid tree_with(struct fixture *f, const char *name, const char *content)
{
    _cleanup_free_ char *command = xasprintf(
        "export GIT_INDEX_FILE=$PWD/index.test; git read-tree main; git update-index --add "
        "--cacheinfo 100644,$(printf '%s' | git hash-object -w --stdin),%s; git write-tree",
        content, name);

    return oid_of(f, command);
}

static void assert_git(struct fixture *f, const char *command, const char *want)
{
    _cleanup_free_ char *got = test_output(f->work, "%s", command);

    assert_string_equal(got, want);
}

/* Lands it; on failure `part` is in the reasons. */
static int land(struct fixture *f, const struct staging_change *change, struct staging_landed *ret,
                const char *part)
{
    _cleanup_(buf_done) struct buf reasons = {0};
    int r = staging_land(f->staging, change, ret, &reasons);

    if (r < 0 && !strstr(buf_str(&reasons), part))
        fail_msg("%s: '%s' without '%s'", strerror(-r), buf_str(&reasons), part);
    return r;
}

static void a_change_of_no_workspace(void **state)
{
    struct fixture *f = *state;
    struct staging_landed landed;
    struct staging_change change = {
        .base = oid_of(f, "git rev-parse main"),
        .tree = tree_with(f, "a", "2\\n"),
        .author = &ann,
        .message = "roll back\n\nOnward-Rollback: store\n",
    };
    char hex[OID_HEX + 1];

    /* L2: somebody else has moved the mainline, and we have not heard of it. */
    _cleanup_free_ char *other = fixture_push(f, "echo 2 >b");
    assert_int_equal(land(f, &change, &landed, ""), 0);
    assert_int_equal(landed.proposal, 0);
    assert_git(f, "git rev-parse main", oid_hex(&landed.revision, hex));
    assert_git(f, "git rev-parse main^", other);
    assert_git(f, "git show main:a main:b", "2\n2");
    assert_git(f, "git log -1 --format='%an|%ae|%at|%cn|%B' main",
               "Ann Lee|ann@example.org|1700000000|onwardfs|roll back\n\nOnward-Rollback: store");
    assert_int_equal(land(f, &change, &landed, "has these changes already"), -ENODATA);

    change.tree = tree_with(f, "a", "3\\n");
    assert_int_equal(land(f, &change, &landed, "conflict: a "), -EBUSY);
    change.base = oid_of(f, "git rev-parse main");
    change.tree = tree_with(f, "x.json", "{");
    assert_int_equal(land(f, &change, &landed, "x.json:1:"), -EINVAL);
    change.exact = true;
    change.tree = tree_with(f, "a", "3\\n");
    free(fixture_push(f, "echo 3 >b"));
    assert_int_equal(land(f, &change, &landed, "moved meanwhile"), -ESTALE);
    change.base = oid_of(f, "git rev-parse main");
    change.tree = tree_with(f, "a", "3\\n");
    assert_int_equal(land(f, &change, &landed, ""), 0);
    change.message = "x\n\nApproved-by: Bob <bob@example.org>\n";
    assert_int_equal(land(f, &change, &landed, "Approved-by"), -EINVAL);
    assert_git(f, "git rev-list --count main", "5");
    assert_git(f, "git fsck --strict --no-dangling 2>&1", "");
}

static void it_is_proposed_where_head_asks_for_approvals(void **state)
{
    struct fixture *f = *state;
    struct proposals *all = staging_proposals(f->staging);
    struct staging_landed landed;

    free(fixture_push(f, "printf 'onward: 1\\nreview: {approvals: 1}\\n' >onward.yaml"));
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    struct staging_change change = {
        .base = oid_of(f, "git rev-parse main"),
        .tree = tree_with(f, "a", "2\\n"),
        .author = &ann,
        .message = "roll back\n\nOnward-Rollback: store\n",
    };
    assert_int_equal(land(f, &change, &landed, ""), 0);
    assert_int_equal(landed.proposal, 1);
    assert_true(oid_is_zero(&landed.revision));
    /* The same on another head is the same; another is another. */
    free(fixture_push(f, "echo 2 >b"));
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    change.base = oid_of(f, "git rev-parse main");
    change.tree = tree_with(f, "a", "2\\n");
    assert_int_equal(land(f, &change, &landed, ""), 0);
    assert_int_equal(landed.proposal, 1);
    change.message = "other words\n";
    assert_int_equal(land(f, &change, &landed, ""), 0);
    assert_int_equal(landed.proposal, 2);
    fixture_close(f);
    fixture_open(f);
    all = staging_proposals(f->staging);
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    assert_int_equal(proposals_get(all, 1, &p), 0);
    assert_true(proposal_is_of(p, &ann) && !p->workspace);
    assert_int_equal(review_approve(all, 1, &stranger, "yes"), 0);
    assert_git(f, "git log -1 --format='%an|%B' main",
               "Ann Lee|roll back\n\nOnward-Rollback: store\nApproved-by: 1001 <1001@testhost>");
    assert_git(f, "git show main:a", "2");
    assert_int_equal(review_approve(all, 2, &stranger, "yes"), -ENODATA);
}

/* A landing that writes down what happens to it. */
struct witness {
    struct landing landing;
    struct fixture *f;
    struct buf seen;
    int races; /* that are to be lost */
};

static int on_hold(struct landing *l)
{
    buf_addc(&container_of(l, struct witness, landing)->seen, 'h');
    return 0;
}

static void on_release(struct landing *l)
{
    buf_addc(&container_of(l, struct witness, landing)->seen, 'r');
}

/* L3: it is written, and the mainline is not there yet. */
static int on_announce(struct landing *l)
{
    struct witness *w = container_of(l, struct witness, landing);
    struct revision_brief brief;

    buf_addc(&w->seen, 'a');
    assert_int_equal(revision_brief(l->config->repo, &l->revision, &brief), 0);
    assert_true(oid_equal(&brief.parent, &l->head));
    assert_int_equal(landing_has_landed(l->config, &l->revision), 0);
    if (w->races-- > 0) {
        _cleanup_free_ char *script = xasprintf("echo race %d >b", w->races);
        free(fixture_push(w->f, script));
    }
    return 0;
}

static int on_settle(struct landing *l, int r)
{
    struct witness *w = container_of(l, struct witness, landing);

    buf_adds(&w->seen, r == 0 ? "S" : r == -EAGAIN ? "s" : "?");
    assert_int_equal(landing_has_landed(l->config, &l->revision), r == 0);
    return r;
}

static void lost_races(void **state)
{
    static const struct landing_ops ops = {
        .hold = on_hold, .release = on_release, .announce = on_announce, .settle = on_settle};
    struct fixture *f = *state;
    _cleanup_(buf_done) struct buf reasons = {0};
    const struct checks_config none = {.repo = f->repo};
    struct witness w = {
        .landing = {.ops = &ops,
                    .config = &f->config,
                    .checks = checks_new(&none),
                    .what = "test",
                    .reasons = &reasons,
                    .change = {.base = oid_of(f, "git rev-parse main"),
                               .base_tree = oid_of(f, "git rev-parse main^{tree}"),
                               .tree = tree_with(f, "a", "2\\n"),
                               .author = &ann,
                               .message = "m\n"}},
        .f = f,
        .races = 3,
    };

    assert_int_equal(landing_run(&w.landing), 0);
    assert_string_equal(buf_str(&w.seen), "hasasasaSr");
    assert_string_equal(buf_str(&reasons), "");
    assert_git(f, "git show main:a main:b", "2\nrace 0");
    assert_git(f, "git rev-list --count --first-parent main", "5");
    checks_free(w.landing.checks);
    buf_done(&w.seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_of_no_workspace, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_proposed_where_head_asks_for_approvals, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lost_races, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
