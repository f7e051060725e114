/* Objects that can be read and are not there. */
#include "fixture.h"
#include "written.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/diff.h"
#include "repo/scratch.h"

#define BIG (5u << 20)

static struct oid put(struct scratch *s, const void *data, size_t len)
{
    struct oid oid;

    assert_int_equal(sink_blob(scratch_sink(s), data, len, &oid, NULL), 0);
    return oid;
}

static char *make_bytes(size_t len)
{
    char *bytes = xmalloc(len);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (i * 2654435761u) >> 13;
    return bytes;
}

static struct oid put_file(struct fixture *f, struct scratch *s, const char *bytes, size_t len)
{
    struct oid oid;

    test_write_bytes(f->dir, "big", bytes, len);
    _cleanup_free_ char *path = xasprintf("%s/big", f->dir);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(sink_blob_fd(scratch_sink(s), fd, len, &oid, NULL), 0);
    return oid;
}

static void assert_content(struct fixture *f, const struct oid *oid, const char *bytes, size_t len)
{
    _cleanup_free_ char *got = xmalloc(len + 1);
    struct blob *blob;
    uint64_t size;

    assert_int_equal(blob_size(f->repo, oid, &size), 0);
    assert_int_equal(size, len);
    for (size_t at = 0; at < len;) {
        ssize_t n = blob_read(f->repo, oid, got + at, len - at, at);
        assert_true(n > 0);
        at += n;
    }
    assert_memory_equal(got, bytes, len);
    assert_int_equal(blob_load(f->repo, oid, &blob), 0);
    assert_int_equal(blob->size, len);
    assert_memory_equal(blob->data, bytes, len);
    blob_unref(blob);
}

static char *objects(struct fixture *f)
{
    return test_output(f->path, "find .git/objects -printf '%%p %%s\\n' | sort");
}

static void reads_as_if_it_were_written(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *big = make_bytes(BIG), *before = objects(f);
    struct scratch *s = scratch_new(f->repo, SCRATCH_WHOLE);
    struct oid small = put(s, "text\n", 5), none = put(s, "", 0), large = put_file(f, s, big, BIG);
    struct oid inner, outer;
    struct tree_entry files[] = {
        {"none", ENTRY_EXEC, none}, {"large", ENTRY_FILE, large}, {"link", ENTRY_LINK, small}};

    assert_int_equal(sink_tree(scratch_sink(s), files, 3, &inner, NULL), 0);
    struct tree_entry dir = {"dir", ENTRY_DIR, inner};
    assert_int_equal(sink_tree(scratch_sink(s), &dir, 1, &outer, NULL), 0);
    assert_content(f, &small, "text\n", 5);
    assert_content(f, &none, "", 0);
    assert_content(f, &large, big, BIG);
    enum entry_kind kind;
    struct oid found;
    assert_int_equal(tree_walk_path(f->repo, &outer, "dir/link", &kind, &found), 0);
    assert_int_equal(kind, ENTRY_LINK);
    assert_oid_equal(&found, &small);
    _cleanup_(buf_done) struct buf patch = {0};
    assert_int_equal(diff_patch(f->repo, &(struct oid){0}, &outer, NULL, 0, SIZE_MAX, &patch), 0);
    assert_non_null(strstr(patch.data, "+++ b/dir/link\n@@ -0,0 +1 @@\n+text\n"));
    assert_non_null(strstr(patch.data, "GIT binary patch\nliteral 5242880\n"));
    _cleanup_free_ char *after = objects(f);
    assert_string_equal(before, after);
    /* The ids are those of git. */
    _cleanup_free_ char *want = test_output(
        f->path,
        "git hash-object -w ../big >large && printf 'text\\n' | git hash-object -w --stdin"
        " >small && git hash-object -w /dev/null >none && printf '100644 blob %%s\\tlarge\\n"
        "120000 blob %%s\\tlink\\n100755 blob %%s\\tnone\\n' $(cat large small none) |"
        " git mktree >inner && printf '040000 tree %%s\\tdir\\n' $(cat inner) | git mktree");
    char hex[OID_HEX + 1];
    assert_string_equal(oid_hex(&outer, hex), want);
    scratch_free(s);
}

