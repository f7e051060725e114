#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "site/discover.h"

static int add(const char *path, const char *name, void *arg)
{
    buf_addf(arg, "%s(%s) ", path, name);
    return 0;
}

static int stop(const char *path, const char *name, void *arg)
{
    ++*(int *)arg;
    return -EINTR;
}

static void patterns_match_directories(void **state)
{
    static const struct {
        const char *pattern, *found;
    } table[] = {
        {"clusters/*", "clusters/eu(eu) clusters/us(us) "},
        {"clusters/.*", "clusters/.hidden(.hidden) "},
        {"dup/*/x", "dup/a/x(x) dup/b/x(x) "},
        {"*/000[12]", "stores/0001(0001) stores/0002(0002) "},
        {"stores/?", ""},
        {"st*es/0001", "stores/0001(0001) "},
        {"none/*", ""},
        {"apps/file", ""},
        {"apps/file/*", ""},
        {"link/*", ""},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct buf found = {0};
        assert_int_equal(discover_each(f->repo, &f->tree, table[i].pattern, add, &found), 0);
        assert_string_equal(buf_str(&found), table[i].found);
        buf_done(&found);
    }
    int calls = 0;
    assert_int_equal(discover_each(f->repo, &f->tree, "clusters/*", stop, &calls), -EINTR);
    assert_int_equal(calls, 1);
}

static void only_other_directories_differ(void **state)
{
    struct fixture *f = *state;

    test_run(f->path, "echo changed > clusters/eu/file && git mv common.yaml clusters/file && "
                      "mkdir dup/c && mv dup/a/x dup/c && git add -A && git commit -qm change");
    struct oid tree = fixture_rev(f, "HEAD^{tree}");
    assert_int_equal(discover_differs(f->repo, &f->tree, &tree, "clusters/*"), 0);
    assert_int_equal(discover_differs(f->repo, &f->tree, &tree, "dup/*/x"), 1);
    assert_int_equal(discover_differs(f->repo, &tree, &f->tree, "dup/*/x"), 1);
    assert_int_equal(discover_differs(f->repo, &tree, &f->tree, "dup/b/*"), 0);
    assert_int_equal(discover_differs(f->repo, &f->tree, &f->tree, "dup/*/x"), 0);
}

static int add_past(path_id path, const char *name, void *arg)
{
    buf_addf(arg, "%s ", name);
    return strcmp(name, "x2") ? 0 : -EINTR;
}

static void what_ever_was_there_is_found(void **state)
{
    static const struct {
        const char *pattern, *found;
        int r;
    } table[] = {
        {"past/?", "a b c ", 0}, {"past/b", "b ", 0},  {"past/*/x*", "x x2 ", -EINTR},
        {"past/d", "", 0},       {"nowhere/*", "", 0}, {"past/.*", ".h ", 0},
        {"pa?t/c", "c ", 0},
    };
    struct fixture *f = *state;
    _cleanup_free_ char *dir = xasprintf("%s/index", f->dir);
    struct history_index *ix;

    test_run(f->path, "mkdir -p past/a past/b past/.h && touch past/a/x past/b/x1 past/.h/y && "
                      "git add past && git commit -qm more && git mv past/b/x1 past/a/x2 && "
                      "touch past/c && git add past && git commit -qm 'a file, and b is gone'");
    struct oid head = fixture_rev(f, "HEAD");
    assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
    history_index_follow(ix, &head);
    assert_int_equal(history_index_wait(ix, 30 * NS_PER_SEC), 0);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_(buf_done) struct buf found = {0};
        int r = discover_ever(ix, table[i].pattern, add_past, &found);
        assert_string_equal(buf_str(&found), table[i].found);
        assert_int_equal(r, table[i].r);
    }
    history_index_free(ix);
}

static void a_prefix_ends_before_the_first_pattern(void **state)
{
    static const char *const table[][2] = {
        {"a/b/*", "a/b"}, {"*", ""}, {"a/b", "a/b"}, {"a/b?/c", "a"}, {"[a]/b", ""},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        char *prefix = discover_prefix(table[i][0]);
        assert_string_equal(prefix, table[i][1]);
        free(prefix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_directories),
        cmocka_unit_test(only_other_directories_differ),
        cmocka_unit_test(what_ever_was_there_is_found),
        cmocka_unit_test(a_prefix_ends_before_the_first_pattern),
    };

    return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
