/* revisions/<id>/: the times of files and who shares a node, with and without mtime=change. That
 * bytes, kinds and names are right is for tests on a mount. */
#include <inttypes.h>
#include <stdlib.h>

#include "fixture.h"

/* Revisions of the mainline and one beside it, in which paths come, change, stay, move and go. */
static void make_history(struct fixture *f)
{
    change(f,
           "n=0; "
           "save() { n=$((n + 1)); git add -A; "
           "    GIT_COMMITTER_DATE=\"$((%" PRId64 " + n * 1000)) +0000\" "
           "    git commit -q --allow-empty -m $n; }; "
           "mkdir -p d/e f; echo x >d/e/x; echo x >d/same; ln -s x d/link; echo f >f/f; save; "
           "echo y >d/e/x; save; save; "
           "git rm -q -r d/e; echo e >d/e; save; "
           "git rm -q d/e; mkdir d/e; echo y >d/e/x; chmod +x f/f; save; "
           "git mv f g; save; "
           "git checkout -q -b side main~1; chmod +x a; echo s >d/side; echo z >d/e/x; save; "
           "git checkout -q main; echo 2 >a; save",
           TEST_TIME);
}

static void assert_entry(struct fixture *f, const char *hex, const char *path, const char *rev)
{
    _cleanup_free_ char *place = xasprintf("revisions/%s/%s", hex, path);
    _cleanup_(node_unrefp) struct node *node = walk(f, place);
    _cleanup_free_ char *time = test_output(f->path, "git log -1 --format=%%ct %s", rev);
    char *id;
    struct stat st = {0};

    assert_non_null(node);
    assert_int_equal(node->ops->getattr(node, &st), 0);
    if (st.st_mtim.tv_sec != strtoll(time, NULL, 10))
        fail_msg("%s: mtime %" PRId64 ", not %s", place, (int64_t)st.st_mtim.tv_sec, time);
    if (!node->ops->getxattr || S_ISDIR(st.st_mode))
        return;
    assert_int_equal(node->ops->getxattr(node, "user.git.revision", &id), 0);
    assert_string_equal(id, rev);
    free(id);
}

/* Calls `each` for every path of a revision, directories included. */
static void each_path(struct fixture *f, const char *hex,
                      void (*each)(struct fixture *f, const char *hex, const char *path))
{
    _cleanup_free_ char *all = test_output(f->path, "git ls-tree -r -t --name-only %s", hex);
    char *rest = all, *path;

    while ((path = strsep(&rest, "\n")))
        each(f, hex, path);
}

static void each_revision(struct fixture *f, const char *which,
                          void (*each)(struct fixture *f, const char *hex, const char *path))
{
    _cleanup_free_ char *all = test_output(f->path, "git rev-list --first-parent %s", which);
    char *rest = all, *hex;

    while ((hex = strsep(&rest, "\n")))
        each_path(f, hex, each);
}

static void last_change_on_the_mainline(struct fixture *f, const char *hex, const char *path)
{
    _cleanup_free_ char *rev =
        test_output(f->path, "git log -1 --first-parent --format=%%H %s -- '%s'", hex, path);

    assert_entry(f, hex, path, rev);
}

static void the_revision_itself(struct fixture *f, const char *hex, const char *path)
{
    assert_entry(f, hex, path, hex);
}

static void test_files_have_the_time_of_their_last_change(void **state)
{
    make_history(*state);
    each_revision(*state, "main", last_change_on_the_mainline);
    /* One revision beside the mainline: what it changed is its own. */
    each_revision(*state, "main~2..side", last_change_on_the_mainline);
}

static void test_files_have_the_time_of_the_revision(void **state)
{
    make_history(*state);
    each_revision(*state, "main", the_revision_itself);
}

static struct node *at(struct fixture *f, const char *rev, const char *path)
{
    char hex[OID_HEX + 1];
    struct oid oid = oid_from(f, rev);
    _cleanup_free_ char *place = xasprintf("revisions/%s/%s", oid_hex(&oid, hex), path);

    return walk(f, place);
}