static void is_gone_with_the_scratch(void **state)
{
    struct fixture *f = *state;
    struct scratch *s = scratch_new(f->repo, SCRATCH_WHOLE), *other;
    struct oid oid = put(s, "once", 4), tree;
    struct tree_entry e = {"file", ENTRY_FILE, oid};

    assert_int_equal(sink_tree(scratch_sink(s), &e, 1, &tree, NULL), 0);
    assert_int_equal(tree_exists(f->repo, &tree), 1);
    other = scratch_new(f->repo, SCRATCH_WHOLE);
    put(other, "once", 4);
    scratch_free(s);
    assert_content(f, &oid, "once", 4);
    scratch_free(other);
    fixture_reopen(f);
    assert_int_equal(tree_exists(f->repo, &tree), 0);
    char byte;
    assert_int_equal(blob_read(f->repo, &oid, &byte, 1, 0), -EIO);
}

/* A scratch must not make a write believe that there is nothing to write. */
static void what_is_written_is_written(void **state)
{
    struct fixture *f = *state;
    struct scratch *s = scratch_new(f->repo, SCRATCH_WHOLE);
    struct oid seen = put(s, "both", 4), oid, tree, written;
    struct tree_entry e = {"file", ENTRY_FILE, seen};

    assert_int_equal(sink_tree(scratch_sink(s), &e, 1, &tree, NULL), 0);
    assert_content(f, &seen, "both", 4);
    assert_int_equal(blob_write(f->repo, "both", 4, &oid, NULL), 0);
    assert_int_equal(tree_write(f->repo, &e, 1, &written, NULL), 0);
    assert_oid_equal(&tree, &written);
    char hex[OID_HEX + 1];
    test_run(f->path, "git fsck --strict --no-dangling && git cat-file -e %s", oid_hex(&tree, hex));
    scratch_free(s);
}

/* Beyond what stays in memory, and beyond what was asked for. */
static void keeps_what_it_was_told_to(void **state)
{
    struct fixture *f = *state;
    struct scratch *s = scratch_new(f->repo, 1 << 20);
    _cleanup_free_ char *bytes = make_bytes(2 << 20);
    struct oid oids[40], large = put_file(f, s, bytes, 2 << 20), empty;
    uint64_t size;
    char byte;

    for (int i = 0; i < 40; i++)
        oids[i] = put(s, bytes + i, 1 << 20);
    for (int i = 0; i < 40; i++)
        assert_content(f, &oids[i], bytes + i, 1 << 20);
    assert_int_equal(blob_size(f->repo, &large, &size), 0);
    assert_int_equal(size, 2 << 20);
    assert_int_equal(blob_read(f->repo, &large, &byte, 1, 0), -EIO);
    /* A file that is shorter than it was said to be, and a spool that is not there. */
    _cleanup_free_ char *path = xasprintf("%s/big", f->dir);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(sink_blob_fd(scratch_sink(s), fd, (2 << 20) + 1, &empty, NULL), -EIO);
    scratch_free(s);
    repo_spool_in(f->repo, "/nowhere");
    _cleanup_(diag_done) struct diag why = {0};
    s = scratch_new(f->repo, SCRATCH_WHOLE);
    assert_int_equal(sink_blob_fd(scratch_sink(s), fd, 2 << 20, &empty, &why), -ENOENT);
    assert_string_equal(why.text, "cannot make a file in /nowhere: No such file or directory");
    scratch_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_as_if_it_were_written),
        TEST(is_gone_with_the_scratch),
        TEST(what_is_written_is_written),
        TEST(keeps_what_it_was_told_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
