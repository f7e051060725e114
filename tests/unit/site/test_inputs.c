#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repo/history.h"

/* ---- the digest ---- */

static struct oid inputs_of(struct fixture *f, const char *onward, const char *site)
{
    struct declaration *d = fixture_declare(f, onward);
    struct oid tree = fixture_tree(f, onward), inputs;

    assert_int_equal(site_inputs(f->repo, &tree, declaration_site(d, site), &inputs), 0);
    declaration_unref(d);
    return inputs;
}

#define HUB                                                                                        \
    "onward: 1\nsites:\n- {name: hub, include: [apps, common.yaml], backend: files, labels: {k: "  \
    "v}"

static void what_reaches_a_backend_is_in_the_digest(void **state)
{
    static const char *const same[] = {
        HUB "}\n# a comment\n",
        HUB
        ", suspend: true, pin: v1, self_heal: true, depends_on: [eu]}\n- {discover: clusters/*}\n",
        "onward: 1\nsites:\n- {name: hub}\n- {name: hub, include: [common.yaml, apps], team: "
        "default, "
        "source: sites/hub, backend: files, labels: {k: v}}\n",
    };
    static const char *const other[] = {
        HUB ", team: retail}\n",
        HUB ", source: stores/0001}\n",
        HUB "}\n- {name: hub, include: [apps]}\n",
        HUB "}\n- {name: hub, include: [apps, common.yaml, infrastructure]}\n",
        HUB "}\n- {name: hub, backend: cluster}\n",
        HUB "}\n- {name: hub, labels: {k: w}}\n",
        HUB "}\n- {name: hub, labels: {}}\n",
    };
    struct oid before = inputs_of(*state, HUB "}\n", "hub");

    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        struct oid now = inputs_of(*state, same[i], "hub");
        if (!oid_equal(&before, &now))
            fail_msg("same[%zu] is another version", i);
    }
    for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
        struct oid now = inputs_of(*state, other[i], "hub");
        if (oid_equal(&before, &now))
            fail_msg("other[%zu] is the same version", i);
    }
}

static void content_kind_and_absence_are_in_the_digest(void **state)
{
    struct fixture *f = *state;
    struct declaration *d = fixture_declare(f, HUB "}\n");
    const struct site *hub = declaration_site(d, "hub");
    static const char *const changes[] = {
        "echo x >> apps/file",
        "chmod +x common.yaml",
        "git rm -qr apps",
        "git mv common.yaml sites/hub/",
    };
    struct oid seen[1 + ARRAY_SIZE(changes)];

    assert_int_equal(site_inputs(f->repo, &f->tree, hub, &seen[0]), 0);
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        test_run(f->path, "%s && git add -A && git commit -qm change", changes[i]);
        struct oid tree = fixture_rev(f, "HEAD^{tree}");
        assert_int_equal(site_inputs(f->repo, &tree, hub, &seen[i + 1]), 0);
        for (size_t j = 0; j <= i; j++)
            assert_false(oid_equal(&seen[j], &seen[i + 1]));
    }
    /* A change beside the inputs is none to the site. */
    test_run(f->path, "echo x > clusters/eu/file && git add -A && git commit -qm beside");
    struct oid tree = fixture_rev(f, "HEAD^{tree}"), now;
    assert_int_equal(site_inputs(f->repo, &tree, hub, &now), 0);
    assert_true(oid_equal(&now, &seen[ARRAY_SIZE(changes)]));
    declaration_unref(d);
}

/* ---- the walk, against asking every revision ---- */

enum { COMMITS = 60, FILES = 9, ROUNDS = 25 };

static const char *const files[FILES] = {"a/x/f",  "a/y/f",       "b/x/f",       "b/z/f",  "apps/f",
                                         "apps/g", "sites/hub/f", "common.yaml", "other/f"};
enum { SOMETIMES = 2 }; /* comes and goes: with it, the site x has another source */
/* The first ones are right; then come wrong ones, and none at all. */
enum { RIGHT = 5 };
static const char *const declarations[] = {
    "onward: 1\nsites:\n- {discover: a/*}\n- {discover: b/*, include: [apps]}\n",
    "onward: 1\nsites:\n- {discover: a/*}\n- {discover: b/*, include: [apps]}\n# the same\n",
    "onward: 1\nsites:\n- {discover: a/*}\n- {discover: b/*, team: t, include: [common.yaml]}\n",
    "onward: 1\nsites:\n- {discover: a/*}\n- {name: x, source: a/x, labels: {k: v}}\n- {name: all, "
    "source: .}\n",
    "onward: 1\nsites:\n- {name: hub, include: [apps/f, b]}\n- {discover: 'a/?'}\n",
    "onward: 1\nsites:\n- {name: hub, colour: red}\n",
    "onward: 2\n",
    NULL,
};

static unsigned seed;

static unsigned pick(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % n;
}

/* A commit of `git fast-import`. The last one has a declaration that is right. */
static void add_commit(struct buf *out, int n, const int content[FILES], const char *onward)
{
    buf_addf(out,
             "commit refs/heads/main\nmark :%d\ncommitter T <t@example.org> %d +0000\ndata 1\nm\n",
             n, 1767225600 + n);
    if (n > 1)
        buf_addf(out, "from :%d\n", n - 1);
    if (n > 5 && pick(6) == 0)
        buf_addf(out, "merge :%d\n", n - 2 - (int)pick(3));
    buf_adds(out, "deleteall\n");
    for (int i = 0; i < FILES; i++)
        if (content[i])
            buf_addf(out, "M 100644 inline %s\ndata 1\n%d\n", files[i], content[i] % 10);
    if (onward)
        buf_addf(out, "M 100644 inline onward.yaml\ndata %zu\n%s\n", strlen(onward), onward);
}

