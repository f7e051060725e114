#include "fixture.h"
#include "written.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"

/* What `git ls-tree -r -t -z` says of the tree, from ours. */
static void list(struct repo *repo, const struct oid *oid, const char *prefix, struct buf *out)
{
    static const char *const kinds[] = {
        [ENTRY_FILE] = "100644 blob",     [ENTRY_EXEC] = "100755 blob",
        [ENTRY_LINK] = "120000 blob",     [ENTRY_DIR] = "040000 tree",
        [ENTRY_MODULE] = "160000 commit",
    };
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    char hex[OID_HEX + 1];

    assert_int_equal(tree_load(repo, oid, &tree), 0);
    for (size_t i = 0; i < tree->n; i++) {
        const struct tree_entry *e = &tree->entries[i];
        assert_true(i == 0 || strcmp(e[-1].name, e->name) < 0);
        assert_ptr_equal(tree_find(tree, e->name), e);
        buf_addf(out, "%s %s\t%s%s", kinds[e->kind], oid_hex(&e->oid, hex), prefix, e->name);
        buf_addc(out, 0);
        if (e->kind == ENTRY_DIR) {
            _cleanup_free_ char *sub = xasprintf("%s%s/", prefix, e->name);
            list(repo, &e->oid, sub, out);
        }
    }
}

static void assert_tree_as_git(struct fixture *f, const struct oid *tree)
{
    _cleanup_(buf_done) struct buf ours = {0};
    char hex[OID_HEX + 1];

    list(f->repo, tree, "", &ours);
    test_write_bytes(f->dir, "ours", buf_str(&ours), ours.len);
    test_run(f->path,
             "git ls-tree -r -t -z %s >../theirs; sort -z ../ours >../a; sort -z ../theirs >../b;"
             "cmp ../a ../b",
             oid_hex(tree, hex));
}

/* A commit of everything that is odd and allowed; returns its tree. */
static struct oid commit_odd_tree(struct fixture *f)
{
    test_write_file(f->path, "a.b/x", "1");
    test_write_file(f->path, "a/deep/er/file", "2");
    test_write_file(f->path, "a0", "3");
    test_write_file(f->path, "run", "#!/bin/sh\n");
    test_write_file(f->path, "odd \"name\\\twith\nnewline", "4");
    test_write_file(f->path, "not-utf8-\xff\xfe", "5");
    test_write_file(f->path, ".gitmodules", "");
    test_write_bytes(f->path, "bin", "a\0b\0\0", 5);
    test_run(f->path, "chmod +x run; ln -s ../else where; ln -s /etc/passwd abs; git add -A;"
                      "git update-index --add --cacheinfo "
                      "160000,0123456789012345678901234567890123456789,module; git commit -qm x");
    return oid_from(f->path, "git rev-parse HEAD^{tree}");
}

static void test_trees_are_as_git_lists_them(void **state)
{
    struct fixture *f = *state;
    struct oid tree = commit_odd_tree(f);
    struct oid empty = oid_from(f->path, "git hash-object -t tree /dev/null");

    assert_tree_as_git(f, &tree);
    assert_tree_as_git(f, &empty);
    test_run(f->path, "git gc -q --aggressive; test -z \"$(ls .git/objects/?? 2>/dev/null)\"");
    assert_tree_as_git(f, &tree);
    fixture_reopen(f);
    assert_tree_as_git(f, &tree);
}

static void check_blob(struct repo *repo, const struct oid *oid, const void *data, size_t len)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    uint64_t size;

    assert_int_equal(blob_load(repo, oid, &blob), 0);
    assert_int_equal(blob->size, len);
    assert_memory_equal(blob->data, data, len + 1);
    assert_int_equal(blob_size(repo, oid, &size), 0);
    assert_int_equal(size, len);
}

