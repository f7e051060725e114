/* The index against the walk: over random histories, at every revision whose declaration is right,
 * both must give the same desired revision for every site. ROUNDS in the environment sets how many
 * histories; SEED where they begin. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "repo/history.h"

enum { COMMITS = 48, ROUNDS = 40 };

/* ---- random trees ----
 * Few names in several directories, so that patterns find the same site in more than one place. */

enum kind { ABSENT, FILE_THERE, DIRECTORY, SYMLINK };

static const char *const places[] = {
    "a/x", "a/y", "a/.h", "b/x", "b/z", "r/1/x", "r/2/x", "r/2/y", "sites/x", "apps", "common",
};
enum { PLACES = ARRAY_SIZE(places) };

struct tree_plan {
    enum kind kind[PLACES];
    unsigned content[PLACES];
    char *onward, *before; /* what it says, and said before; NULL: there is none */
    bool onward_is_link;
};

static unsigned seed;

static unsigned pick(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % n;
}

static const char *const entries[] = {
    "{discover: a/*}",
    "{discover: a/*}",
    "{discover: b/*, include: [apps]}",
    "{discover: 'r/*/*', team: r}",
    "{discover: 'r/2/*', labels: {k: v}}",
    "{discover: '?/x'}",
    "{discover: a/x}",
    "{discover: '[ab]/[xyz]', backend: files}",
    "{discover: a/.*}",
    "{name: x, team: t}",
    "{name: x, source: a/x}",
    "{name: x, source: b/x, labels: {k: v}}",
    "{name: x, include: [common, apps]}",
    "{name: x, include: [apps, common]}",
    "{name: y, source: a/y, include: [common]}",
    "{name: y, source: r/2/y}",
    "{name: all, source: .}",
    "{name: hub, source: sites, include: [a]}",
    "{name: hub, source: sites, suspend: true}",
};
static const char *const others[] = {
    "onward: 2\n", "onward: 1\nsites:\n- {name: x, colour: red}\n", "onward: 1\n", "", NULL,
};

static void pick_onward(struct tree_plan *t)
{
    struct buf text = {0};
    char *last = t->onward;

    t->onward = t->before;
    t->before = last;
    t->onward_is_link = pick(20) == 0;
    if (pick(3) == 0) /* that was a revert */
        return;
    free(t->onward);
    if (pick(6) == 0) {
        const char *other = others[pick(ARRAY_SIZE(others))];
        t->onward = other ? xstrdup(other) : NULL;
        return;
    }
    buf_adds(&text, "onward: 1\nsites:\n");
    for (unsigned n = 1 + pick(3); n; n--)
        buf_addf(&text, "- %s\n", entries[pick(ARRAY_SIZE(entries))]);
    if (pick(4) == 0)
        buf_addf(&text, "# %u\n", pick(3));
    t->onward = buf_take(&text);
}

static void change(struct tree_plan *t)
{
    unsigned i = pick(PLACES), j = pick(PLACES), what = pick(16);

    if (what < 5) {
        t->content[i] = pick(4);
    } else if (what < 9) {
        t->kind[i] = t->kind[i] == DIRECTORY ? ABSENT : DIRECTORY;
    } else if (what < 10) {
        t->kind[i] = pick(4);
    } else if (what < 12) { /* a rename */
        t->kind[j] = t->kind[i];
        t->content[j] = t->content[i];
        t->kind[i] = ABSENT;
    } else if (what < 14) {
        pick_onward(t);
    } else if (what < 15) { /* what is more often right */
        t->kind[PLACES - 1] = t->kind[PLACES - 2] = DIRECTORY;
        for (i = 0; i < PLACES; i += 3)
            t->kind[i] = DIRECTORY;
    } /* else nothing */
}

static void add_blob(struct buf *out, const char *mode, const char *path, const char *text)
{
    buf_addf(out, "M %s inline %s\ndata %zu\n%s\n", mode, path, strlen(text), text);
}

/* A commit of `git fast-import`. */
static void add_commit(struct buf *out, unsigned round, unsigned n, const struct tree_plan *t)
{
    unsigned mark = round * COMMITS + n + 1;

    buf_addf(out, "commit refs/heads/h%u\nmark :%u\ncommitter T <t@example.org> %u +0000\n", round,
             mark, 1767225600 + n);
    buf_addf(out, "data 1\nm\n");
    if (n)
        buf_addf(out, "from :%u\n", mark - 1);
    if (n > 5 && pick(8) == 0)
        buf_addf(out, "merge :%u\n", mark - 2 - pick(3));
    buf_adds(out, "deleteall\n");
    for (unsigned i = 0; i < PLACES; i++) {
        _cleanup_free_ char *below = xasprintf("%s/f", places[i]);
        const char text[] = {(char)('0' + t->content[i]), 0};
        if (t->kind[i] == DIRECTORY)
            add_blob(out, "100644", below, text);
        else if (t->kind[i])
            add_blob(out, t->kind[i] == SYMLINK ? "120000" : "100644", places[i], text);
    }
    if (t->onward)
        add_blob(out, t->onward_is_link ? "120000" : "100644", DECLARATION_FILE, t->onward);
}

