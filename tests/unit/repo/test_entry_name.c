#include "testlib.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/entry_name.h"

/* Whether names are right is git-fsck's word, for a tree that holds nothing else. */

static const char *const names[] = {
    ".git",
    ".GiT",
    ".git ",
    ".git.",
    ".git . .",
    ".git:x",
    ".git::$INDEX_ALLOCATION",
    ".git\\x",
    "git~1",
    "GIT~1. ",
    "git~1:x",
    ".g\u200cit",
    "\ufeff.git",
    ".git\u206f",
    ".Gi\u202eT\u202a",
    ".git\xff",
    "a\\.git",
    "a\\b\\GIT~1",
    "\\.git\\",
    ".gi\u2010t",
    "git~2",
    "git~10",
    "git",
    ".gitx",
    ".git-x",
    ".git\u00e9",
    ". git",
    ".gitmodules",
    ".GITMODULES ",
    "gitmod~1",
    "GI7EB~1",
    ".gitm\u200codules",
    ".gitmodules~",
    ".gitattributes",
    ".gitignore",
    "a:.git",
    "\xff.git",
    ".\xffgit",
    "a\\.g\u200cit",
    "a\\",
    "~1",
    ".gi",
    "\u200c",
};

#define NAMES (sizeof(names) / sizeof(*names))

static char *tree_of(const char *repo, const char *mode, const char *name)
{
    test_write_file(repo, "name", name);
    return test_output(
        repo,
        "{ printf '%s blob %%s\\t' $(git hash-object -w name); cat name; printf '\\0'; } | "
        "git mktree -z",
        mode);
}

static bool says(const char *fsck, const char *tree, const char *what)
{
    _cleanup_free_ char *line = xasprintf("in tree %s: %s", tree, what);

    return strstr(fsck, line) != NULL;
}

static void test_names_that_git_does_not_let_through(void **state)
{
    char *dir = test_dir_new(), *repo = test_repo_new(dir, "r", "--bare");
    char *file[NAMES], *link[NAMES];
    unsigned refused = 0;

    for (size_t i = 0; i < NAMES; i++) {
        file[i] = tree_of(repo, "100644", names[i]);
        link[i] = tree_of(repo, "120000", names[i]);
    }
    char *fsck = test_output(repo, "git fsck --strict --no-dangling 2>&1 || :");
    for (size_t i = 0; i < NAMES; i++) {
        bool gits = says(fsck, file[i], "hasDotgit");
        bool modules = says(fsck, link[i], "gitmodulesSymlink");
        print_message("# %s: %d %d\n", names[i], gits, modules);
        assert_int_equal(entry_name_is_gits(names[i]), gits);
        assert_int_equal(entry_name_is_modules(names[i]), modules);
        refused += gits + modules;
        free(file[i]);
        free(link[i]);
    }
    assert_true(refused > 20 && refused < NAMES);
    free(fsck);
    free(repo);
    test_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names_that_git_does_not_let_through)};

    return cmocka_run_group_tests_name("repo entry_name", tests, NULL, NULL);
}
