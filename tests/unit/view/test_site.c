/* sites/<site>/: its links, and the blame of what is deployed. */
#include <errno.h>
#include <stdlib.h>

#include "fixture.h"

/* A fleet of one site, whose source is `source`. */
static void deploy(struct fixture *f, const char *rev, const char *source)
{
    struct fleet *fleet = fleet_new();
    struct site_status *s = VEC_ADD(&fleet->sites);

    s->name = xstrdup("site");
    s->team = xstrdup("team");
    s->source = xstrdup("elsewhere");
    if (rev) {
        s->deployed = oid_from(f, rev);
        s->deployed_source = xstrdup(source);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_blame_of_what_is_deployed),    TEST(test_blame_is_made_once),
        TEST(test_there_is_no_blame_of_nothing), TEST_WITHOUT(test_there_is_no_blame_of_nothing),
        TEST(test_blame_waits_for_the_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