static void make_history(struct fixture *f)
{
    int content[FILES] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    unsigned onward = 0;
    struct buf stream = {0};

    for (int n = 1; n <= COMMITS; n++) {
        unsigned what = pick(8);
        if (what < 3)
            content[pick(FILES)] = pick(4);
        else if (what < 5)
            content[SOMETIMES] = !content[SOMETIMES];
        else if (what == 5)
            onward = pick(ARRAY_SIZE(declarations));
        if (n == COMMITS) {
            onward = onward < RIGHT ? onward : 0;
            for (int i = 0; i < FILES; i++)
                content[i] = content[i] || i == SOMETIMES ? content[i] : 1;
        }
        add_commit(&stream, n, content, declarations[onward]);
    }
    test_write_bytes(f->dir, "stream", stream.data, stream.len);
    test_run(f->path, "git fast-import --quiet --force < ../stream");
    buf_done(&stream);
}

struct line {
    struct oid rev[COMMITS], tree[COMMITS]; /* newest first */
    int n;
};

static int collect(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    struct line *line = arg;

    line->rev[line->n] = *rev;
    line->tree[line->n++] = *tree;
    return 0;
}

/* The site's inputs at one revision; false if it is not declared there. */
static bool inputs_at(struct fixture *f, const struct oid *tree, const struct site *now,
                      struct oid *ret)
{
    struct findings findings = {0};
    struct declaration *d = NULL;
    int r = declaration_load(f->repo, tree, &d, &findings, NULL);
    const struct site *then = r == -EINVAL ? now : declaration_site(d, now->name);

    if (then)
        assert_int_equal(site_inputs(f->repo, tree, then, ret), 0);
    declaration_unref(d);
    findings_done(&findings);
    return then;
}

/* How many steps behind head the revision is that changed the site last. */
static int distance_of(struct fixture *f, const struct line *line, const struct site *site)
{
    struct oid head, inputs;
    int k = 0;

    assert_true(inputs_at(f, &line->tree[0], site, &head));
    while (k + 1 < line->n && inputs_at(f, &line->tree[k + 1], site, &inputs) &&
           oid_equal(&head, &inputs))
        k++;
    return k;
}

static void check_walk(struct fixture *f, const struct line *line, const struct declaration *d,
                       const int *distance, int stop)
{
    const struct site *sites[16];
    static const struct oid none = {{0xee}}, zero;
    struct oid found[16];

    for (size_t i = 0; i < d->sites.n; i++) {
        sites[i] = &d->sites.v[i];
        found[i] = none;
    }
    assert_int_equal(site_desired(f->repo, &line->rev[0], sites, d->sites.n,
                                  stop < line->n ? &line->rev[stop] : &zero, NULL, found),
                     0);
    for (size_t i = 0; i < d->sites.n; i++) {
        const struct oid *expected = distance[i] < stop ? &line->rev[distance[i]] : &none;
        if (!oid_equal(&found[i], expected))
            fail_msg("site %s, stop %d: expected %d steps back", sites[i]->name, stop, distance[i]);
    }
}

static void check_history(struct fixture *f)
{
    struct line line = {0};
    struct findings findings = {0};
    struct declaration *d;
    struct oid head = fixture_rev(f, "main");
    int distance[16];

    assert_int_equal(history_first_parents(f->repo, &head, collect, &line), 0);
    assert_int_equal(line.n, COMMITS);
    assert_int_equal(declaration_load(f->repo, &line.tree[0], &d, &findings, NULL), 0);
    assert_in_range(d->sites.n, 1, 16);
    for (size_t i = 0; i < d->sites.n; i++)
        distance[i] = distance_of(f, &line, &d->sites.v[i]);
    for (int stop = 0; stop <= line.n; stop++)
        check_walk(f, &line, d, distance, stop);
    declaration_unref(d);
}

static void the_walk_finds_what_asking_every_revision_finds(void **state)
{
    struct fixture *f = *state;

    for (seed = 1; seed <= ROUNDS; seed++) {
        unsigned keep = seed;
        make_history(f);
        check_history(f);
        seed = keep;
    }
}

static void a_walk_can_be_called_off(void **state)
{
    struct fixture *f = *state;
    struct declaration *d = fixture_declare(f, HUB "}\n");
    const struct site *sites[] = {declaration_site(d, "hub")};
    struct oid head = fixture_rev(f, "main"), found = {{0}};
    bool cancel = true;

    assert_int_equal(site_desired(f->repo, &head, sites, 1, NULL, &cancel, &found), -ECANCELED);
    assert_int_equal(site_desired(f->repo, &head, sites, 0, NULL, &cancel, &found), 0);
    assert_true(oid_is_zero(&found));
    declaration_unref(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_reaches_a_backend_is_in_the_digest),
        cmocka_unit_test(content_kind_and_absence_are_in_the_digest),
        cmocka_unit_test(the_walk_finds_what_asking_every_revision_finds),
        cmocka_unit_test(a_walk_can_be_called_off),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