static void assert_shared(struct fixture *f, const char *path, const char *a, const char *b,
                          bool shared)
{
    _cleanup_(node_unrefp) struct node *one = at(f, a, path);
    _cleanup_(node_unrefp) struct node *other = at(f, b, path);

    assert_non_null(one);
    assert_non_null(other);
    if ((one == other) != shared || (one->ino == other->ino) != shared)
        fail_msg("%s of %s and %s: shared is not %d", path, a, b, shared);
}

static void test_what_did_not_change_is_one_file(void **state)
{
    struct fixture *f = *state;

    make_history(f);
    assert_shared(f, "d/same", "main", "main~6", true);
    assert_shared(f, "d/link", "main", "main~6", true);
    assert_shared(f, "d/same", "main", "side", true);
    assert_shared(f, "d/e/x", "main~4", "main~5", true);
    assert_shared(f, "d/e/x", "main~6", "main~5", false);
    assert_shared(f, "d/e/x", "main", "main~5", false); /* went, and came back as it was */
    assert_shared(f, "f/f", "main~2", "main~3", false); /* became executable */
    assert_shared(f, "d", "main", "main~1", false);     /* directories never */
}

static void test_revisions_share_no_file(void **state)
{
    struct fixture *f = *state;

    make_history(f);
    assert_shared(f, "d/same", "main", "main~1", false);
    assert_shared(f, "d/same", "main", "main", true);
}

/* Where the old mainline and the new one do not differ. */
static void unchanged_below_d(struct fixture *f, const char *hex, const char *path)
{
    if (!strncmp(path, "d/", 2))
        last_change_on_the_mainline(f, hex, path);
}

static void file_of_the_revision(struct fixture *f, const char *hex, const char *path)
{
    if (test_status(f->path, "test $(git cat-file -t '%s:%s') = tree", hex, path))
        assert_entry(f, hex, path, hex);
}

/* Directories that somebody holds while the mainline is rewritten stay as they are; what is looked
 * up in them then is of the other line. */
static void test_a_rewritten_mainline_has_other_times(void **state)
{
    struct fixture *f = *state;

    make_history(f);
    _cleanup_(node_unrefp) struct node *held = at(f, "main", "d/e");
    assert_non_null(held);
    _cleanup_free_ char *old = test_output(f->path, "git rev-parse main");
    change(f, "git tag old && git checkout -q --detach && git branch -q -f main side && "
              "git checkout -q main");
    each_revision(f, "main", last_change_on_the_mainline);
    each_path(f, old, unchanged_below_d);
    change(f, "git checkout -q -f --orphan new old && "
              "GIT_COMMITTER_DATE='100000000 +0000' git commit -q -m new && "
              "git branch -q -f main new && git checkout -q main");
    each_revision(f, "main", last_change_on_the_mainline);
    each_path(f, old, file_of_the_revision);
}

struct with_dir {
    struct dir_sink sink;
    struct node *dir;
    int n;
};

static int compare_ino(struct dir_sink *sink, const char *name, mode_t type, uint64_t ino,
                       uint64_t cookie, bool plus)
{
    struct with_dir *w = container_of(sink, struct with_dir, sink);
    struct node *child;

    assert_int_equal(w->dir->ops->lookup(w->dir, name, &child), 0);
    assert_int_equal(ino, child->ino);
    node_unref(child);
    w->n++;
    return 0;
}

static void test_lists_and_lookups_agree(void **state)
{
    struct fixture *f = *state;

    make_history(f);
    for (int i = 0; i < 2; i++) {
        _cleanup_(node_unrefp) struct node *dir = at(f, i ? "main" : "side", "d");
        struct with_dir w = {{compare_ino}, dir, 0};
        assert_int_equal(dir->ops->readdir(dir, 0, &w.sink), 0);
        assert_int_equal(w.n, i ? 3 : 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BY_CHANGE(test_files_have_the_time_of_their_last_change),
        TEST(test_files_have_the_time_of_the_revision),
        TEST_BY_CHANGE(test_what_did_not_change_is_one_file),
        TEST(test_revisions_share_no_file),
        TEST_BY_CHANGE(test_a_rewritten_mainline_has_other_times),
        TEST_BY_CHANGE(test_lists_and_lookups_agree),
        TEST(test_lists_and_lookups_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
