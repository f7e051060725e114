/* sites/<site>/: its links, and the blame of what is deployed. */
#include <errno.h>
#include <stdlib.h>

#include "fixture.h"

/* A fleet of one site, whose source is `source`. */
static void deploy(struct fixture *f, const char *rev, const char *source)
{
    struct fleet *fleet = fleet_new();
    struct site_status s = {.name = "site", .team = "team", .source = "elsewhere"};

    if (rev) {
        s.deployed = oid_from(f, rev);
        s.deployed_source = source;
    }
    fleet_add(fleet, &s);
    fleet_board_publish(f->board, fleet);
}

static void assert_links(struct fixture *f)
{
    char hex[OID_HEX + 1];
    struct oid oid = oid_from(f, "main");
    _cleanup_free_ char *got = target(f, "sites/site/deployed");
    _cleanup_free_ char *want = xasprintf("../../revisions/%s/d", oid_hex(&oid, hex));

    assert_string_equal(got, want);
}

static void test_blame_of_what_is_deployed(void **state)
{
    struct fixture *f = *state;
    char one[OID_HEX + 1], two[OID_HEX + 1];

    change(f, "mkdir d && printf 'a\nb\n' >d/x && git add d && git commit -q -m 1");
    change(f, "printf 'a\nB\n' >d/x && git commit -q -a -m 2");
    struct oid first = oid_from(f, "main~1"), second = oid_from(f, "main");
    deploy(f, "main", "d");
    assert_links(f);
    _cleanup_free_ char *got = text(f, "sites/site/blame");
    _cleanup_free_ char *want = xasprintf("%.12s 2026-01-01 x:1: a\n%.12s 2026-01-01 x:2: B\n",
                                          oid_hex(&first, one), oid_hex(&second, two));
    assert_string_equal(got, want);
    deploy(f, "main~1", ".");
    _cleanup_free_ char *older = text(f, "sites/site/blame");
    assert_non_null(strstr(older, " a:1: 1\n"));
    assert_non_null(strstr(older, " d/x:2: b\n"));
}

static void test_blame_is_made_once(void **state)
{
    struct fixture *f = *state;

    deploy(f, "main", ".");
    _cleanup_(node_unrefp) struct node *one = walk(f, "sites/site/blame");
    _cleanup_(node_unrefp) struct node *again = walk(f, "sites/site/blame");
    assert_non_null(one);
    assert_ptr_equal(one, again);
    change(f, "git commit -q --allow-empty -m 2");
    deploy(f, "main", ".");
    _cleanup_(node_unrefp) struct node *other = walk(f, "sites/site/blame");
    assert_ptr_not_equal(one, other);
    assert_int_equal(one->ino, other->ino);
    /* Beside the mainline: each revision has its own, another one when the mainline gets there. */
    change(f, "git checkout -q -b side && echo 2 >a && git commit -q -a -m s1 && "
              "git commit -q --allow-empty -m s2 && git checkout -q main");
    deploy(f, "side~1", ".");
    _cleanup_(node_unrefp) struct node *s1 = walk(f, "sites/site/blame");
    deploy(f, "side", ".");
    _cleanup_(node_unrefp) struct node *s2 = walk(f, "sites/site/blame");
    assert_ptr_not_equal(s1, s2);
    change(f, "git merge -q --ff-only side");
    _cleanup_(node_unrefp) struct node *there = walk(f, "sites/site/blame");
    assert_ptr_not_equal(s2, there);
}

static void test_there_is_no_blame_of_nothing(void **state)
{
    struct fixture *f = *state;

    deploy(f, NULL, NULL);
    _cleanup_free_ char *never = text(f, "sites/site/blame");
    assert_string_equal(never, "(none)");
    deploy(f, "main", ".");
    _cleanup_(node_unrefp) struct node *site = walk(f, "sites/site");
    _cleanup_free_ char *names = listing(site, 9);
    assert_int_equal(strstr(names, "blame ") != NULL, f->history != NULL);
}

/* The mainline is known, the index has not been told of it. */
static void test_blame_waits_for_the_index(void **state)
{
    struct fixture *f = *state;
    _cleanup_(diag_done) struct diag why = {0};
    struct node *node = NULL;

    test_run(f->path, "echo 2 >a && git commit -q -a -m 2");
    assert_int_equal(mainline_refresh(f->mainline, &why), 0);
    deploy(f, "main", ".");
    _cleanup_(node_unrefp) struct node *site = walk(f, "sites/site");
    assert_int_equal(site->ops->lookup(site, "blame", &node), -EAGAIN);
    change(f, "true");
    assert_int_equal(site->ops->lookup(site, "blame", &node), 0);
    node_unref(node);
}

static struct oid blob_oid(struct fixture *f, const char *revision, const char *path)
{
    struct oid rev = oid_from(f, revision), oid;
    struct revision_brief brief;
    enum entry_kind kind;

