#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "../../bad/replay.h"
#include "base/clock.h"

static void load_bad(const char *path, const char *text, struct findings *ret, void *arg)
{
    struct fixture *f = arg;
    struct oid tree = fixture_tree(f, text);
    struct declaration *d = NULL;
    int r = declaration_load(f->repo, &tree, &d, ret, NULL);

    assert_null(d);
    assert_int_equal(r, -EINVAL);
}

static void what_is_wrong_is_found_where_it_stands(void **state)
{
    bad_replay(BAD_DIR "/declaration", load_bad, *state);
}

static const char full[] = "onward: 1\n"
                           "sites:\n"
                           "  - discover: clusters/*\n"
                           "    include: [apps, infrastructure]\n"
                           "    backend: cluster\n"
                           "    team: platform\n"
                           "    labels: {tier: cloud, region: 10}\n"
                           "  - name: store-0001\n"
                           "    source: stores/0001\n"
                           "    backend: files\n"
                           "    team: retail\n"
                           "    pin: v1.4.2\n"
                           "    depends_on: [hub]\n"
                           "    self_heal: true\n"
                           "    include: [common.yaml]\n"
                           "  - name: hub\n"
                           "rollout:\n"
                           "  waves:\n"
                           "    - {name: canary, match: {ring: canary}, soak: 10m}\n"
                           "    - {name: quarter, share: 25%, max_unavailable: 10%}\n"
                           "    - {name: some, sites: [hub], count: 3, max_unavailable: 2}\n"
                           "    - {name: rest}\n"
                           "  max_failures: 2\n"
                           "review: {approvals: 1}\n"
                           "checks: [yaml, kubeconform]\n";

static void every_key_is_read(void **state)
{
    struct declaration *d = fixture_declare(*state, full);
    const struct site *eu = declaration_site(d, "eu"), *store = declaration_site(d, "store-0001"),
                      *hub = declaration_site(d, "hub");

    /* Neither the symlink, nor the submodule, nor the hidden directory is a site. */
    assert_int_equal(d->sites.n, 4);
    assert_null(declaration_site(d, "alias"));
    assert_string_equal(eu->source, "clusters/eu");
    assert_int_equal(eu->include.n, 2);
    assert_string_equal(eu->backend, "cluster");
    assert_string_equal(eu->team, "platform");
    assert_string_equal(eu->labels.v[0].key, "region");
    assert_string_equal(eu->labels.v[0].value, "10");
    assert_int_equal(eu->line, 3);
    assert_null(eu->pin);
    assert_string_equal(store->source, "stores/0001");
    assert_string_equal(store->pin, "v1.4.2");
    assert_string_equal(store->depends_on.v[0], "hub");
    assert_true(store->self_heal);
    assert_false(store->suspend);
    assert_string_equal(hub->source, "sites/hub");
    assert_string_equal(hub->team, "default");
    assert_null(hub->backend);
    assert_int_equal(d->waves.n, 4);
    assert_string_equal(d->waves.v[0].match.v[0].value, "canary");
    assert_int_equal(d->waves.v[0].soak, 600 * NS_PER_SEC);
    assert_int_equal(d->waves.v[1].share, 25);
    assert_int_equal(d->waves.v[1].max_unavailable, -10);
    assert_int_equal(d->waves.v[2].count, 3);
    assert_int_equal(d->waves.v[2].max_unavailable, 2);
    assert_string_equal(d->waves.v[2].sites.v[0], "hub");
    assert_int_equal(d->max_failures, 2);
    assert_int_equal(d->approvals, 1);
    assert_int_equal(d->checks.n, 2);
    assert_int_equal(d->checks_line, 25);
    assert_string_equal(d->discover.v[0], "clusters/*");
    declaration_unref(d);
}

