#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/diff.h"

static const struct oid zero;

/* Two commits, tagged `old` and `new`, that differ in every way there is. */
#define TWO_TREES                                                                                  \
    "mkdir -p d/sub e a.d; printf '1\n2\n3\n4\n5\n6\n7\n8\n9\n' >mod; echo x >same; echo gone "    \
    ">gone;"                                                                                       \
    "echo run >exec; echo both >both; printf 'a\\0b' >bin; ln -s to link; echo f >tolink; ln -s "  \
    "x tofile;"                                                                                    \
    "echo 1 >d/sub/one; echo 2 >d/two; echo e >e/x; echo n >noeol-later; echo 1 >d.f; printf 'no " \
    "eol' >noeol;"                                                                                 \
    "echo dir >todir; mkdir tofile2; echo 1 >tofile2/a; echo 2 >tofile2/b; : >empty-gone; echo x " \
    ">a.d/f; echo y >a;"                                                                           \
    "printf 'odd' >'sp ace \"q\"\t'; git add -A; "                                                 \
    "git update-index --add --cacheinfo 160000,0123456789012345678901234567890123456789,mod1;"     \
    "git commit -qm old; git tag old;"                                                             \
    "sed -i 's/5/five/' mod; rm gone empty-gone; chmod +x exec both; echo more >>both; printf "    \
    "'a\\0c\\0' >bin;"                                                                             \
    "ln -sfn elsewhere link; rm tolink tofile; ln -s y tolink; echo now a file >tofile; rm -r e;"  \
    "echo 3 >d/sub/three; echo 2 >d.f; printf 'n' >noeol-later; echo 'eol' >noeol; rm todir; "     \
    "mkdir todir;"                                                                                 \
    "echo in >todir/in; rm -r tofile2; echo f >tofile2; : >empty; printf '\\0\\1\\2' >bin2; "      \
    "mkdir -p z/y; echo z >z/y/x;"                                                                 \
    "echo run >z/run; chmod +x z/run; ln -s l z/l; echo odd2 >'sp ace \"q\"\t'; echo y2 >a; echo " \
    "x2 >a.d/f; git add -A;"                                                                       \
    "git update-index --add --cacheinfo 160000,9123456789012345678901234567890123456789,mod1;"     \
    "git commit -qm new; git tag new"

static int add_change(const struct change *c, void *arg)
{
    char a[OID_HEX + 1], b[OID_HEX + 1];

    buf_addf(arg, "%c %s %s %s", c->status, oid_hex(&c->old_oid, a), oid_hex(&c->new_oid, b),
             c->path);
    buf_addc(arg, '\n');
    return 0;
}

static int stop(const struct change *c, void *arg)
{
    return ++*(int *)arg == 3 ? 7 : 0;
}

static void make_trees(struct fixture *f, struct oid *ret_old, struct oid *ret_new)
{
    test_run(f->path, "%s", TWO_TREES);
    *ret_old = oid_from(f->path, "git rev-parse old^{tree}");
    *ret_new = oid_from(f->path, "git rev-parse new^{tree}");
}

/* Against `git diff-tree`, which lists in the same order. */
static void assert_changes(struct fixture *f, const struct oid *from, const struct oid *to,
                           const char *git_from, const char *git_to)
{
    _cleanup_(buf_done) struct buf ours = {0};

    assert_int_equal(diff_changes(f->repo, from, to, add_change, &ours), 0);
    test_write_bytes(f->dir, "ours", buf_str(&ours), ours.len);
    test_run(f->path,
             "git diff-tree -r --raw --no-renames -z --no-abbrev %s %s | tr '\\n\\0' '\\1\\n' |"
             "while IFS= read -r h && IFS= read -r p; do set -- $h; echo \"$5 $3 $4 $p\"; done |"
             "diff - ../ours",
             git_from, git_to);
}