    assert_int_equal(revision_brief(f->repo, &rev, &brief), 0);
    assert_int_equal(tree_walk_path(f->repo, &brief.tree, path, &kind, &oid), 0);
    return oid;
}

/* Shows a fleet of this one site. */
static void show(struct fixture *f, struct site_status s)
{
    struct fleet *fleet = fleet_new();

    s.name = "site";
    s.team = "team";
    fleet_add(fleet, &s);
    fleet_board_publish(f->board, fleet);
}

static void test_drift_is_there_while_it_has_drifted(void **state)
{
    struct fixture *f = *state;
    struct site_status s = {.source = "d", .drifted_at = TEST_TIME * NS_PER_SEC};

    s.message = "3 files differ";
    show(f, s);
    _cleanup_free_ char *line = text(f, "sites/site/drift");
    assert_string_equal(line, "3 files differ\n"); /* the backend has told no more */
    s.message = NULL;
    s.drift_log = blob_oid(f, "main", "a");
    show(f, s);
    _cleanup_free_ char *told = text(f, "sites/site/drift");
    assert_string_equal(told, "1\n");
    deploy(f, "main", "d");
    _cleanup_free_ char *gone = text(f, "sites/site/drift");
    assert_string_equal(gone, "(none)");
}

/* A plan for the site that comes from `old` at main~1 (NULL: from nothing), and goes to `new` at
 * main. */
static char *plan(struct fixture *f, const char *old, const char *new)
{
    static const char *const include[] = {"common"};
    struct site_status s = {.source = new, .include = {include, 1}};

    s.desired = oid_from(f, "main");
    if (old) {
        s.deployed = oid_from(f, "main~1");
        s.deployed_source = old;
    }
    show(f, s);
    return text(f, "sites/site/plan");
}

static void test_plan_is_what_a_deployment_would_change(void **state)
{
    struct fixture *f = *state;

    change(f, "mkdir d e common && for i in d e common; do echo 1 >$i/x; done && git add -A && "
              "git commit -q -m 1");
    change(f, "for i in d e common; do echo 2 >$i/x; done && git commit -q -a -m 2");
    _cleanup_free_ char *mine = plan(f, "d", "d"), *moved = plan(f, "e", "d"),
                        *all = plan(f, "d", "."), *whole = plan(f, NULL, "d");
    assert_non_null(strstr(mine, "--- a/d/x\n+++ b/d/x\n@@ -1 +1 @@\n-1\n+2\n"));
    assert_non_null(strstr(mine, "a/common/x"));
    assert_null(strstr(mine, "a/e/x"));
    assert_non_null(strstr(moved, "a/e/x"));
    assert_non_null(strstr(all, "a/e/x"));
    assert_non_null(strstr(whole, "--- /dev/null\n+++ b/d/x\n@@ -0,0 +1 @@\n+2\n"));
    assert_null(strstr(whole, "b/a"));
    change(f, "git commit -q --allow-empty -m 3");
    _cleanup_free_ char *none = plan(f, "d", "d");
    assert_string_equal(none, "");
}

/* While it soaks, what it comes from is what ran before, wherever that came from. */
static void test_migrating_leads_to_both_ends(void **state)
{
    struct fixture *f = *state;
    struct site_status s = {.source = "new"};
    char a[OID_HEX + 1], b[OID_HEX + 1];

    change(f, "git commit -q --allow-empty -m 2");
    s.state = SITE_MIGRATING;
    s.step = "soak";
    s.attempt = 1;
    s.deadline = TEST_TIME * NS_PER_SEC;
    s.from = s.previous = oid_from(f, "main~1");
    s.previous_source = "old";
    s.desired = s.deployed = s.to = oid_from(f, "main");
    s.deployed_source = "new";
    _cleanup_free_ char *old = xasprintf("../../../revisions/%s/old", oid_hex(&s.from, a)),
                        *new = xasprintf("../../../revisions/%s/new", oid_hex(&s.to, b));
    show(f, s);
    _cleanup_free_ char *from = target(f, "sites/site/migrating/from"),
                        *to = target(f, "sites/site/migrating/to"),
                        *step = text(f, "sites/site/migrating/step"),
                        *deadline = text(f, "sites/site/migrating/deadline");
    assert_string_equal(from, old);
    assert_string_equal(to, new);
    assert_string_equal(step, "soak\n");
    assert_string_equal(deadline, "2026-01-01T00:00:00Z\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_blame_of_what_is_deployed),
        TEST(test_blame_is_made_once),
        TEST(test_there_is_no_blame_of_nothing),
        TEST_WITHOUT(test_there_is_no_blame_of_nothing),
        TEST(test_blame_waits_for_the_index),
        TEST(test_drift_is_there_while_it_has_drifted),
        TEST(test_plan_is_what_a_deployment_would_change),
        TEST(test_migrating_leads_to_both_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