static void test_blobs_are_read_loose_packed_and_from_an_alternate(void **state)
{
    struct fixture *f = *state;
    struct oid oid, empty;

    commit_odd_tree(f);
    oid = oid_from(f->path, "git rev-parse HEAD:bin");
    empty = oid_from(f->path, "git rev-parse HEAD:.gitmodules");
    for (int packed = 0; packed < 2; packed++) {
        check_blob(f->repo, &oid, "a\0b\0\0", 5);
        check_blob(f->repo, &empty, "", 0);
        test_run(f->path, "git gc -q");
        fixture_reopen(f);
    }
    test_run(f->dir,
             "git clone -q --bare -s work second; git clone -q -s second third; "
             "mv work first; sed -i s,/work/.git,/first/.git, second/objects/info/alternates; "
             "mv third work; test -z \"$(find work/.git/objects -type f -size +0 ! -path "
             "'*/info/*')\"");
    fixture_reopen(f);
    check_blob(f->repo, &oid, "a\0b\0\0", 5);
    test_run(f->dir, "rm -rf first");
    fixture_reopen(f);
    assert_int_equal(blob_size(f->repo, &oid, &(uint64_t){0}), -EIO);
}

static void test_a_path_leads_to_what_is_there(void **state)
{
    struct fixture *f = *state;
    struct oid tree = commit_odd_tree(f), oid;
    enum entry_kind kind;

    assert_int_equal(tree_walk_path(f->repo, &tree, "", &kind, &oid), 0);
    assert_int_equal(kind, ENTRY_DIR);
    assert_oid_equal(&oid, &tree);
    assert_int_equal(tree_walk_path(f->repo, &tree, "a/deep/er/file", &kind, &oid), 0);
    assert_int_equal(kind, ENTRY_FILE);
    assert_oid_is(&oid, f->path, "HEAD:a/deep/er/file");
    assert_int_equal(tree_walk_path(f->repo, &tree, "run", &kind, &oid), 0);
    assert_int_equal(kind, ENTRY_EXEC);
    assert_int_equal(tree_walk_path(f->repo, &tree, "where", &kind, &oid), 0);
    assert_int_equal(kind, ENTRY_LINK);
    assert_int_equal(tree_walk_path(f->repo, &tree, "a/none", &kind, &oid), -ENOENT);
    assert_int_equal(tree_walk_path(f->repo, &tree, "run/x", &kind, &oid), -ENOTDIR);
    assert_int_equal(tree_walk_path(f->repo, &tree, "where/x", &kind, &oid), -ENOTDIR);
}

static void add_entry(struct buf *raw, const char *mode, const char *name, const struct oid *oid)
{
    buf_addf(raw, "%s %s", mode, name);
    buf_addc(raw, 0);
    buf_add(raw, oid->id, OID_RAW);
}

static void test_names_that_no_filesystem_may_show_are_hidden(void **state)
{
    static const char *const bad_names[] = {".", "..", ".git", ".GiT", "", "a/b", "/etc/x"};
    static const char *const bad_modes[] = {"0",     "60660",   "20644",
                                            "10644", "1100644", "777777777777"};
    struct fixture *f = *state;
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    _cleanup_(buf_done) struct buf raw = {0};
    char long_name[400];
    struct oid oid = oid_from(f->path, "echo one | git hash-object -w --stdin"), first;
    int64_t before = metric_value("onward_hidden_entries_total");

    for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++)
        add_entry(&raw, "100644", bad_names[i], &oid);
    for (size_t i = 0; i < ARRAY_SIZE(bad_modes); i++)
        add_entry(&raw, bad_modes[i], "strange", &oid);
    memset(long_name, 'n', 256);
    long_name[256] = 0;
    add_entry(&raw, "100644", long_name, &oid);
    add_entry(&raw, "104744", "twice", &oid);
    blob_hash("other", 5, &first);
    add_entry(&raw, "40000", "twice", &first);
    long_name[255] = 0;
    add_entry(&raw, "100664", long_name, &oid);
    add_entry(&raw, "120777", "git~1", &oid);
    first = write_literally(f->path, "tree", raw.data, raw.len);

    assert_int_equal(tree_load(f->repo, &first, &tree), 0);
    assert_int_equal(tree->n, 3);
    assert_string_equal(tree->entries[0].name, "git~1");
    assert_int_equal(tree->entries[0].kind, ENTRY_LINK);
    assert_string_equal(tree->entries[1].name, long_name);
    assert_int_equal(tree->entries[1].kind, ENTRY_FILE);
    assert_string_equal(tree->entries[2].name, "twice");
    assert_int_equal(tree->entries[2].kind, ENTRY_EXEC);
    assert_oid_equal(&tree->entries[2].oid, &oid);
    assert_null(tree_find(tree, ".git"));
    assert_int_equal(metric_value("onward_hidden_entries_total") - before,
                     ARRAY_SIZE(bad_names) + ARRAY_SIZE(bad_modes) + 2);
}