static void test_changes_are_those_of_git(void **state)
{
    struct fixture *f = *state;
    struct oid old, new;
    int calls = 0;

    make_trees(f, &old, &new);
    _cleanup_free_ char *empty = test_output(f->path, "git hash-object -w -t tree /dev/null");
    assert_changes(f, &old, &new, "old", "new");
    assert_changes(f, &new, &old, "new", "old");
    assert_changes(f, &zero, &new, empty, "new");
    assert_changes(f, &old, &zero, "old", empty);
    assert_changes(f, &old, &old, "old", "old");
    assert_changes(f, &zero, &zero, empty, empty);
    assert_int_equal(diff_changes(f->repo, &old, &new, stop, &calls), 7);
    assert_int_equal(calls, 3);
}

/* Has git apply our patch to `from`, in a repository that has nothing else; the index must then be
 * that of `from` with `paths` as they are in `to`. */
static void assert_applies(struct fixture *f, const char *from, const char *to,
                           const char *const *paths, size_t npaths)
{
    _cleanup_(buf_done) struct buf patch = {0}, only = {0};
    struct oid a = oid_from(f->path, "git rev-parse %s^{tree}", from);
    struct oid b = oid_from(f->path, "git rev-parse %s^{tree}", to);

    assert_int_equal(diff_patch(f->repo, &a, &b, paths, npaths, 1 << 20, &patch), 0);
    test_write_bytes(f->dir, "patch", patch.data, patch.len);
    for (size_t i = 0; i < npaths; i++)
        buf_addf(&only, " '%s'", paths[i]);
    test_run(f->dir,
             "rm -rf apply; git init -q apply; cd apply; git fetch -q --depth 1 ../work %s;"
             "git read-tree FETCH_HEAD; git apply --cached --whitespace=nowarn ../patch;"
             "git ls-files -s >../got",
             from);
    if (npaths)
        test_run(f->path, "git read-tree %s; git --literal-pathspecs reset -q %s --%s", from, to,
                 buf_str(&only));
    else
        test_run(f->path, "git read-tree %s", to);
    test_run(f->path, "git ls-files -s | diff - ../got");
}

static void test_git_takes_the_patch(void **state)
{
    static const char *const paths[] = {"d", "mod", "todir", "sp ace \"q\"\t", "*", "nothing"};
    struct fixture *f = *state;
    struct oid old, new;

    make_trees(f, &old, &new);
    assert_applies(f, "old", "new", NULL, 0);
    assert_applies(f, "new", "old", NULL, 0);
    assert_applies(f, "old", "new", paths, ARRAY_SIZE(paths));
    assert_applies(f, "old", "new", (const char *const[]){"a"}, 1);
    assert_applies(f, "old", "new", (const char *const[]){"d/sub/"}, 1);
}

static void test_the_patch_has_full_ids_and_a_limit(void **state)
{
    struct fixture *f = *state;
    struct oid old, new;
    _cleanup_(buf_done) struct buf whole = {0}, part = {0};
    char hex[OID_HEX + 1];

    make_trees(f, &old, &new);
    assert_int_equal(diff_patch(f->repo, &zero, &new, NULL, 0, 1 << 20, &whole), 0);
    struct oid mod = oid_from(f->path, "git rev-parse new:mod");
    _cleanup_free_ char *line =
        xasprintf("\nindex 0000000000000000000000000000000000000000..%s\n", oid_hex(&mod, hex));
    assert_non_null(strstr(whole.data, line));
    buf_adds(&part, "before");
    assert_int_equal(diff_patch(f->repo, &zero, &new, NULL, 0, whole.len - 1, &part), -EFBIG);
    assert_string_equal(part.data, "before");
    assert_int_equal(diff_patch(f->repo, &zero, &new, NULL, 0, whole.len, &part), 0);
    assert_int_equal(part.len, whole.len + strlen("before"));
    buf_clear(&part);
    assert_int_equal(diff_patch(f->repo, &new, &new, NULL, 0, 0, &part), 0);
    assert_int_equal(part.len, 0);
    old.id[0] ^= 1;
    assert_int_equal(diff_patch(f->repo, &old, &new, NULL, 0, 100, &part), -EIO);
    assert_int_equal(diff_changes(f->repo, &old, &new, add_change, &part), -EIO);
}