static void defaults_are_there(void **state)
{
    struct declaration *d = fixture_declare(*state, "onward: 1\n");
    static const char *const names[] = {"one", "tenth", "half", "all"};

    assert_int_equal(d->sites.n, 0);
    assert_int_equal(d->waves.n, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(d->waves.v[i].name, names[i]);
    assert_int_equal(d->approvals, 0);
    assert_int_equal(d->checks.n, 2);
    assert_int_equal(d->checks_line, 0);
    declaration_unref(d);
}

static void a_tree_without_the_file_declares_nothing(void **state)
{
    struct fixture *f = *state;
    struct findings findings = {0};
    struct declaration *d;

    assert_int_equal(declaration_load(f->repo, &f->tree, &d, &findings, NULL), 0);
    assert_true(oid_is_zero(&d->blob));
    assert_int_equal(d->sites.n, 0);
    assert_int_equal(d->checks.n, 2);
    assert_null(declaration_site(d, "hub"));
    declaration_unref(d);
}

static void later_entries_override_the_keys_that_they_give(void **state)
{
    struct declaration *d =
        fixture_declare(*state, "onward: 1\n"
                                "sites:\n"
                                "  - {discover: clusters/*, team: a, backend: x,\n"
                                "     include: [apps], labels: {k: v, l: w}}\n"
                                "  - {name: eu, team: b, suspend: true,\n"
                                "     labels: {k: z}}\n"
                                "  - {discover: dup/a/*, team: c}\n"
                                "  - {discover: dup/b/*, backend: y}\n"
                                "  - {name: eu, include: []}\n");
    const struct site *eu = declaration_site(d, "eu"), *us = declaration_site(d, "us"),
                      *x = declaration_site(d, "x");

    assert_int_equal(d->sites.n, 3);
    assert_string_equal(eu->team, "b");
    assert_string_equal(eu->backend, "x");
    assert_string_equal(eu->source, "clusters/eu");
    assert_true(eu->suspend);
    assert_int_equal(eu->include.n, 0);
    assert_int_equal(eu->labels.n, 1);
    assert_string_equal(eu->labels.v[0].value, "z");
    assert_int_equal(eu->line, 9);
    assert_string_equal(us->team, "a");
    assert_int_equal(us->labels.n, 2);
    assert_string_equal(x->source, "dup/b/x");
    assert_string_equal(x->team, "c");
    assert_string_equal(x->backend, "y");
    declaration_unref(d);
}

static void the_root_may_be_a_source_and_a_pattern_may_find_nothing(void **state)
{
    struct declaration *d =
        fixture_declare(*state, "onward: 1\n"
                                "sites:\n"
                                "  - {name: all, source: .}\n"
                                "  - {discover: clusters/none-*}\n"
                                "  - {discover: 'd?p/[b]/x', backend: \"null\"}\n");

    assert_int_equal(d->sites.n, 2);
    assert_string_equal(declaration_site(d, "all")->source, ".");
    assert_string_equal(declaration_site(d, "x")->source, "dup/b/x");
    declaration_unref(d);
}

static void assert_only_finding(struct fixture *f, const struct oid *tree, const char *expected)
{
    struct findings findings = {0};
    struct declaration *d = NULL;

    assert_int_equal(declaration_load(f->repo, tree, &d, &findings, NULL), -EINVAL);
    assert_int_equal(findings.n, 1);
    assert_string_equal(findings.v[0].message, expected);
    findings_done(&findings);
}

/* Commits a change and loads the declaration of what comes of it, which must be right. */
static struct declaration *load_after(struct fixture *f, const char *change)
{
    struct findings findings = {0};
    struct declaration *d = NULL;

    test_run(f->path, "%s && git add -A && git commit -qm change", change);
    struct oid tree = fixture_rev(f, "HEAD^{tree}");
    assert_int_equal(declaration_load(f->repo, &tree, &d, &findings, NULL), 0);
    declaration_unref(d); /* it stays among the recent ones */
    return d;
}

static void what_declares_the_same_is_read_once(void **state)
{
    struct fixture *f = *state;
    struct declaration *a, *b;

    a = load_after(f, "printf 'onward: 1\nsites:\n- {discover: clusters/*}\n"
                      "- {name: hub, include: [common.yaml]}\n' > onward.yaml");
    assert_ptr_equal(load_after(f, "echo more >> clusters/eu/file"), a);
    assert_ptr_equal(load_after(f, "echo new > clusters/eu/new; chmod +x common.yaml"), a);
    assert_ptr_equal(load_after(f, "git rm -q clusters/eu/new"), a); /* deeper than it looks */
    assert_ptr_equal(load_after(f, "echo new > clusters/plain"), a);
    /* The branch before and the branch after are both remembered. */
    b = load_after(f, "mkdir clusters/ap && echo x > clusters/ap/file");
    assert_ptr_not_equal(a, b);
    assert_non_null(declaration_site(b, "ap"));
    assert_ptr_equal(load_after(f, "git rm -qr clusters/ap"), a);
    b = load_after(f, "git rm -qr clusters/us");
    assert_null(declaration_site(b, "us"));
    b = load_after(f,
                   "git rm -q clusters/plain && mkdir clusters/plain && echo x > clusters/plain/f");
    assert_non_null(declaration_site(b, "plain"));
    b = load_after(f, "mkdir -p apps/a/b && echo x > apps/a/b/c && echo '- {name: alone, source: "
                      "apps, include: [apps/a/b/c]}' >> onward.yaml");
    assert_non_null(declaration_site(b, "alone"));
    assert_ptr_equal(load_after(f, "echo y > apps/a/b/c && echo y > apps/a/b/d"), b);
    test_run(f->path, "git rm -q apps/a/b/c && git commit -qm gone");
    struct oid tree = fixture_rev(f, "HEAD^{tree}");
    assert_only_finding(f, &tree, "include: \"apps/a/b/c\" does not exist in this revision");
    test_run(f->path, "git revert --no-edit HEAD");
    test_run(f->path, "git rm -q common.yaml && git commit -qm gone");
    tree = fixture_rev(f, "HEAD^{tree}");
    assert_only_finding(f, &tree, "include: \"common.yaml\" does not exist in this revision");
}

static void what_is_no_file_or_too_large_is_said(void **state)
{
    struct fixture *f = *state;

    test_run(f->path, "ln -sf apps/file onward.yaml && git add -A && git commit -qm link");
    struct oid tree = fixture_rev(f, "HEAD^{tree}");
    assert_only_finding(f, &tree, "expected a file, found something else");
    char *big = malloc(DECLARATION_SIZE + 2);
    memset(big, '#', DECLARATION_SIZE + 1);
    big[DECLARATION_SIZE + 1] = 0;
    tree = fixture_tree(f, big);
    assert_only_finding(f, &tree, "the file has 4194305 bytes, expected at most 4194304");
    free(big);
}

static void a_chain_of_many_sites_is_no_circle(void **state)
{
    enum { SITES = 20000 };
    struct buf text = {0};

    buf_adds(&text, "onward: 1\nsites:\n");
    for (int i = 0; i < SITES; i++)
        buf_addf(&text, "- {name: s%d, source: apps, depends_on: [%s%d]}\n", i,
                 i + 1 < SITES ? "s" : "t", i + 1 < SITES ? i + 1 : 0);
    buf_adds(&text, "- {name: t0, source: apps}\n");
    struct declaration *d = fixture_declare(*state, text.data);
    assert_int_equal(d->sites.n, SITES + 1);
    declaration_unref(d);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_found_where_it_stands),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(defaults_are_there),
        cmocka_unit_test(a_tree_without_the_file_declares_nothing),
        cmocka_unit_test(later_entries_override_the_keys_that_they_give),
        cmocka_unit_test(the_root_may_be_a_source_and_a_pattern_may_find_nothing),
        cmocka_unit_test(what_declares_the_same_is_read_once),
        cmocka_unit_test(what_is_no_file_or_too_large_is_said),
        cmocka_unit_test(a_chain_of_many_sites_is_no_circle),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