static void test_malformed_trees_are_errors_of_their_own(void **state)
{
    static const struct {
        const char *data;
        size_t len;
    } bad[] = {
        {"100644 cut\0 1234567890123456789", 30},
        {"100644 no-end", 13},
        {"100644", 6},
        {"x100644 a\0 12345678901234567890", 30},
        {" a\0 12345678901234567890", 24},
        {"\0", 1},
    };
    struct fixture *f = *state;
    struct oid oid, blob = oid_from(f->path, "echo hi | git hash-object -w --stdin");
    struct tree *tree;
    struct blob *content;
    int64_t before = metric_value("onward_object_errors_total");

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        oid = write_literally(f->path, "tree", bad[i].data, bad[i].len);
        assert_int_equal(tree_load(f->repo, &oid, &tree), -EIO);
        assert_int_equal(tree_load(f->repo, &oid, &tree), -EIO);
    }
    assert_int_equal(metric_value("onward_object_errors_total") - before, ARRAY_SIZE(bad));
    assert_int_equal(tree_load(f->repo, &blob, &tree), -EIO);
    assert_int_equal(blob_load(f->repo, &oid, &content), -EIO);
    oid.id[0] ^= 1;
    assert_int_equal(blob_load(f->repo, &oid, &content), -EIO);
    assert_int_equal(tree_load(f->repo, &oid, &tree), -EIO);
}

static void test_what_is_written_is_what_git_would_write(void **state)
{
    struct fixture *f = *state;
    struct oid oid, hash, tree;
    struct oid none = oid_of("0123456789012345678901234567890123456789");

    assert_int_equal(blob_write(f->repo, "one\r\n", 5, &oid, NULL), 0);
    hash = oid_from(f->path, "printf 'one\\r\\n' | git hash-object --stdin");
    assert_oid_equal(&oid, &hash);
    blob_hash("one\r\n", 5, &hash);
    assert_oid_equal(&oid, &hash);
    struct tree_entry entries[] = {
        {"a.b", ENTRY_FILE, oid}, {"a0", ENTRY_EXEC, oid},     {"link", ENTRY_LINK, oid},
        {"a", ENTRY_DIR, {{0}}},  {"mod", ENTRY_MODULE, none},
    };
    assert_int_equal(tree_write(f->repo, entries, 3, &entries[3].oid, NULL), 0);
    assert_int_equal(tree_write(f->repo, entries, 5, &tree, NULL), 0);
    assert_tree_as_git(f, &tree);
    char hex[OID_HEX + 1];
    test_run(f->path,
             "git fsck --strict --no-dangling; git read-tree %s; "
             "test $(git write-tree --missing-ok) = %s",
             oid_hex(&tree, hex), hex);
    assert_int_equal(tree_write(f->repo, NULL, 0, &tree, NULL), 0);
    hash = oid_from(f->path, "git hash-object -t tree /dev/null");
    assert_oid_equal(&tree, &hash);
}