/* A tree of 10^levels files, in levels + 1 objects. */
static struct oid make_bomb(struct fixture *f, int levels)
{
    return oid_from(f->path,
                    "t=$(echo x | git hash-object -w --stdin); k='100644 blob'; for l in $(seq %d);"
                    "do t=$(for i in 0 1 2 3 4 5 6 7 8 9; do printf '%%s %%s\\t%%s\\n' \"$k\" $t "
                    "$i; done | git mktree); k='040000 tree'; done; echo $t",
                    levels);
}

/* A tree with `big` as big/ and a file f. */
static struct oid with_file_f(struct fixture *f, const struct oid *big, const char *text)
{
    char hex[OID_HEX + 1];

    return oid_from(f->path,
                    "printf '040000 tree %s\\tbig\\n100644 blob %%s\\tf\\n' "
                    "$(echo %s | git hash-object -w --stdin) | git mktree",
                    oid_hex(big, hex), text);
}

static int count(const struct change *c, void *arg)
{
    ++*(size_t *)arg;
    return 0;
}

static void test_trees_that_claim_billions_of_files_are_refused(void **state)
{
    static const char *const paths[] = {"big"};
    struct fixture *f = *state;
    _cleanup_(buf_done) struct buf patch = {0};
    struct oid bomb = make_bomb(f, 10), small, before, after;
    size_t n = 0;

    assert_int_equal(diff_changes(f->repo, &zero, &bomb, count, &n), -EFBIG);
    assert_in_range(n, DIFF_CHANGES_MOST / 2, DIFF_CHANGES_MOST);
    assert_int_equal(diff_patch(f->repo, &bomb, &zero, NULL, 0, 64 << 20, &patch), -EFBIG);

    /* What is the same on both sides costs nothing, how large it may claim to be. */
    test_run(f->path, "rm -rf *; git read-tree --empty; echo x >f; git add f");
    small = oid_from(f->path, "git write-tree");
    before = with_file_f(f, &bomb, "x");
    after = with_file_f(f, &bomb, "y");
    assert_int_equal(diff_patch(f->repo, &before, &after, NULL, 0, 1 << 20, &patch), 0);
    assert_non_null(strstr(patch.data, "-x\n+y\n"));
    assert_int_equal(diff_patch(f->repo, &small, &after, paths, 1, 64 << 20, &patch), -EFBIG);
}

static void test_files_that_libgit2_would_spend_gigabytes_on_are_refused(void **state)
{
    struct fixture *f = *state;
    _cleanup_(buf_done) struct buf patch = {0};
    struct oid lines, large;

    test_run(f->path, "rm -rf *; git read-tree --empty; yes '' | head -c %u >lines; git add lines",
             BLOB_LINES_MOST + 1);
    lines = oid_from(f->path, "git write-tree");
    test_run(f->path, "git read-tree --empty; truncate -s %u large; git add large",
             DIFF_FILE_MOST + 1);
    large = oid_from(f->path, "git write-tree");
    assert_int_equal(diff_patch(f->repo, &zero, &lines, NULL, 0, 64 << 20, &patch), -EFBIG);
    assert_int_equal(diff_patch(f->repo, &large, &zero, NULL, 0, 64 << 20, &patch), -EFBIG);
    assert_int_equal(
        diff_patch(f->repo, &zero, &large, (const char *const[]){"large"}, 1, 64 << 20, &patch),
        -EFBIG);
    assert_int_equal(
        diff_patch(f->repo, &zero, &large, (const char *const[]){"lines"}, 1, 64 << 20, &patch), 0);
    assert_int_equal(patch.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_changes_are_those_of_git),
        TEST(test_git_takes_the_patch),
        TEST(test_the_patch_has_full_ids_and_a_limit),
        TEST(test_trees_that_claim_billions_of_files_are_refused),
        TEST(test_files_that_libgit2_would_spend_gigabytes_on_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
