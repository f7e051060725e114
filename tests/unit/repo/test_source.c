#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "repo/handle.h"
#include "repo/revision.h"
#include "repo/source.h"

static struct source *source(struct fixture *f)
{
    return f->repo->source;
}

/* By all three ways in which an object can be asked for. */
static void assert_reads(struct fixture *f, const struct oid *oid, git_object_t type,
                         const void *data, size_t len)
{
    _cleanup_free_ char *path = xasprintf("%s/spilled", f->dir);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    _cleanup_(buf_done) struct buf spilled = {0};
    struct unpacked raw = {0};
    git_object_t header_type = 0;
    uint64_t size = 0;

    assert_int_equal(source_header(source(f), oid, &header_type, &size), 0);
    assert_int_equal(header_type, type);
    assert_int_equal(size, len);
    assert_int_equal(source_read(source(f), oid, len + 1000, &raw), 0);
    assert_int_equal(raw.type, type);
    assert_int_equal(raw.size, len);
    assert_memory_equal(raw.data, data, len);
    assert_int_equal(((char *)raw.data)[len], 0);
    unpacked_done(&raw);
    if (len)
        assert_int_equal(source_read(source(f), oid, len - 1, &raw), -EFBIG);
    assert_int_equal(source_spill(source(f), oid, f->dir, fd, &header_type, &size), 0);
    assert_int_equal(header_type, type);
    assert_int_equal(size, len);
    assert_int_equal(io_read_fd(fd, SIZE_MAX, &spilled), 0);
    assert_int_equal(spilled.len, len);
    assert_memory_equal(buf_str(&spilled), data, len);
}

static void assert_fails(struct fixture *f, const struct oid *oid, int err)
{
    _cleanup_free_ char *path = xasprintf("%s/spilled", f->dir);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    git_object_t type;
    struct unpacked raw;
    uint64_t size;

    assert_int_equal(source_read(source(f), oid, UINT64_MAX, &raw), err);
    assert_int_equal(source_read(source(f), oid, 1000000, &raw), err);
    assert_int_equal(source_spill(source(f), oid, f->dir, fd, &type, &size), err);
}

/* ---- what is right ---- */

static void assert_is_as_in_git(struct fixture *f, const char *type, git_object_t number,
                                const char *rev)
{
    struct oid oid = oid_from(f->path, "git rev-parse '%s'", rev);
    size_t len;

    test_run(f->path, "git cat-file %s '%s' >../expected", type, rev);
    _cleanup_free_ char *data = test_read_file(f->dir, "expected", &len);
    assert_reads(f, &oid, number, data, len);
}

static void assert_all_are_as_in_git(struct fixture *f)
{
    assert_is_as_in_git(f, "commit", GIT_OBJECT_COMMIT, "HEAD~1");
    assert_is_as_in_git(f, "commit", GIT_OBJECT_COMMIT, "HEAD");
    assert_is_as_in_git(f, "tree", GIT_OBJECT_TREE, "HEAD^{tree}");
    assert_is_as_in_git(f, "tag", GIT_OBJECT_TAG, "v1");
    assert_is_as_in_git(f, "blob", GIT_OBJECT_BLOB, "HEAD~1:file");
    assert_is_as_in_git(f, "blob", GIT_OBJECT_BLOB, "HEAD:file");
    assert_is_as_in_git(f, "blob", GIT_OBJECT_BLOB, "HEAD:empty");
    assert_is_as_in_git(f, "blob", GIT_OBJECT_BLOB, "HEAD:bin");
}

static void test_objects_are_as_git_stores_them(void **state)
{
    struct fixture *f = *state;

    test_write_bytes(f->path, "bin", "a\0b\0\0", 5);
    test_run(f->path, "seq 100000 >file; touch empty; git add -A; git commit -qm 1;"
                      "sed -i 's/^5.$/x/' file; git commit -qam 2; git tag -am x v1");
    assert_all_are_as_in_git(f);
    test_run(f->path, "git gc -q; test -z \"$(ls .git/objects/?? 2>/dev/null)\"");
    assert_all_are_as_in_git(f); /* though they have moved */
    fixture_reopen(f);
    assert_all_are_as_in_git(f);
    test_run(f->dir, "mv work first; git clone -q -s first work; cd work; git fetch -q --tags;"
                     "test -z \"$(find .git/objects -name '*.pack')\"");
    fixture_reopen(f);
    assert_all_are_as_in_git(f);
}

