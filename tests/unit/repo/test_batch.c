/* Objects that are written together, against what git finds of them. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/batch.h"

#define MANY 300

static struct oid put(struct batch *b, const char *text)
{
    struct oid oid;

    assert_int_equal(sink_blob(batch_sink(b), text, strlen(text), &oid, NULL), 0);
    return oid;
}

/* `n` blobs "<prefix> 0" … and the tree of them. */
static struct oid put_tree(struct batch *b, const char *prefix, int n)
{
    _cleanup_free_ struct tree_entry *entries = xcalloc(n + 1, sizeof(*entries));
    struct oid tree;

    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *text = xasprintf("%s %d", prefix, i);
        entries[i] = (struct tree_entry){xstrdup(text), i % 2 ? ENTRY_FILE : ENTRY_EXEC};
        entries[i].oid = put(b, text);
    }
    assert_int_equal(sink_tree(batch_sink(b), entries, n, &tree, NULL), 0);
    for (int i = 0; i < n; i++)
        free((char *)entries[i].name);
    return tree;
}

static void store(struct batch *b)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = batch_store(b, &why);

    if (r < 0)
        fail_msg("%s", diag_text(&why, r));
}

/* What git makes of the same files. */
static void assert_is_tree(struct fixture *f, const struct oid *tree, const char *prefix, int n)
{
    char hex[OID_HEX + 1];
    _cleanup_free_ char *want = test_output(
        f->dir,
        "rm -rf other && git init -q other && cd other && for i in $(seq 0 %d); do printf '%s %%d' "
        "$i >\"%s $i\"; if [ $((i %% 2)) = 0 ]; then chmod +x \"%s $i\"; fi; done; "
        "git add -A && git write-tree",
        n - 1, prefix, prefix, prefix);

    assert_string_equal(oid_hex(tree, hex), want);
    test_run(f->path, "git fsck --strict --no-dangling && git archive %s >/dev/null", hex);
}

static char *count(struct fixture *f, const char *what)
{
    return test_output(f->path, "git count-objects -v | sed -n 's/^%s: //p'", what);
}

static void assert_counts(struct fixture *f, const char *loose, const char *packed)
{
    _cleanup_free_ char *is_loose = count(f, "count"), *is_packed = count(f, "in-pack");
    _cleanup_free_ char *garbage =
        test_output(f->path, "find .git/objects -name 'tmp_*' -o -name '*draft*'");

    assert_string_equal(is_loose, loose);
    assert_string_equal(is_packed, packed);
    assert_string_equal(garbage, "");
}

static void objects_are_as_git_makes_them(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(f->repo);
    struct oid tree = put_tree(b, "few", 10), empty, none;

    put(b, "few 3");
    assert_int_equal(sink_tree(batch_sink(b), NULL, 0, &empty, NULL), 0);
    assert_int_equal(sink_blob(batch_sink(b), "", 0, &none, NULL), 0);
    store(b);
    assert_counts(f, "0", "13");
    assert_is_tree(f, &tree, "few", 10);
    test_run(f->path, "git cat-file -e 4b825dc642cb6eb9a060e54bf8d69288fbee4904 && "
                      "git cat-file -e e69de29bb2d1d6434b8b29ae775ad8c2e48c5391 && "
                      "git verify-pack .git/objects/pack/pack-*.idx && "
                      "[ $(stat -c %%a .git/objects/pack/pack-*.pack) = 444 ]");
    put(b, "more");
    put(b, "few 3");
    store(b);
    assert_counts(f, "0", "14");
    batch_free(b);
}

#define COLLECT "git repack -q -a -d && git prune && git gc -q --prune=now"

/* B1, B3: nothing leads to them, and some of them are there already, about to go. */
static void no_git_takes_them_away(void **state)
{
    struct fixture *f = *state;
    struct batch *b;

    for (int round = 0; round < 2; round++) {
        test_run(f->path, "echo 'held 0' | tr -d '\\n' | git hash-object -w --stdin");
        b = batch_new(f->repo);
        put_tree(b, "held", MANY);
        store(b);
        test_run(f->path, COLLECT);
        assert_counts(f, "0", "301");
        put_tree(b, "held", MANY);
        store(b);
        assert_counts(f, "0", "301");
        batch_free(b);
    }
    test_run(f->path, "[ -z \"$(find .git/objects/pack -name '*.keep')\" ] && " COLLECT);
    assert_counts(f, "0", "0");
}

/* B2: a repack has listed the pack of a batch that came to nothing. */
static void no_pack_has_the_name_of_another(void **state)
{
    struct fixture *f = *state;
    struct oid tree;

    for (int i = 0; i < 2; i++) {
        struct batch *b = batch_new(f->repo);
        tree = put_tree(b, "same", 3);
        store(b);
        batch_free(b);
        if (i == 0)
            test_run(f->path, "ls .git/objects/pack >../listed");
    }
    test_run(f->path, "cd .git/objects/pack && rm -f $(cat ../../../../listed)");
    assert_is_tree(f, &tree, "same", 3);
}

/* `git prune` takes what it calls "tmp_…" for somebody's leavings. */
static void what_is_being_written_stays(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(f->repo);
    struct oid tree = put_tree(b, "slow", MANY);

    test_run(f->path, "find .git/objects -type f -exec touch -d '2001-01-01' {} + && git prune "
                      "--expire=now && git gc -q --prune=now");
    store(b);
    assert_is_tree(f, &tree, "slow", MANY);
    batch_free(b);
}

