#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/metric.h"
#include "repo/refs.h"
#include "repo/revision.h"

/* libgit2 1.5 leaks what its regular expressions need for each key in the configuration of a
 * repository of format version 1 that does not match "extensions.", each time it is opened. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpcre2\n";
}

/* Opens dir/name and reads HEAD's revision through it. */
static void assert_opens(struct fixture *f, const char *name, const char *git_dir,
                         const char *common_dir)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);
    _cleanup_free_ char *git = xasprintf("%s/%s", f->dir, git_dir);
    _cleanup_free_ char *common = xasprintf("%s/%s", f->dir, common_dir);
    _cleanup_(repo_freep) struct repo *repo = NULL;
    _cleanup_(diag_done) struct diag why = {0};
    struct oid head;

    int r = repo_open(path, &repo, &why);
    if (r < 0)
        fail_msg("%s: %s", name, diag_text(&why, r));
    assert_string_equal(repo_git_dir(repo), git);
    assert_string_equal(repo_common_dir(repo), common);
    assert_int_equal(revision_resolve(repo, "HEAD", &head), 0);
    assert_oid_is(&head, path, "HEAD");
}

static void assert_refused(struct fixture *f, const char *name, int err, const char *words)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);
    _cleanup_(diag_done) struct diag why = {0};
    struct repo *repo = NULL;

    assert_int_equal(repo_open(path, &repo, &why), err);
    assert_null(repo);
    if (!strstr(why.text, words))
        fail_msg("'%s' does not say '%s'", why.text, words);
    assert_non_null(strstr(why.text, path));
    assert_null(strchr(why.text, '\n'));
}

static void test_repositories_of_every_shape_open(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++)
        free(test_commit(f->path, "file", (const char *[]){"a", "b", "c"}[i], "x"));
    test_run(f->dir,
             "git clone -q --bare work bare.git; git -C work worktree add -q ../linked;"
             "git clone -q --depth 1 \"file://$PWD/work\" shallow; git clone -q -s work shared;"
             "git init -q --separate-git-dir elsewhere.git moved;"
             "cd moved && git pull -q ../work main; ln -s work ../symlink");
    assert_opens(f, "work", "work/.git", "work/.git");
    assert_opens(f, "work/", "work/.git", "work/.git");
    assert_opens(f, "symlink", "work/.git", "work/.git");
    assert_opens(f, "work/.git", "work/.git", "work/.git");
    assert_opens(f, "bare.git", "bare.git", "bare.git");
    assert_opens(f, "linked", "work/.git/worktrees/linked", "work/.git");
    assert_opens(f, "shallow", "shallow/.git", "shallow/.git");
    assert_opens(f, "shared", "shared/.git", "shared/.git");
    assert_opens(f, "moved", "elsewhere.git", "elsewhere.git");
}

static void test_what_cannot_be_opened_says_why(void **state)
{
    struct fixture *f = *state;

    test_run(f->path, "mkdir sub; mkdir ../plain; echo x >../file");
    assert_refused(f, "none", -ENOENT, "No such file or directory");
    assert_refused(f, "plain", -EINVAL, "is not a Git repository");
    assert_refused(f, "work/sub", -EINVAL, "is not a Git repository");
    assert_refused(f, "file", -EINVAL, "is not a Git repository");
    test_run(f->dir, "git init -q broken; echo '[core' >broken/.git/config");
    assert_refused(f, "broken", -EIO, "config");
}

