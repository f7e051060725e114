/* Objects that are written together, against what git finds of them. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
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
    _cleanup_free_ char *garbage = test_output(f->path, "find .git/objects -name 'tmp_*'");

    assert_string_equal(is_loose, loose);
    assert_string_equal(is_packed, packed);
    assert_string_equal(garbage, "");
}

static struct buf synced; /* paths, a line each, while it has memory */

int fsync(int fd)
{
    _cleanup_free_ char *link = xasprintf("/proc/self/fd/%d", fd);
    char path[4096];
    ssize_t n = readlink(link, path, sizeof(path));

    if (synced.data && n > 0)
        buf_addf(&synced, "%.*s\n", (int)n, path);
    return syscall(SYS_fsync, fd);
}

static int times_synced(const char *end)
{
    int n = 0;

    for (const char *at = buf_str(&synced); (at = strstr(at, end)); at++)
        n++;
    return n;
}

static void packs_of_others_are_made_durable_once(void **state)
{
    struct fixture *f = *state;

    test_run(f->path,
             "echo a >a && git add a && git commit -qm a && git -c core.fsync=none repack -adq");
    fixture_reopen(f);
    buf_addc(&synced, '\n');
    for (int i = 0; i < 3; i++) {
        _cleanup_(batch_freep) struct batch *b = batch_new(f->repo);
        put(b, "a\n");
        store(b);
    }
    assert_int_equal(times_synced(".pack\n"), 1);
    assert_int_equal(times_synced(".idx\n"), 1);
    assert_int_equal(times_synced("/objects/pack\n"), 1);
    buf_done(&synced);
    assert_counts(f, "0", "3");
}

static void a_few_are_loose(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(f->repo);
    struct oid tree = put_tree(b, "few", 10), empty, none;

    put(b, "few 3");
    assert_int_equal(sink_tree(batch_sink(b), NULL, 0, &empty, NULL), 0);
    assert_int_equal(sink_blob(batch_sink(b), "", 0, &none, NULL), 0);
    assert_counts(f, "0", "0");
    store(b);
    assert_counts(f, "13", "0");
    assert_is_tree(f, &tree, "few", 10);
    test_run(f->path, "git cat-file -e 4b825dc642cb6eb9a060e54bf8d69288fbee4904 && "
                      "git cat-file -e e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    put(b, "more");
    put(b, "few 3");
    store(b);
    assert_counts(f, "14", "0");
    batch_free(b);
}

static void many_are_a_pack(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(f->repo);
    struct oid tree = put_tree(b, "many", MANY);

    store(b);
    assert_counts(f, "0", "301");
    assert_is_tree(f, &tree, "many", MANY);
    test_run(f->path, "git verify-pack .git/objects/pack/pack-*.idx && "
                      "[ $(stat -c %%a .git/objects/pack/pack-*.pack) = 444 ]");
    /* Nothing leads to them yet, and no git beside us takes them away. */
    test_run(f->path, "git repack -q -a -d && git prune-packed && git gc -q --prune=now");
    assert_counts(f, "0", "301");
    put_tree(b, "many", MANY);
    store(b);
    assert_counts(f, "0", "301");
    batch_free(b);
    test_run(f->path, "[ ! -e .git/objects/pack/*.keep ] && git gc -q --prune=now");
    assert_counts(f, "0", "0");
    /* Known as stored, but gone. */
    b = batch_new(f->repo);
    put_tree(b, "many", MANY);
    store(b);
    assert_counts(f, "0", "301");
    assert_is_tree(f, &tree, "many", MANY);
    batch_free(b);
}

static void large_files_are_loose(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(f->repo);
    size_t len = 12u << 20;
    _cleanup_free_ char *big = xcalloc(1, len);
    char hex[OID_HEX + 1];
    struct oid oid;

    test_write_bytes(f->dir, "big", big, len);
    _cleanup_free_ char *path = xasprintf("%s/big", f->dir);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    put_tree(b, "many", MANY);
    assert_int_equal(sink_blob_fd(batch_sink(b), fd, len, &oid, NULL), 0);
    assert_int_equal(sink_blob_fd(batch_sink(b), fd, 1000, &oid, NULL), 0);
    store(b);
    assert_counts(f, "1", "302");
    test_run(f->path, "git cat-file -e $(git hash-object ../big) && git cat-file -e %s",
             oid_hex(&oid, hex));
    batch_free(b);
}

/* What a crash leaves of objects that were not synced: none of it may pass for the object. */
static void torn_objects_are_written_anew(void **state)
{
    static const int sizes[] = {10, MANY};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct batch *b = batch_new(f->repo);
        for (int k = 0; k < sizes[i]; k++) {
            _cleanup_free_ char *text = xasprintf("torn %d", k);
            put(b, text);
            if (k % 50 == 49) /* not enough for a pack */
                store(b);
        }
        store(b);
        batch_free(b);
        test_run(f->path, "n=0; for o in $(find .git/objects -path '*/[0-9a-f][0-9a-f]/*'); do "
                          "n=$((n + 1)); chmod +w $o; "
                          "case $((n %% 3)) in 0) : >$o;; 1) truncate -s 12 $o;; esac; done");
        fixture_reopen(f);
        b = batch_new(f->repo);
        struct oid tree = put_tree(b, "torn", sizes[i]);
        store(b);
        batch_free(b);
        assert_is_tree(f, &tree, "torn", sizes[i]);
    }
}