static void add_history(struct buf *out, unsigned round)
{
    struct tree_plan t = {0};

    for (unsigned i = 0; i < PLACES; i++)
        t.kind[i] = pick(3) == 0 ? DIRECTORY : ABSENT;
    for (unsigned n = 0; n < COMMITS; n++) {
        for (unsigned changes = 1 + pick(2); n && changes; changes--)
            change(&t);
        add_commit(out, round, n, &t);
    }
    free(t.onward);
    free(t.before);
}

/* ---- both ways ---- */

struct comparison {
    struct fixture *f;
    struct history_index *ix;
    struct oid head;
    unsigned asked, moved; /* sites; those that are not desired at head */
};

static void compare_sites(struct comparison *c, const struct declaration *d)
{
    const struct site *sites[64];
    struct oid walked[64] = {0}, found[64] = {0};
    char a[OID_HEX + 1], b[OID_HEX + 1], head[OID_HEX + 1];

    assert_in_range(d->sites.n, 0, 64);
    for (size_t i = 0; i < d->sites.n; i++)
        sites[i] = &d->sites.v[i];
    assert_int_equal(site_desired(c->f->repo, &c->head, sites, d->sites.n, NULL, NULL, walked), 0);
    assert_int_equal(
        site_desired_indexed(c->f->repo, c->ix, &c->head, sites, d->sites.n, NULL, found), 0);
    for (size_t i = 0; i < d->sites.n; i++) {
        c->asked++;
        c->moved += !oid_equal(&walked[i], &c->head);
        if (!oid_equal(&walked[i], &found[i]))
            fail_msg("site %s at %s: the walk says %s, the index %s", sites[i]->name,
                     oid_hex(&c->head, head), oid_hex(&walked[i], a), oid_hex(&found[i], b));
    }
}

static int compare_at(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    struct comparison *c = arg;
    _cleanup_(findings_done) struct findings findings = {0};
    struct declaration *d = NULL;

    c->head = *rev;
    if (declaration_load(c->f->repo, tree, &d, &findings, NULL) == 0)
        compare_sites(c, d);
    declaration_unref(d);
    return 0;
}

static struct history_index *index_of(struct fixture *f, const char *name, const struct oid *head)
{
    _cleanup_free_ char *dir = xasprintf("%s/index-%s", f->dir, name);
    struct history_index *ix;
    struct diag why = {0};

    if (history_index_open(f->repo, dir, &ix, &why) < 0)
        fail_msg("%s", diag_text(&why, 0));
    history_index_follow(ix, head);
    assert_int_equal(history_index_wait(ix, 30 * NS_PER_SEC), 0);
    return ix;
}

static unsigned setting(const char *name, unsigned fallback)
{
    const char *s = getenv(name);

    return s ? (unsigned)strtoul(s, NULL, 10) : fallback;
}

static void the_index_finds_what_the_walk_finds(void **state)
{
    struct comparison c = {.f = *state};
    struct buf stream = {0};
    unsigned rounds = setting("ROUNDS", ROUNDS);

    seed = setting("SEED", 1);
    for (unsigned i = 0; i < rounds; i++)
        add_history(&stream, i);
    test_write_bytes(c.f->dir, "stream", stream.data, stream.len);
    buf_done(&stream);
    test_run(c.f->path, "git fast-import --quiet --force < ../stream");
    for (unsigned i = 0; i < rounds; i++) {
        _cleanup_free_ char *branch = xasprintf("h%u", i);
        struct oid tip = fixture_rev(c.f, branch);
        c.ix = index_of(c.f, branch, &tip);
        assert_int_equal(history_first_parents(c.f->repo, &tip, compare_at, &c), 0);
        history_index_free(c.ix);
    }
    print_message("# %u answers compared, %u of them behind head\n", c.asked, c.moved);
    assert_true(c.asked > rounds * COMMITS / 8 && c.moved > c.asked / 4);
}

/* ---- what it does not know ---- */

static void a_head_that_it_does_not_hold_is_said_to_be_so(void **state)
{
    struct fixture *f = *state;
    static const char onward[] = "onward: 1\nsites: [{name: hub}]\n";
    struct declaration *d = fixture_declare(f, onward);
    const struct site *sites[] = {declaration_site(d, "hub")};
    static const struct oid none = {{0xee}};
    struct oid first = fixture_rev(f, "main"), found = none;
    struct history_index *ix = index_of(f, "small", &first);
    bool cancel = true;

    test_run(f->path, "git commit -q --allow-empty -m more");
    struct oid second = fixture_rev(f, "main");
    assert_int_equal(site_desired_indexed(f->repo, ix, &second, sites, 1, NULL, &found), -EAGAIN);
    assert_int_equal(site_desired_indexed(f->repo, ix, &first, sites, 1, &cancel, &found),
                     -ECANCELED);
    assert_memory_equal(&found, &none, sizeof(none));
    history_index_follow(ix, &second);
    assert_int_equal(history_index_wait(ix, 30 * NS_PER_SEC), 0);
    assert_int_equal(site_desired_indexed(f->repo, ix, &second, sites, 1, NULL, &found), 0);
    assert_true(oid_equal(&found, &first));
    assert_int_equal(site_desired_indexed(f->repo, ix, &second, sites, 0, NULL, &found), 0);
    history_index_free(ix);
    declaration_unref(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_that_it_does_not_hold_is_said_to_be_so),
        cmocka_unit_test(the_index_finds_what_the_walk_finds),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