static void test_formats_that_are_not_supported_are_named(void **state)
{
    static const struct {
        const char *key, *value, *words;
    } cases[] = {
        {"extensions.objectFormat", "sha256", "SHA-256"},
        {"extensions.refStorage", "reftable", "reftable"},
        {"extensions.partialClone", "origin", "partial clone"},
        {"extensions.worktreeConfig", "true", "per work tree"},
        {"extensions.frobnicate", "true", "'frobnicate'"},
        {"core.repositoryFormatVersion", "7", "is 7"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        test_run(f->dir,
                 "rm -rf odd odd.git linked; git init -q odd; cd odd;"
                 "git commit -q --allow-empty -m x; git worktree add -q ../linked;"
                 "git config core.repositoryFormatVersion 1; git config %s %s",
                 cases[i].key, cases[i].value);
        assert_refused(f, "odd", -EOPNOTSUPP, cases[i].words);
        assert_refused(f, "linked", -EOPNOTSUPP, cases[i].words);
    }
    test_run(f->dir, "git init -q --object-format=sha256 new");
    assert_refused(f, "new", -EOPNOTSUPP, "SHA-256");
    test_run(f->dir, "git init -q precious; cd precious; git commit -q --allow-empty -m x;"
                     "git config core.repositoryFormatVersion 1;"
                     "git config extensions.preciousObjects true");
    assert_opens(f, "precious", "precious/.git", "precious/.git");
}

/* In a child with another HOME, as libgit2 looks for the user's configuration once in a process. */
static int open_with_home(struct fixture *f, const char *home)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        char *top = xasprintf("%s/foreign", f->dir);
        char *words = xasprintf("git config --global --add safe.directory %s", top);
        execl("/proc/self/exe", "self", home, top, words, (char *)NULL);
        _exit(3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* What the child does: 0 opened; 1 refused as another's, with the words; 2 anything else. */
static int child_main(const char *home, const char *path, const char *words)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct repo *repo;

    setenv("HOME", home, 1);
    int r = repo_open(path, &repo, &why);
    if (r == 0) {
        repo_free(repo);
        return 0;
    }
    return r == -EACCES && strstr(diag_text(&why, r), words) ? 1 : 2;
}

static void test_repositories_of_others_need_safe_directory(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *home = xasprintf("%s/home", f->dir);

    if (geteuid() != 0)
        test_skip("only root can make a repository of another owner");
    test_run(f->dir, "git init -q foreign; git -C foreign commit -q --allow-empty -m x;"
                     "chown -R 12345 foreign; mkdir home");
    assert_int_equal(open_with_home(f, home), 1);
    test_write_file(f->dir, "home/.gitconfig", "[safe]\n\tdirectory = /somewhere/else\n");
    assert_int_equal(open_with_home(f, home), 1);
    test_run(f->dir,
             "HOME=%s GIT_CONFIG_GLOBAL=%s/.gitconfig git config --global --add "
             "safe.directory %s/foreign",
             home, home, f->dir);
    assert_int_equal(open_with_home(f, home), 0);
}

static void test_an_empty_repository_has_no_refs(void **state)
{
    struct fixture *f = *state;
    _cleanup_(refs_unrefp) struct refs *refs = NULL;
    _cleanup_free_ char *branch = NULL;
    struct oid oid;

    assert_int_equal(refs_load(f->repo, &refs, NULL), 0);
    assert_int_equal(refs->n, 0);
    assert_int_equal(ref_head_branch(f->repo, &branch), 0);
    assert_string_equal(branch, "refs/heads/main");
    assert_int_equal(revision_resolve(f->repo, "HEAD", &oid), -ENOENT);
}

/* ---- memory ---- */

#define LIMIT (4 << 20)

struct walker {
    struct repo *repo;
    struct oid root;
    size_t bytes; /* of content that was read */
    atomic_bool done;
    pthread_t thread;
};

static void walk(struct walker *w, const struct oid *oid)
{
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    char piece[4096];
    ssize_t n;

    assert_int_equal(tree_load(w->repo, oid, &tree), 0);
    for (size_t i = 0; i < tree->n; i++) {
        if (tree->entries[i].kind == ENTRY_DIR) {
            walk(w, &tree->entries[i].oid);
            continue;
        }
        for (uint64_t at = 0;; at += n) {
            n = blob_read(w->repo, &tree->entries[i].oid, piece, sizeof(piece), at);
            assert_true(n >= 0);
            if (!n)
                break;
            w->bytes += n;
        }
    }
}

static void *walk_in_thread(void *arg)
{
    struct walker *w = arg;

    for (int i = 0; i < 2; i++)
        walk(w, &w->root);
    atomic_store(&w->done, true);
    return NULL;
}

/* 400 files of 32 KiB in 10 directories, in four revisions that change a line of each. */
static void commit_much(struct fixture *f)
{
    test_run(f->path, "seq 6400 >lines; for d in $(seq 10); do mkdir $d; for i in $(seq 40); do"
                      " sed s/^/$d.$i./ lines | head -c 32768 >$d/$i; done; done; rm lines;"
                      "for r in 1 2 3 4; do sed -i 100s/.*/$r/ */*; git add -A;"
                      "git commit -qm $r; done; git repack -adfq --depth=10; git prune-packed");
}

static void test_caches_stay_within_their_limit(void **state)
{
    struct fixture *f = *state;
    int64_t *held = metric_counter(METRIC_OBJECT_CACHE, NULL), most = 0;
    struct walker walkers[4];

    commit_much(f);
    fixture_reopen(f);
    assert_int_equal(*held, 0);
    repo_cache_limit(f->repo, LIMIT);
    for (int i = 0; i < 4; i++) {
        walkers[i] = (struct walker){.repo = f->repo};
        walkers[i].root = oid_from(f->path, "git rev-parse HEAD~%d^{tree}", i);
        pthread_create(&walkers[i].thread, NULL, walk_in_thread, &walkers[i]);
    }
    for (int i = 0; i < 4;) {
        int64_t now = __atomic_load_n(held, __ATOMIC_RELAXED);
        most = most < now ? now : most;
        i += atomic_load(&walkers[i].done);
        sched_yield();
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(walkers[i].thread, NULL);
        assert_in_range(walkers[i].bytes, 2 * 400 * 32000, 2 * 400 * 32768);
    }
    assert_in_range(most, LIMIT / 2, LIMIT);
    repo_free(TAKE(f->repo));
    assert_int_equal(*held, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_repositories_of_every_shape_open),
        TEST(test_what_cannot_be_opened_says_why),
        TEST(test_formats_that_are_not_supported_are_named),
        TEST(test_repositories_of_others_need_safe_directory),
        TEST(test_an_empty_repository_has_no_refs),
        TEST(test_caches_stay_within_their_limit),
    };

    if (argc == 4)
        return child_main(argv[1], argv[2], argv[3]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
