#include "fixture.h"
#include "written.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/revision.h"

static void test_a_commit_is_read_as_it_is_stored(void **state)
{
    struct fixture *f = *state;
    _cleanup_(revision_freep) struct revision *rev = NULL;
    struct revision_brief brief;

    free(test_commit(f->path, "a", "1", "first"));
    test_run(f->path,
             "git checkout -q -b side; git commit -q --allow-empty -m side; git checkout -q main;"
             "GIT_AUTHOR_NAME='Änn <O> Lee' GIT_AUTHOR_DATE='1700000000 -0330' "
             "GIT_COMMITTER_DATE='1700000001 +0545' git merge -q --no-ff -m 'two\n\nlines' side");
    struct oid head = oid_from(f->path, "git rev-parse HEAD");
    assert_int_equal(revision_load(f->repo, &head, &rev), 0);
    assert_oid_is(&rev->oid, f->path, "HEAD");
    assert_oid_is(&rev->tree, f->path, "HEAD^{tree}");
    assert_int_equal(rev->nparents, 2);
    assert_oid_is(&rev->parents[0], f->path, "HEAD^1");
    assert_oid_is(&rev->parents[1], f->path, "HEAD^2");
    assert_string_equal(rev->author.name, "Änn O Lee");
    assert_string_equal(rev->author.email, "ann@example.org");
    assert_int_equal(rev->author.time, 1700000000);
    assert_int_equal(rev->author.offset, -210);
    assert_string_equal(rev->committer.name, "Carl Committer");
    assert_int_equal(rev->committer.time, 1700000001);
    assert_int_equal(rev->committer.offset, 345);
    assert_string_equal(rev->message, "two\n\nlines\n");
    assert_int_equal(revision_brief(f->repo, &head, &brief), 0);
    assert_oid_equal(&brief.tree, &rev->tree);
    assert_oid_equal(&brief.parent, &rev->parents[0]);
    assert_int_equal(brief.time, 1700000001);
    brief.parent.id[0]++;
    brief.parent = oid_from(f->path, "git rev-list --max-parents=0 HEAD");
    assert_int_equal(revision_brief(f->repo, &brief.parent, &brief), 0);
    assert_true(oid_is_zero(&brief.parent));
}

static void test_odd_commits_show_what_they_have(void **state)
{
    static const struct {
        const char *head; /* behind the tree line */
        const char *name, *email, *message;
        int64_t time;
    } cases[] = {
        {"", "", "", "", 0},
        {"\nno names", "", "", "no names", 0},
        {"author  <> 12 +0000\ncommitter A B<a@b> 99999999999999999999 +1\nx y\n\nm", "A B", "a@b",
         "m", 0},
        {"author A\ncommitter A <a> b> -5 -0100\nencoding latin1\ngpgsig -----\n \n q\n\nm\n\nn",
         "A", "a> b", "m\n\nn", -5},
        {"parent 0123\n", NULL},
        {"author A <a> 1 +0000", "", "", "", 0},
    };
    struct fixture *f = *state;
    struct oid tree = oid_from(f->path, "git write-tree"), oid;
    char hex[OID_HEX + 1];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *raw = xasprintf("tree %s\n%s", oid_hex(&tree, hex), cases[i].head);
        _cleanup_(revision_freep) struct revision *rev = NULL;
        oid = write_literally(f->path, "commit", raw, strlen(raw));
        if (!cases[i].name) {
            assert_int_equal(revision_load(f->repo, &oid, &rev), -EIO);
            continue;
        }
        assert_int_equal(revision_load(f->repo, &oid, &rev), 0);
        assert_string_equal(rev->committer.name, cases[i].name);
        assert_string_equal(rev->committer.email, cases[i].email);
        assert_string_equal(rev->message, cases[i].message);
        assert_int_equal(rev->committer.time, cases[i].time);
    }
    oid = write_literally(f->path, "commit", "tree x", 6);
    assert_int_equal(revision_brief(f->repo, &oid, &(struct revision_brief){0}), -EIO);
    assert_int_equal(revision_brief(f->repo, &tree, &(struct revision_brief){0}), -ENOENT);
    oid.id[3] ^= 1;
    assert_int_equal(revision_brief(f->repo, &oid, &(struct revision_brief){0}), -ENOENT);
}