static void test_names_that_git_refuses_are_not_written(void **state)
{
    static const char *const bad[] = {"", ".", "..", ".git", ".Git", "a/b"};
    struct fixture *f = *state;
    struct oid blob, tree;

    assert_int_equal(blob_write(f->repo, "x", 1, &blob, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_(diag_done) struct diag why = {0};
        struct tree_entry e = {bad[i], ENTRY_FILE, blob};
        assert_int_equal(tree_write(f->repo, &e, 1, &tree, &why), -EINVAL);
        assert_non_null(strstr(why.text, bad[i]));
    }
    struct tree_entry twice[] = {
        {"b", ENTRY_FILE, blob}, {"b-", ENTRY_FILE, blob}, {"b", ENTRY_DIR, blob}};
    assert_int_equal(tree_write(f->repo, twice, 3, &tree, NULL), -EINVAL);
}

/* `size` bytes that do not compress, the same each time. */
static char *noise(size_t size)
{
    char *data = xmalloc(size + 1);
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = x;
    }
    data[size] = 0;
    return data;
}

static void test_files_are_stored_from_memory_and_in_pieces(void **state)
{
    static const size_t sizes[] = {0, 100, 5 << 20, 9 << 20};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        _cleanup_free_ char *data = noise(sizes[i]);
        _cleanup_(diag_done) struct diag why = {0};
        struct oid oid;
        test_write_bytes(f->dir, "file", data, sizes[i]);
        _cleanup_free_ char *path = xasprintf("%s/file", f->dir);
        _cleanup_(fclosep) FILE *file = fopen(path, "re");
        int fd = fileno(file);
        assert_int_equal(blob_write_fd(f->repo, fd, sizes[i] + 1, &oid, &why), -EIO);
        /* Twice: the second time it is there already. */
        for (int round = 0; round < 2; round++)
            assert_int_equal(blob_write_fd(f->repo, fd, sizes[i], &oid, NULL), 0);
        check_blob(f->repo, &oid, data, sizes[i]);
        struct oid theirs = oid_from(f->path, "git hash-object ../file");
        assert_oid_equal(&oid, &theirs);
    }
}

static void *load_in_thread(void *arg)
{
    struct fixture *f = arg;
    _cleanup_free_ char *hex = test_read_file(f->dir, "id", NULL);
    struct oid oid = oid_of(hex);
    struct blob *blob = NULL;

    assert_int_equal(blob_load(f->repo, &oid, &blob), 0);
    return blob;
}

static void test_threads_share_one_copy(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *data = noise(3 << 20);
    pthread_t threads[8];
    void *blobs[8];
    struct oid oid;
    char hex[OID_HEX + 1];

    assert_int_equal(blob_write(f->repo, data, 3 << 20, &oid, NULL), 0);
    test_write_file(f->dir, "id", oid_hex(&oid, hex));
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_in_thread, f), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], &blobs[i]);
    for (int i = 0; i < 8; i++) {
        assert_ptr_equal(blobs[i], blobs[0]);
        if (i)
            blob_unref(blobs[i]);
    }
    /* What is in use outlives the repository. */
    repo_free(TAKE(f->repo));
    assert_memory_equal(((struct blob *)blobs[0])->data, data, 3 << 20);
    blob_unref(blobs[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_trees_are_as_git_lists_them),
        TEST(test_blobs_are_read_loose_packed_and_from_an_alternate),
        TEST(test_a_path_leads_to_what_is_there),
        TEST(test_names_that_no_filesystem_may_show_are_hidden),
        TEST(test_malformed_trees_are_errors_of_their_own),
        TEST(test_what_is_written_is_what_git_would_write),
        TEST(test_names_that_git_refuses_are_not_written),
        TEST(test_files_are_stored_from_memory_and_in_pieces),
        TEST(test_threads_share_one_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