static void test_what_is_missing_is_found_when_it_comes(void **state)
{
    static const struct oid zero;
    struct fixture *f = *state;
    struct oid loose = oid_from(f->path, "printf loose | git hash-object --stdin");
    struct oid packed = oid_from(f->path, "printf packed | git hash-object --stdin");
    int64_t errors = metric_value("onward_object_errors_total");

    test_run(f->path, "touch -d '1 hour ago' .git/objects/pack");
    for (int i = 0; i < 2; i++) {
        assert_fails(f, &loose, -ENOENT);
        assert_fails(f, &packed, -ENOENT);
        assert_fails(f, &zero, -ENOENT);
    }
    test_run(f->path, "printf loose | git hash-object -w --stdin");
    assert_reads(f, &loose, GIT_OBJECT_BLOB, "loose", 5);
    assert_fails(f, &packed, -ENOENT);
    test_run(f->path, "mkdir ../o; id=$(printf packed |"
                      "GIT_OBJECT_DIRECTORY=../o git hash-object -w --stdin);"
                      "echo $id | GIT_OBJECT_DIRECTORY=../o git pack-objects -q "
                      ".git/objects/pack/pack");
    assert_reads(f, &packed, GIT_OBJECT_BLOB, "packed", 6);
    assert_int_equal(metric_value("onward_object_errors_total"), errors);
}

/* ---- what is wrong ---- */

/* Puts other words for `from` into the only pack, which holds it uncompressed, and makes zlib's sum
 * right again: only the id tells. */
static void forge_packed(struct fixture *f, const char *from, const char *to)
{
    _cleanup_free_ char *path = test_output(f->path, "echo .git/objects/pack/*.pack");
    size_t len, n = strlen(from);
    _cleanup_free_ char *pack = test_read_file(f->path, path, &len);
    char *at = memmem(pack, len, from, n);

    assert_non_null(at);
    assert_int_equal(strlen(to), n);
    memcpy(at, to, n);
    uLong sum = adler32(adler32(0, NULL, 0), (const Bytef *)to, n);
    for (int i = 0; i < 4; i++)
        at[n + i] = sum >> (24 - 8 * i);
    test_run(f->path, "chmod u+w .git/objects/pack/*");
    test_write_bytes(f->path, path, pack, len);
}

/* Puts the loose object of other words where that of `oid` is. */
static void forge_loose(struct fixture *f, const struct oid *oid, const char *words)
{
    char hex[OID_HEX + 1];

    oid_hex(oid, hex);
    test_run(f->path,
             "mkdir -p ../o .git/objects/%.2s; other=$(printf '%s' | GIT_OBJECT_DIRECTORY=../o "
             "git hash-object -w --stdin | sed 's,..,&/,'); cp -f ../o/$other .git/objects/%.2s/%s",
             hex, words, hex, hex + 2);
}

#define MINE   "words that are only mine"
#define FORGED "words that are only MINE"

static struct oid write_two(struct fixture *f)
{
    test_run(f->path,
             "git config core.compression 0; git config core.looseCompression 0;"
             "printf '%s' >mine; printf 'of others' >other; git add -A;"
             "git commit -qm x; git repack -adq; git prune-packed",
             MINE);
    return oid_from(f->path, "git rev-parse HEAD:mine");
}

static void test_wrong_content_is_an_error_of_that_object_alone(void **state)
{
    struct fixture *f = *state;
    struct oid mine = write_two(f), other = oid_from(f->path, "git rev-parse HEAD:other");
    int64_t errors = metric_value("onward_object_errors_total");

    assert_reads(f, &mine, GIT_OBJECT_BLOB, MINE, strlen(MINE));
    for (int loose = 0; loose < 2; loose++) {
        if (loose)
            forge_loose(f, &mine, FORGED);
        else
            forge_packed(f, MINE, FORGED);
        fixture_reopen(f);
        for (int i = 0; i < 2; i++)
            assert_fails(f, &mine, -EIO);
        assert_int_equal(metric_value("onward_object_errors_total"), errors + loose + 1);
        assert_reads(f, &other, GIT_OBJECT_BLOB, "of others", 9);
        struct blob *blob;
        char byte;
        assert_int_equal(blob_load(f->repo, &mine, &blob), -EIO);
        assert_int_equal(blob_read(f->repo, &mine, &byte, 1, 0), -EIO);
        assert_int_equal(blob_read(f->repo, &other, &byte, 1, 0), 1);
    }
}

static void test_a_whole_copy_makes_up_for_a_broken_one(void **state)
{
    struct fixture *f = *state;
    struct oid mine = write_two(f);
    int64_t errors = metric_value("onward_object_errors_total");

    forge_loose(f, &mine, FORGED);
    fixture_reopen(f);
    assert_reads(f, &mine, GIT_OBJECT_BLOB, MINE, strlen(MINE));
    test_run(f->path, "rm -rf .git/objects/??");
    forge_packed(f, MINE, FORGED);
    forge_loose(f, &mine, MINE);
    fixture_reopen(f);
    assert_reads(f, &mine, GIT_OBJECT_BLOB, MINE, strlen(MINE));
    assert_int_equal(metric_value("onward_object_errors_total"), errors);
}