static void test_names_resolve_as_git_resolves_them(void **state)
{
    static const char *const good[] = {
        "HEAD",      "main",    "HEAD~2",       "HEAD^",        "v1",        "light",
        "v1~1",      "side",    "refs/tags/v1", "heads/side",   "main^{}",   "twice",
        "feature/x", "merge^2", "merge^1~1",    "merge^^",      "merge~1^0", "v1^{commit}^",
        "a@b",       "HEAD~0",  "tags/light",   "merge^2^{}~1", "abcd",
    };
    static const char *const bad[] = {
        "",
        "none",
        "HEAD~99",
        "HEAD:file",
        "blob",
        "HEAD@{1}",
        "-x",
        "..",
        "HEAD^{tree}",
        "main..side",
        ":/c2",
        "a b",
        "HEAD^2",
        "HEAD~99999999999999999999",
        "merge^3",
        "HEAD~x",
        "~1",
        "^main",
        "config",
        "abce",
        "abc",
    };
    struct fixture *f = *state;
    struct oid oid;

    for (int i = 0; i < 4; i++)
        free(test_commit(f->path, "file", (const char *[]){"a", "b", "c", "d"}[i], "c"));
    test_run(f->path, "git tag -a -m x v1 HEAD~1; git tag light HEAD~2; git branch side HEAD~3;"
                      "git tag -a -m x twice v1; git tag blob HEAD:file; git branch feature/x; git "
                      "branch a@b; git branch abcd HEAD~;"
                      "git checkout -q -b merge side; git commit -q --allow-empty -m x; git merge "
                      "-q -m m main; git checkout -q main");
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        _cleanup_free_ char *commit = xasprintf("%s^{commit}", good[i]);
        if (revision_resolve(f->repo, good[i], &oid) < 0)
            fail_msg("'%s' does not resolve", good[i]);
        assert_oid_is(&oid, f->path, commit);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (revision_resolve(f->repo, bad[i], &oid) != -ENOENT)
            fail_msg("'%s' resolves", bad[i]);
    _cleanup_free_ char *full = test_output(f->path, "git rev-parse HEAD~1");
    assert_int_equal(revision_resolve(f->repo, full, &oid), 0);
    assert_oid_is(&oid, f->path, full);
    full[7] = 0;
    assert_int_equal(revision_resolve(f->repo, full, &oid), 0);
    assert_oid_is(&oid, f->path, "HEAD~1");
    full[3] = 0;
    assert_int_equal(revision_resolve(f->repo, full, &oid), -ENOENT);
    _cleanup_free_ char *tag = test_output(f->path, "git rev-parse v1");
    assert_int_equal(revision_resolve(f->repo, tag, &oid), 0);
    assert_oid_is(&oid, f->path, "v1^{commit}");
}

static void test_a_written_commit_is_what_git_reads(void **state)
{
    struct fixture *f = *state;
    const struct signature author = {"Änn <Lee>\n", "ann@example.org", 1700000000, -210};
    const struct signature committer = {"onwardfs", "root@host", 1700000009, 60};
    const struct signature nobody = {"<>", "x", 1, 0};
    struct oid parents[2], tree, oid;

    free(test_commit(f->path, "a", "1", "first"));
    free(test_commit(f->path, "a", "2", "second"));
    parents[0] = oid_from(f->path, "git rev-parse HEAD");
    parents[1] = oid_from(f->path, "git rev-parse HEAD~");
    tree = oid_from(f->path, "git rev-parse HEAD^{tree}");
    struct revision draft = {.tree = tree,
                             .parents = parents,
                             .nparents = 2,
                             .author = author,
                             .committer = committer,
                             .message = (char *)"subject\n\nbody\n"};
    assert_int_equal(commit_write(f->repo, &draft, &oid, NULL), 0);
    char hex[OID_HEX + 1];
    _cleanup_free_ char *shown =
        test_output(f->path,
                    "git fsck --strict --no-dangling && git log -1 --date=raw "
                    "--format='%%T %%P|%%an|%%ae|%%ad|%%cn|%%ce|%%cd|%%B' %s",
                    oid_hex(&oid, hex));
    _cleanup_free_ char *want = test_output(
        f->path,
        "echo $(git rev-parse HEAD^{tree}) $(git rev-parse HEAD HEAD~)\"|Änn Lee|"
        "ann@example.org|1700000000 -0330|onwardfs|root@host|1700000009 +0100|subject\n\nbody\"");
    assert_string_equal(shown, want);

    draft.tree = parents[0];
    assert_int_equal(commit_write(f->repo, &draft, &oid, NULL), -EINVAL);
    draft.tree = parents[1] = tree;
    assert_int_equal(commit_write(f->repo, &draft, &oid, NULL), -EINVAL);
    draft.nparents = 0;
    draft.author = nobody;
    assert_int_equal(commit_write(f->repo, &draft, &oid, NULL), -EINVAL);
}

static void test_trailers_are_those_that_git_finds(void **state)
{
    struct fixture *f = *state;
    static const char *const messages[] = {
        "subject\n\nbody\n\nSigned-off-by: Ann <ann@example.org>\nReason: because\n  it was\n",
        "subject\n\nFixes: 1\n\nRestores: no newline",
        "subject\n\nKey: a: b\nKey: twice\n",
        "subject: not one\n",
        "subject\n\nKey: value\nwords\nmore words\nwords again\n",
        "",
    };

    for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
        struct buf got = {0};
        test_write_file(f->path, "message", messages[i]);
        _cleanup_free_ char *want =
            test_output(f->path, "git interpret-trailers --parse message; echo .");
        revision_trailers(messages[i], &got);
        buf_addc(&got, '.');
        assert_string_equal(buf_str(&got), want);
        buf_done(&got);
    }
}

/* Neither is a large object loaded to find that it is no commit, nor a large commit none. */
static void test_large_objects(void **state)
{
    struct fixture *f = *state;
    struct oid blob = oid_from(f->path, "head -c 134217728 /dev/zero | git hash-object -w --stdin"),
               commit = oid_from(f->path, "head -c 3000000 /dev/zero | tr '\\0' x |"
                                          "git commit-tree $(git mktree </dev/null)");
    struct revision *rev;
    struct rusage before, after;

    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(revision_load(f->repo, &blob, &rev), -ENOENT);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10);
    assert_int_equal(revision_load(f->repo, &commit, &rev), 0);
    assert_true(strlen(rev->message) >= 3000000);
    revision_free(rev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_commit_is_read_as_it_is_stored),
        TEST(test_odd_commits_show_what_they_have),
        TEST(test_names_resolve_as_git_resolves_them),
        TEST(test_a_written_commit_is_what_git_reads),
        TEST(test_trailers_are_those_that_git_finds),
        TEST(test_large_objects),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