static void what_is_there_is_not_written_again(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(f->repo);

    put_tree(b, "loose", 10);
    store(b);
    batch_free(b);
    test_run(f->path, "find .git/objects -type f -exec touch -d '2001-01-01' {} +");
    fixture_reopen(f);
    b = batch_new(f->repo);
    put_tree(b, "loose", 10);
    store(b);
    batch_free(b);
    assert_counts(f, "11", "0");
    /* But all of it is young again. */
    test_run(f->path, "[ -z \"$(find .git/objects -type f -mtime +1)\" ]");
    test_run(f->path, "for o in $(find .git/objects -path '*/[0-9a-f][0-9a-f]/*'); do echo $o | "
                      "tail -c 42 | tr -d /; done | "
                      "git pack-objects -q .git/objects/pack/pack && git prune-packed && "
                      "touch -d '2001-01-01' .git/objects/pack/*.pack");
    fixture_reopen(f);
    b = batch_new(f->repo);
    put_tree(b, "loose", 10);
    store(b);
    batch_free(b);
    assert_counts(f, "0", "11");
    test_run(f->path, "[ -z \"$(find .git/objects -name '*.pack' -mtime +1)\" ]");
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
    test_run(f->path, "rm -f .git/objects/pack/tmp_pack_??????"); /* the one that lost its place */
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

/* Each a pack, also what is there already; and one more than are ever opened (pack_list.c) is no
 * reason to fail. */
static void held_batches_are_packs_however_many(void **state)
{
    struct fixture *f = *state;
    struct oid oid = {0};

    for (int i = 0; i < 210; i++) {
        _cleanup_(batch_freep) struct batch *b = batch_new_held(f->repo);
        _cleanup_free_ char *text = xasprintf("held %d", i);
        oid = put(b, text);
        store(b);
        assert_int_equal(test_status(f->path, "ls .git/objects/pack/*.keep"), 0);
    }
    _cleanup_free_ char *packs = test_output(f->path, "ls .git/objects/pack/*.pack | wc -l");
    assert_string_equal(packs, "210");
    assert_int_not_equal(test_status(f->path, "ls .git/objects/pack/*.keep"), 0);
    _cleanup_(batch_freep) struct batch *again = batch_new_held(f->repo);
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
        TEST(a_few_are_loose),
        TEST(many_are_a_pack),
        TEST(large_files_are_loose),
        TEST(torn_objects_are_written_anew),
        TEST(what_is_there_is_not_written_again),
        TEST(packs_of_others_are_made_durable_once),
        TEST(a_failure_leaves_nothing),
        TEST(what_a_crash_left_goes),
        TEST(held_batches_are_packs_however_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
