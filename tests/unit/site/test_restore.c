/* Trees in which sites take again what they took: against git, and against asking every site. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "site/restore.h"

#define SITES                                                                                      \
    "onward: 1\nsites:\n- {discover: clusters/*, include: [apps]}\n- {discover: stores/*}\n"       \
    "- {name: hub, include: [common.yaml]}\n"

/* A revision with the shell's changes to the work tree, and this onward.yaml unless NULL. */
static struct oid revise(struct fixture *f, const char *onward, const char *changes)
{
    if (onward)
        test_write_file(f->path, DECLARATION_FILE, onward);
    test_run(f->path, "%s", changes);
    test_run(f->path, "git add -A && git commit -qm change --allow-empty");
    return fixture_rev(f, "HEAD");
}

/* What comes of it as text: the tree's id, or "-ERRNO reason". */
static char *restore(struct fixture *f, const struct oid *to, const char *const *sites, size_t n)
{
    _cleanup_(batch_freep) struct batch *batch = batch_new(f->repo);
    struct restore what = {.repo = f->repo,
                           .batch = batch,
                           .head = fixture_rev(f, "HEAD"),
                           .to = *to,
                           .sites = sites,
                           .n = n};
    _cleanup_(diag_done) struct diag why = {0};
    char hex[OID_HEX + 1];
    struct oid tree;
    int r = restore_tree(&what, &tree, &why);

    return r == 0 ? xstrdup(oid_hex(&tree, hex))
                  : xasprintf("-%s %s", strerrorname_np(-r), diag_text(&why, r));
}

#define RESTORE(f, to, ...)                                                                        \
    restore(f, to, (const char *const[]){__VA_ARGS__},                                             \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* The tree is head's but for these paths, which are as in `to`. */
static void assert_restored(struct fixture *f, char *tree, const struct oid *to, const char *paths)
{
    char hex[OID_HEX + 1];

    if (*tree == '-')
        fail_msg("%s", tree);
    test_run(f->path,
             "git read-tree HEAD && git rm -rqf --cached --ignore-unmatch -- %s &&"
             "{ git ls-tree -r %s -- %s | git update-index --index-info; } &&"
             "test $(git write-tree) = %s && git reset -q",
             paths, oid_hex(to, hex), paths, tree);
    free(tree);
}

static void assert_refused(char *said, const char *err, const char *part)
{
    if (strncmp(said, err, strlen(err)) != 0 || !strstr(said, part))
        fail_msg("\"%s\" is not %s with \"%s\"", said, err, part);
    free(said);
}

static void test_what_sites_took_comes_back(void **state)
{
    struct fixture *f = *state;
    struct oid old = revise(f, SITES, "echo 1 >stores/0001/gone; ln -s file stores/0001/link");

    revise(f, SITES "# more\n",
           "echo 2 >stores/0001/file; chmod +x stores/0001/file; rm stores/0001/gone; echo 3 "
           ">stores/0001/added; echo 2 >common.yaml; rm -r sites/hub/*; echo new >sites/hub/new; "
           "echo 9 "
           ">stores/0002/file");
    assert_restored(f, RESTORE(f, &old, "0001"), &old, "stores/0001");
    assert_restored(f, RESTORE(f, &old, "hub", "0001"), &old, "sites/hub common.yaml stores/0001");
}

static void test_paths_may_lie_in_each_other(void **state)
{
    static const char onward[] = "onward: 1\nsites:\n- {name: s, source: stores/0001, include: "
                                 "[stores-x, stores, apps]}\n";
    struct fixture *f = *state;
    struct oid old = revise(f, onward,
                            "mkdir -p stores-x stores/0001/a; echo 1 >stores-x/f; echo "
                            "1 >stores/0001/a/b");

    revise(f, NULL, "echo 2 >stores/0002/file; echo 2 >stores/0001/a/b; echo 2 >stores-x/f");
    assert_restored(f, RESTORE(f, &old, "s"), &old, "stores stores-x apps");
}

static void test_others_are_never_touched(void **state)
{
    struct fixture *f = *state;
    struct oid old = revise(f, SITES "- {name: us, pin: v1}\n", "true");

    revise(f, SITES "- {name: us, pin: v1}\n- {name: all, source: stores}\n",
           "echo 2 >apps/file; echo 2 >stores/0001/file; mkdir clusters/xx; echo >clusters/xx/f");
    assert_refused(RESTORE(f, &old, "eu"), "-EBUSY", "xx would change as well, for taking apps");
    assert_refused(RESTORE(f, &old, "0001"), "-EBUSY",
                   "all would change as well, for taking stores/0001");
    assert_refused(RESTORE(f, &old, "us"), "-EINVAL", "pinned to v1");
    revise(f, SITES "- {name: us, pin: v1}\n", "rm -r clusters/xx");
    assert_restored(f, RESTORE(f, &old, "eu"), &old, "clusters/eu apps"); /* us is pinned */
}

static void test_the_declaration_must_be_the_same(void **state)
{
    struct fixture *f = *state;
    struct oid wrong = revise(f, "onward: 1\nsites: 5\n", "true");
    struct oid old = revise(f, SITES, "true");
    static const char *const parts[][2] = {
        {"source: stores", "(source)"},
        {"include: [apps]", "(include)"},
        {"team: t", "(team)"},
        {"backend: b, labels: {a: b}", "(backend, labels)"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        _cleanup_free_ char *onward = xasprintf(SITES "- {name: hub, %s}\n", parts[i][0]);
        revise(f, onward, "true");
        assert_refused(RESTORE(f, &old, "hub"), "-EINVAL", parts[i][1]);
    }
    revise(f, SITES "- {name: hub, suspend: true}\n- {name: new, source: apps}\n", "true");
    assert_refused(RESTORE(f, &old, "hub"), "-ENODATA", "what hub takes is as in revision");
    assert_refused(RESTORE(f, &old, "hub", "eu"), "-ENODATA", "each of these sites");
    assert_refused(RESTORE(f, &old, "new"), "-ENOENT", "does not declare site new");
    assert_refused(RESTORE(f, &old, "none"), "-ENOENT", "no site none");
    assert_refused(RESTORE(f, &wrong, "hub"), "-EINVAL", "onward.yaml:2:");
    revise(f, "onward: 2\n", "true");
    assert_refused(RESTORE(f, &old, "hub"), "-EINVAL", "head has a declaration that is wrong");
}

static void test_a_site_that_takes_everything(void **state)
{
    static const char onward[] = "onward: 1\nsites:\n- {name: all, source: .}\n";
    struct fixture *f = *state;
    struct oid old = revise(f, onward, "true");

    revise(f, NULL, "echo 2 >apps/file; rm common.yaml");
    assert_restored(f, RESTORE(f, &old, "all"), &old, ".");
    revise(f, "onward: 1\nsites:\n- {name: all, source: .}\n- {discover: stores/*}\n", "true");
    assert_refused(RESTORE(f, &old, "all"), "-EBUSY", "0001, 0002 would change as well");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_sites_took_comes_back),   TEST(test_paths_may_lie_in_each_other),
        TEST(test_others_are_never_touched),     TEST(test_the_declaration_must_be_the_same),
        TEST(test_a_site_that_takes_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