static void test_a_whole_copy_in_another_pack_makes_up_too(void **state)
{
    struct fixture *f = *state;
    struct oid mine = write_two(f);

    /* Which is asked first is chance: so each is broken once. */
    for (int which = 0; which < 2; which++) {
        test_run(f->path, "mkdir -p ../p; mv .git/objects/pack/* ../p; rm -rf .git/objects/??;"
                          "cp ../p/*.pack ../p/*.idx .git/objects/pack");
        forge_packed(f, MINE, FORGED);
        test_run(f->path,
                 "cd .git/objects/pack; for i in pack idx; do mv *.$i %s.$i;"
                 "cp ../../../../p/*.$i %s.$i; done",
                 which ? "pack-a" : "pack-b", which ? "pack-b" : "pack-a");
        fixture_reopen(f);
        assert_reads(f, &mine, GIT_OBJECT_BLOB, MINE, strlen(MINE));
        test_run(f->path, "rm -f .git/objects/pack/*; mv ../p/* .git/objects/pack");
    }
}

struct heard {
    char last[1000];
    int objects, packs;
};

static void on_fault(const struct repo_fault *fault, void *arg)
{
    struct heard *h = arg;

    h->objects += fault->id != NULL;
    h->packs += fault->id == NULL;
    if (!fault->id)
        snprintf(h->last, sizeof(h->last), "%s", fault->reason);
}

/* Flips a bit at `at` of the only index; reads an object of it, and tells what was heard. */
static struct heard hear_flipped(struct fixture *f, const struct oid *oid, size_t at)
{
    _cleanup_free_ char *path = test_output(f->path, "echo .git/objects/pack/*.idx");
    struct heard heard = {0};
    struct unpacked raw;
    size_t len;
    _cleanup_free_ char *index = test_read_file(f->path, path, &len);

    index[at] ^= 4;
    test_write_bytes(f->path, path, index, len);
    fixture_reopen(f);
    repo_on_fault(f->repo, on_fault, &heard);
    for (int i = 0; i < 2; i++)
        assert_true(source_read(source(f), oid, UINT64_MAX, &raw) < 0);
    index[at] ^= 4;
    test_write_bytes(f->path, path, index, len);
    assert_true(!heard.packs || strstr(heard.last, path + strlen(".git/")));
    return heard;
}

/* Refused at once, or found out when it leads nowhere; and said once, by name. */
static void test_broken_indexes_are_said(void **state)
{
    struct fixture *f = *state;
    struct oid mine = write_two(f);
    int64_t errors = metric_value("onward_pack_errors_total");
    size_t ids = 8 + 256 * 4, n = 4;

    test_run(f->path, "chmod u+w .git/objects/pack/*");
    assert_int_equal(hear_flipped(f, &mine, 5).packs, 1);
    assert_int_equal(hear_flipped(f, &mine, 8).packs, 1);
    for (size_t i = 0; i < n; i++) { /* one of the ids is that of `mine`; all of the offsets */
        struct heard h = hear_flipped(f, &(struct oid){{1}}, ids + i * OID_RAW + 7);
        assert_int_equal(h.packs, 1);
        assert_non_null(strstr(h.last, "checksum"));
    }
    test_run(f->path, "git fsck");
    fixture_reopen(f);
    assert_reads(f, &mine, GIT_OBJECT_BLOB, MINE, strlen(MINE));
    assert_int_equal(metric_value("onward_pack_errors_total"), errors + 2 + n);
}

static void test_broken_revisions_and_trees_are_errors(void **state)
{
    struct fixture *f = *state;
    struct revision_brief brief;
    struct tree *tree;

    write_two(f);
    struct oid commit = oid_from(f->path, "git rev-parse HEAD");
    struct oid root = oid_from(f->path, "git rev-parse HEAD^{tree}");
    assert_int_equal(revision_brief(f->repo, &commit, &brief), 0);
    assert_oid_equal(&brief.tree, &root);
    test_run(f->path, "mv .git/objects/pack/* ..; cat ../*.pack | git unpack-objects -q");
    forge_loose(f, &root, "not what it was");
    forge_loose(f, &commit, "not what it was");
    fixture_reopen(f);
    assert_int_equal(revision_brief(f->repo, &commit, &brief), -EIO);
    assert_int_equal(tree_load(f->repo, &root, &tree), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_objects_are_as_git_stores_them),
        TEST(test_what_is_missing_is_found_when_it_comes),
        TEST(test_wrong_content_is_an_error_of_that_object_alone),
        TEST(test_a_whole_copy_makes_up_for_a_broken_one),
        TEST(test_a_whole_copy_in_another_pack_makes_up_too),
        TEST(test_broken_indexes_are_said),
        TEST(test_broken_revisions_and_trees_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
