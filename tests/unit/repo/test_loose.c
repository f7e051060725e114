#include "fixture.h"
#include "written.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/loose.h"
#include "repo/revision.h"

/* Where the loose object is. The caller frees. */
static char *path_of(const struct oid *oid)
{
    char hex[OID_HEX + 1];

    oid_hex(oid, hex);
    return xasprintf(".git/objects/%.2s/%s", hex, hex + 2);
}

static void replace(struct fixture *f, const struct oid *oid, const void *data, size_t len)
{
    _cleanup_free_ char *path = path_of(oid);

    test_run(f->path, "rm -f %s", path);
    test_write_bytes(f->path, path, data, len);
}

/* Puts the deflated `plain` where the object `oid` would be. */
static void replace_deflated(struct fixture *f, const struct oid *oid, const void *plain,
                             size_t len)
{
    uLongf n = compressBound(len);
    _cleanup_free_ unsigned char *data = xmalloc(n);

    assert_int_equal(compress(data, &n, plain, len), Z_OK);
    replace(f, oid, data, n);
}

static void assert_bad(struct fixture *f, const struct oid *oid)
{
    struct blob *blob;
    struct tree *tree;
    struct revision *rev;

    assert_int_equal(blob_load(f->repo, oid, &blob), -EIO);
    assert_int_equal(tree_load(f->repo, oid, &tree), -EIO);
    assert_int_equal(revision_load(f->repo, oid, &rev), -EIO);
}

#define WORDS                                                                                      \
    "More words than the 64 bytes that are inflated for the header, so that the content comes in " \
    "two parts, and the sum behind it on its own: some words that are kept"

/* A flipped bit may be one that pads the stream. */
static void assert_bad_or_same(struct fixture *f, const struct oid *oid, const char *text)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;

    fixture_reopen(f);
    int r = blob_load(f->repo, oid, &blob);
    if (r == 0)
        assert_string_equal(blob->data, text);
    else
        assert_int_equal(r, -EIO);
    fixture_reopen(f);
}

/* Each of these crashes libgit2's own reader, or holds it for ever. */
static void test_torn_and_lying_objects_are_errors(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *much = xcalloc(1, 1 << 20);
    _cleanup_free_ char *data = NULL;
    struct oid oid;
    size_t len;

    memset(much, 'x', 1 << 20);
    oid = write_literally(f->path, "blob", WORDS, strlen(WORDS));
    _cleanup_free_ char *path = path_of(&oid);
    data = test_read_file(f->path, path, &len);
    alarm(60); /* so that a reader that hangs fails here */
    for (size_t cut = 0; cut < len; cut++) {
        replace(f, &oid, data, cut);
        assert_bad(f, &oid);
    }
    for (size_t at = 0; at < len; at++) {
        data[at] ^= 0x10;
        replace(f, &oid, data, len);
        data[at] ^= 0x10;
        assert_bad_or_same(f, &oid, WORDS);
    }
    memcpy(much, "blob 10\0", 8);
    replace_deflated(f, &oid, much, 1 << 20);
    assert_bad(f, &oid);
    alarm(0);
}

static void test_headers_must_be_exact(void **state)
{
    static const struct {
        const char *data;
        size_t len;
    } bad[] = {
        {"blob 5\0four", 11},
        {"blob 1099511627776\0abc", 22},
        {"blob 99999999999999999999999\0abc", 32},
        {"blob -1\0abc", 11},
        {"blob \0abc", 9},
        {"blob", 4},
        {"blub 3\0abc", 10},
        {" 3\0abc", 6},
        {"blob 3 \0abc", 11},
        {"", 0},
    };
    struct fixture *f = *state;
    struct oid oid = oid_of("0123456789012345678901234567890123456789");
    uint64_t size;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        replace_deflated(f, &oid, bad[i].data, bad[i].len);
        assert_bad(f, &oid);
        if (i) /* a header alone does not say that the content is short */
            assert_int_equal(blob_size(f->repo, &oid, &size), -EIO);
    }
    replace_deflated(f, &oid, "blob 3\0abc", 10); /* fine, but not what its name says */
    assert_bad(f, &oid);
}

static void test_a_torn_object_heals_with_the_next_write(void **state)
{
    static const char text[] = "what a crash has torn";
    struct fixture *f = *state;
    _cleanup_free_ char *big = xcalloc(1, 9 << 20);
    struct oid oid, streamed;

    oid = write_literally(f->path, "blob", text, sizeof(text) - 1);
    replace(f, &oid, "", 0);
    assert_bad(f, &oid);
    assert_int_equal(blob_write(f->repo, text, sizeof(text) - 1, &oid, NULL), 0);
    test_write_bytes(f->dir, "big", big, 9 << 20);
    _cleanup_free_ char *path = xasprintf("%s/big", f->dir);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    streamed = oid_from(f->path, "git hash-object ../big");
    replace(f, &streamed, "x", 1);
    assert_int_equal(blob_write_fd(f->repo, fd, 9 << 20, &streamed, NULL), 0);
    test_run(f->path, "git fsck --strict --no-dangling");
    /* The one in a pack is taken for the torn loose one. */
    replace(f, &oid, "x", 1);
    struct blob *blob;
    assert_int_equal(blob_load(f->repo, &oid, &blob), 0);
    assert_string_equal(blob->data, text);
    blob_unref(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_torn_and_lying_objects_are_errors),
        TEST(test_headers_must_be_exact),
        TEST(test_a_torn_object_heals_with_the_next_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
