#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/handle.h"
#include "repo/spill.h"

#define MB (1u << 20)

/* What nobody can shrink, the same each time; two kinds of it differ in the first bytes only. */
static char *noise(size_t size, int kind)
{
    char *data = xmalloc(size + 8);
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < size; i += sizeof(x)) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(data + i, &x, sizeof(x));
    }
    data[0] = kind;
    return data;
}

/* Files that this process has open below `dir`, with a name or without. */
static int open_files(const char *dir)
{
    _cleanup_(closedirp) DIR *d = opendir("/proc/self/fd");
    struct dirent *e;
    int n = 0;

    while ((e = readdir(d))) {
        char target[4096] = "";
        if (readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1) > 0)
            n += !strncmp(target, dir, strlen(dir));
    }
    return n;
}

static int64_t anonymous_memory(void)
{
    _cleanup_free_ char *status = test_read_file("/proc/self", "status", NULL);

    return strtoll(strstr(status, "RssAnon:") + strlen("RssAnon:"), NULL, 10) << 10;
}

static char *spool(struct fixture *f)
{
    char *dir = xasprintf("%s/spool", f->dir);

    test_run(f->dir, "mkdir -p spool");
    repo_spool_in(f->repo, dir);
    return dir;
}

/* From here on `dir` is what stands in for the directory of repo_spool_in(). */
static void elsewhere_in(struct fixture *f, const char *dir)
{
    const char *tmpdir = getenv("TMPDIR");
    _cleanup_free_ char *before = tmpdir ? xstrdup(tmpdir) : NULL;

    setenv("TMPDIR", dir, 1);
    fixture_reopen(f);
    if (before)
        setenv("TMPDIR", before, 1);
    else
        unsetenv("TMPDIR");
}

static struct oid store(struct fixture *f, const void *data, size_t size)
{
    test_write_bytes(f->dir, "blob", data, size);
    return oid_from(f->path, "git hash-object -w ../blob");
}

/* Reads as the kernel does, in pieces; then here and there. */
static void assert_content(struct fixture *f, const struct oid *oid, const char *data, size_t size)
{
    _cleanup_free_ char *piece = xmalloc(128 << 10);
    unsigned seed = 1;

    for (size_t at = 0; at < size + (128 << 10); at += 128 << 10) {
        size_t left = at < size ? size - at : 0, want = left < 128 << 10 ? left : 128 << 10;
        assert_int_equal(blob_read(f->repo, oid, piece, 128 << 10, at), want);
        assert_memory_equal(piece, data + (want ? at : 0), want);
    }
    for (int i = 0; i < 1000; i++) {
        size_t at = rand_r(&seed) % size, want = size - at < 4096 ? size - at : 4096;
        assert_int_equal(blob_read(f->repo, oid, piece, 4096, at), want);
        assert_memory_equal(piece, data + at, want);
    }
    assert_int_equal(blob_read(f->repo, oid, piece, 1, UINT64_MAX), 0);
    assert_int_equal(blob_read(f->repo, oid, piece, 4096, INT64_MAX), 0);
}

#define BIG (40 * MB)

/* In whatever form Git has a large blob: loose, whole in a pack, as a delta. */
static void test_large_blobs_take_no_memory(void **state)
{
    static const char *const forms[] = {":", "git repack -adfq --depth=0; git prune-packed",
                                        "git repack -adfq --depth=5; git prune-packed"};
    struct fixture *f = *state;
    char *data[] = {noise(BIG, 1), noise(BIG, 2)};
    struct oid oids[2];

    test_run(f->path, "git config core.bigFileThreshold 1g; git config core.compression 1");
    for (int i = 0; i < 2; i++) {
        test_write_bytes(f->path, "big", data[i], BIG);
        test_run(f->path, "git add -A; git commit -qm %d", i);
        oids[i] = oid_from(f->path, "git rev-parse HEAD:big");
    }
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        test_run(f->path, "%s", forms[i]);
        fixture_reopen(f);
        _cleanup_free_ char *dir = spool(f);
        int64_t before = anonymous_memory();
        assert_content(f, &oids[0], data[0], BIG);
        assert_content(f, &oids[1], data[1], BIG);
#ifndef __SANITIZE_ADDRESS__
        assert_in_range(anonymous_memory(), 0, before + 8 * MB);
#else
        (void)before;
#endif
        assert_int_equal(open_files(dir), 2);
        test_run(dir, "test -z \"$(ls)\"");
    }
    test_run(f->path, "git verify-pack -v .git/objects/pack/*.idx |"
                      "grep -E '^[0-9a-f]+ blob +[0-9]+ [0-9]+ [0-9]+ 1 '");
    free(data[0]);
    free(data[1]);
}

struct reader {
    struct fixture *f;
    struct oid oid;
    const char *data;
    size_t size;
    pthread_t thread;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    char piece[4096];

    for (size_t at = 0; at < r->size; at += sizeof(piece))
        if (blob_read(r->f->repo, &r->oid, piece, sizeof(piece), at) != sizeof(piece) ||
            memcmp(piece, r->data + at, sizeof(piece)))
            return "wrong";
    return NULL;
}