/* Bytes that do not compress, the same each time. */
static char *noise(size_t len)
{
    char *data = xmalloc(len);
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < len; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        data[i] = x >> 56;
    }
    return data;
}

static void large_files_are_packed_in_pieces(void **state)
{
    struct fixture *f = *state;
    size_t len = (12u << 20) + 1;
    _cleanup_free_ char *zeros = xcalloc(1, len), *random = noise(len),
                        *path = xasprintf("%s/big", f->dir);
    char *const contents[] = {zeros, random};
    char hex[OID_HEX + 1];
    struct oid oid;

    for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
        _cleanup_(batch_freep) struct batch *b = batch_new(f->repo);
        test_write_bytes(f->dir, "big", contents[i], len);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        put(b, "before");
        assert_int_equal(sink_blob_fd(batch_sink(b), fd, len + 1, &oid, NULL), -EIO);
        put(b, "before");
        for (int twice = 0; twice < 2; twice++)
            assert_int_equal(sink_blob_fd(batch_sink(b), fd, len, &oid, NULL), 0);
        put(b, "behind");
        store(b);
        test_run(f->path, "git cat-file blob %s | cmp - ../big && git fsck --strict",
                 oid_hex(&oid, hex));
    }
    assert_counts(f, "0", "6");
}

/* What a crash leaves of objects that were not synced: none of it may pass for the object. */
static void torn_objects_are_written_anew(void **state)
{
    static const int sizes[] = {10, MANY};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        test_run(f->path,
                 "for i in $(seq 0 %d); do printf \"torn $i\" | git hash-object -w --stdin; done",
                 sizes[i] - 1);
        test_run(f->path, "n=0; for o in $(find .git/objects -path '*/[0-9a-f][0-9a-f]/*'); do "
                          "n=$((n + 1)); chmod +w $o; "
                          "case $((n %% 3)) in 0) : >$o;; 1) truncate -s 12 $o;; esac; done");
        fixture_reopen(f);
        struct batch *b = batch_new(f->repo);
        struct oid tree = put_tree(b, "torn", sizes[i]);
        store(b);
        batch_free(b);
        assert_is_tree(f, &tree, "torn", sizes[i]);
    }
}

static void a_failure_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(f->repo);
    _cleanup_(diag_done) struct diag why = {0};
    struct oid oid;
    int r = 0;

    put_tree(b, "many", MANY);
    test_run(f->path, "mv .git/objects/pack away && ln -s nowhere .git/objects/pack");
    assert_int_equal(batch_store(b, &why), -ENOENT);
    assert_non_null(strstr(why.text, "cannot write a pack to "));
    for (int i = 0; i < MANY && r == 0; i++) {
        _cleanup_free_ char *text = xasprintf("%d", i);
        r = sink_blob(batch_sink(b), text, strlen(text), &oid, NULL);
    }
    assert_int_equal(r, -ENOENT);
    batch_free(b);
    test_run(f->path, "rm .git/objects/pack && mv away .git/objects/pack");
    b = batch_new(f->repo);
    put(b, "one");
    put_tree(b, "many", MANY);
    batch_free(b);
    test_run(f->path,
             "rm -f .git/objects/pack/onward_draft_??????"); /* the one that lost its place */
    assert_counts(f, "0", "0");
}

static void what_a_crash_left_goes(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(f->repo);

    put_tree(b, "many", MANY);
    store(b);
    test_run(f->path,
             "cd .git/objects/pack && cp pack-*.keep pack-dead.keep && : >pack-unsaid.keep &&"
             " : >pack-mine.keep && : >pack-mine.pack && echo receive-pack >pack-other.keep");
    batch_tidy(f->repo);
    test_run(f->path, "cd .git/objects/pack && ls *.keep && [ $(ls *.keep | wc -l) = 3 ] && "
                      "[ ! -e pack-dead.keep ] && [ ! -e pack-unsaid.keep ]");
    batch_free(b);
    test_run(f->path, "cd .git/objects/pack && [ $(ls *.keep | wc -l) = 2 ]");
}

/* One more than are ever opened (pack_list.c) is no reason to fail. */
static void there_may_be_however_many_packs(void **state)
{
    struct fixture *f = *state;
    struct oid oid = {0};

    for (int i = 0; i < 210; i++) {
        _cleanup_(batch_freep) struct batch *b = batch_new(f->repo);
        _cleanup_free_ char *text = xasprintf("held %d", i);
        oid = put(b, text);
        store(b);
        assert_int_equal(test_status(f->path, "ls .git/objects/pack/*.keep"), 0);
    }
    _cleanup_free_ char *packs = test_output(f->path, "ls .git/objects/pack/*.pack | wc -l");
    assert_string_equal(packs, "210");
    assert_int_not_equal(test_status(f->path, "ls .git/objects/pack/*.keep"), 0);
    _cleanup_(batch_freep) struct batch *again = batch_new(f->repo);
    put(again, "held 0");
    put(again, "more");
    store(again);
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    assert_int_equal(blob_load(f->repo, &oid, &blob), 0);
    test_run(f->path, "git fsck --strict");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(objects_are_as_git_makes_them),    TEST(no_git_takes_them_away),
        TEST(no_pack_has_the_name_of_another),  TEST(what_is_being_written_stays),
        TEST(large_files_are_packed_in_pieces), TEST(torn_objects_are_written_anew),
        TEST(a_failure_leaves_nothing),         TEST(what_a_crash_left_goes),
        TEST(there_may_be_however_many_packs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
