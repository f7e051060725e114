#include "fixture.h"
#include "written.h"

#include <stdlib.h>

#include "repo/tree_edit.h"

static struct oid write_blob(struct fixture *f, const char *text)
{
    struct oid oid;

    assert_int_equal(blob_write(f->repo, text, strlen(text), &oid, NULL), 0);
    return oid;
}

/* Applies "path=content" pairs (NULL-terminated) to `root`. */
static struct oid edit(struct fixture *f, const struct oid *root, const char *const *pairs)
{
    _cleanup_(tree_edits_done) struct tree_edits edits = {0};
    struct oid out;

    for (; *pairs; pairs++) {
        size_t len = strcspn(*pairs, "=");
        struct oid blob = write_blob(f, *pairs + len + 1);
        tree_edits_add(&edits, xstrndup(*pairs, len), ENTRY_FILE, &blob);
    }
    assert_int_equal(tree_edits_apply(f->repo, root, &edits, &out, NULL), 0);
    return out;
}

/* Every path and its content, as git sees them. */
static char *listing(struct fixture *f, const struct oid *tree)
{
    char hex[OID_HEX + 1];

    oid_hex(tree, hex);
    return test_output(f->path,
                       "git ls-tree -r %s | while read m t o p; do "
                       "echo \"$p=$(git cat-file blob $o)\"; done",
                       hex);
}

static void test_edits_make_and_change_directories(void **state)
{
    static const struct oid nothing;
    struct fixture *f = *state;
    struct oid first = edit(f, &nothing,
                            (const char *[]){"sites/5f/b.json=1", "sites/0a/a.json=2",
                                             "logs/5f/b=3", "sites/5f/a.json=4", NULL});
    _cleanup_free_ char *before = listing(f, &first);
    assert_string_equal(before, "logs/5f/b=3\nsites/0a/a.json=2\nsites/5f/a.json=4\n"
                                "sites/5f/b.json=1");
    struct oid second =
        edit(f, &first,
             (const char *[]){"sites/5f/b.json=new", "sites/5f/c=6", "z=7", "sites/5e/x-y=8",
                              "sites/5e/x/y=9", "sites/5e/xz/q=0", NULL});
    _cleanup_free_ char *after = listing(f, &second);
    assert_string_equal(after, "logs/5f/b=3\nsites/0a/a.json=2\nsites/5e/x-y=8\nsites/5e/x/y=9\n"
                               "sites/5e/xz/q=0\n"
                               "sites/5f/a.json=4\nsites/5f/b.json=new\nsites/5f/c=6\nz=7");
    test_run(f->path, "git fsck --strict --no-dangling");
}

static void test_a_file_gives_way_to_a_directory(void **state)
{
    static const struct oid nothing;
    struct fixture *f = *state;
    struct oid first = edit(f, &nothing, (const char *[]){"a=1", NULL});
    struct oid second = edit(f, &first, (const char *[]){"a/b=2", NULL});
    _cleanup_free_ char *after = listing(f, &second);

    assert_string_equal(after, "a/b=2");
}

static void test_a_directory_is_replaced_as_a_whole(void **state)
{
    static const struct oid nothing;
    struct fixture *f = *state;
    struct oid dir = edit(f, &nothing, (const char *[]){"new=1", NULL}), out;
    struct oid root = edit(f, &nothing, (const char *[]){"a/b/old=1", "a/c=2", "d=3", NULL});
    _cleanup_(tree_edits_done) struct tree_edits edits = {0};

    tree_edits_add(&edits, xstrdup("a/b"), ENTRY_DIR, &dir);
    assert_int_equal(tree_edits_apply(f->repo, &root, &edits, &out, NULL), 0);
    _cleanup_free_ char *after = listing(f, &out);
    assert_string_equal(after, "a/b/new=1\na/c=2\nd=3");
}

static void test_the_same_edits_give_the_same_tree(void **state)
{
    static const struct oid nothing;
    struct fixture *f = *state;
    struct oid a = edit(f, &nothing, (const char *[]){"a/x=1", "b/y=2", NULL});
    struct oid b = edit(f, &nothing, (const char *[]){"b/y=2", "a/x=1", NULL});

    assert_memory_equal(&a, &b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_edits_make_and_change_directories),
        TEST(test_a_file_gives_way_to_a_directory),
        TEST(test_a_directory_is_replaced_as_a_whole),
        TEST(test_the_same_edits_give_the_same_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