static void test_readers_share_one_file(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *data = noise(4 * MB, 1), *dir = spool(f);
    struct reader readers[8];
    void *wrong;

    for (int i = 0; i < 8; i++) {
        readers[i] = (struct reader){f, {{0}}, data, 4 * MB};
        readers[i].oid = i ? readers[0].oid : store(f, data, 4 * MB);
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(readers[i].thread, &wrong);
        assert_null(wrong);
    }
    assert_int_equal(open_files(dir), 1);
}

static void test_files_are_bounded_in_number(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *data = noise(100000, 0), *dir = spool(f);
    char byte;

    repo_cache_limit(f->repo, 4 * MB); /* so that these are large ones */
    for (int i = 0; i < SPILL_NUMBER + 6; i++) {
        data[0] = i;
        struct oid oid = store(f, data, 100000);
        assert_int_equal(blob_read(f->repo, &oid, &byte, 1, 0), 1);
        assert_int_equal(byte, i);
    }
    assert_int_equal(open_files(dir), SPILL_NUMBER);
}

static void test_small_blobs_need_no_file(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *data = noise(MB, 0), *none = xasprintf("%s/none", f->dir);
    struct oid oid = store(f, data, 500000), large = store(f, data, 1000000);

    elsewhere_in(f, "/dev/null");
    repo_spool_in(f->repo, none);
    repo_cache_limit(f->repo, 4 * MB);
    assert_content(f, &oid, data, 500000);
    assert_int_equal(blob_read(f->repo, &large, data, 1, 0), -ENOSPC); /* not "no such blob" */
}

/* Where the directory fails another one does, and where that fails memory does, within bounds. */
static void test_a_bad_directory_is_replaced(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *data = noise(5 * MB, 0), *none = xasprintf("%s/none", f->dir);
    _cleanup_free_ char *elsewhere = xasprintf("%s/elsewhere", f->dir);
    struct oid fits = store(f, data, 3 * MB), larger = store(f, data, 5 * MB);

    test_run(f->dir, "mkdir elsewhere");
    elsewhere_in(f, elsewhere);
    repo_spool_in(f->repo, none);
    assert_content(f, &larger, data, 5 * MB);
    assert_int_equal(open_files(elsewhere), 1);
    elsewhere_in(f, "/dev/null");
    repo_spool_in(f->repo, none);
    repo_cache_limit(f->repo, 32 * MB);
    assert_content(f, &fits, data, 3 * MB);
    assert_int_equal(blob_read(f->repo, &larger, data, 1, 0), -ENOSPC);
    assert_content(f, &fits, data, 3 * MB);
}

static void test_wrong_content_is_not_given(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *data = noise(3 * MB, 1), *dir = spool(f);
    struct oid oid = store(f, data, 3 * MB), other;
    char hex[OID_HEX + 1], other_hex[OID_HEX + 1], byte;

    data[2 * MB] ^= 1;
    other = store(f, data, 3 * MB);
    oid_hex(&oid, hex);
    oid_hex(&other, other_hex);
    test_run(f->path, "cd .git/objects; cp -f %.2s/%s %.2s/%s", other_hex, other_hex + 2, hex,
             hex + 2);
    int64_t errors = metric_value("onward_object_errors_total");
    for (int i = 0; i < 2; i++)
        assert_int_equal(blob_read(f->repo, &oid, &byte, 1, 0), -EIO);
    assert_int_equal(metric_value("onward_object_errors_total"), errors + 1);
    assert_int_equal(open_files(dir), 0);
    assert_content(f, &other, data, 3 * MB);
    struct oid tree = oid_from(f->path, "git add -A; git write-tree");
    assert_int_equal(spill_read(f->repo->spill, &tree, &byte, 1, 0), -EIO);
}

static void test_a_full_disk_is_an_error_of_that_read(void **state)
{
    struct fixture *f = *state;
    elsewhere_in(f, "/dev/null");
    _cleanup_free_ char *data = noise(6 * MB, 0), *dir = spool(f);
    struct oid a = store(f, data, 3 * MB), b, large, small = store(f, "small", 5);
    char byte;

    data[0] = 'b';
    b = store(f, data, 3 * MB);
    large = store(f, data, 6 * MB);
    if (mount("spool", dir, "tmpfs", 0, "size=5m") < 0)
        test_skip("no tmpfs can be mounted here: %s", strerror(errno));
    repo_cache_limit(f->repo, 4 * MB);
    assert_int_equal(blob_read(f->repo, &a, &byte, 1, 0), 1);
    assert_int_equal(blob_read(f->repo, &b, &byte, 1, 0), 1); /* in place of `a` */
    assert_int_equal(open_files(dir), 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(blob_read(f->repo, &large, &byte, 1, 0), -ENOSPC);
    assert_int_equal(blob_read(f->repo, &small, &byte, 1, 0), 1);
    assert_int_equal(mount("spool", dir, "tmpfs", MS_REMOUNT, "size=20m"), 0);
    assert_int_equal(blob_read(f->repo, &large, &byte, 1, 0), 1);
    assert_int_equal(byte, 'b');
    fixture_reopen(f);
    assert_int_equal(umount(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_large_blobs_take_no_memory),           TEST(test_readers_share_one_file),
        TEST(test_files_are_bounded_in_number),          TEST(test_small_blobs_need_no_file),
        TEST(test_a_bad_directory_is_replaced),          TEST(test_wrong_content_is_not_given),
        TEST(test_a_full_disk_is_an_error_of_that_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
