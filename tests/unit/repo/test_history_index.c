#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "history_oracle.h"
#include "repo/history_index.h"

static char *index_dir(struct fixture *f)
{
    return xasprintf("%s/state/history", f->dir);
}

/* Brings the index to `rev` and compares all that it says with Git. */
static void assert_follows(struct fixture *f, struct history_index *ix, const char *rev)
{
    _cleanup_(oracle_freep) struct oracle *o = oracle_new(f->path, rev);
    struct oid head = oracle_head(o);

    history_go_to(ix, &head);
    oracle_assert_answers(o, ix);
}

/* From nothing, step by step, on another line, through a merge, back again: always what Git says,
 * also by an index that is opened again on the way. */
static void walk_around(struct fixture *f, unsigned seed, bool reopen)
{
    static const struct {
        const char *rev;
        bool cut; /* it is not on the way on from the one before */
    } steps[] = {{"main~39"},      {"main~38"},     {"main~11"},       {"main"},
                 {"turned", true}, {"main", true},  {"main~20", true}, {"other", true},
                 {"other~", true}, {"turned", true}};
    _cleanup_free_ char *dir = index_dir(f);
    struct history_index *ix;

    history_random(f->path, seed, 40, NULL);
    test_run(f->path, "git branch -f keep main; git branch -D -q side || :");
    history_random_turn(f->path, seed + 1, 12, "refs/heads/keep~15");
    test_run(f->path, "git branch -f turned main; git branch -D -q side || :");
    history_random(f->path, seed + 2, 10, NULL);
    test_run(f->path, "git branch -f other main; git update-ref refs/heads/main keep");
    assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        uint32_t epoch = history_index_epoch(ix);
        assert_follows(f, ix, steps[i].rev);
        if (i > 0)
            assert_int_equal(history_index_epoch(ix), epoch + steps[i].cut);
        if (reopen) {
            history_index_free(ix);
            assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
            assert_int_equal(history_index_wait(ix, 10 * NS_PER_SEC), 0);
        }
    }
    history_index_free(ix);
    io_remove_tree(AT_FDCWD, dir);
}

static void test_it_says_what_git_says(void **state)
{
    const char *seeds = getenv("ONWARD_SEEDS");

    for (int seed = 0; seed < (seeds ? strtol(seeds, NULL, 10) : 2); seed++)
        walk_around(*state, seed, seed % 2);
}

/* The oracle is ours; this is Git's own word for the same things. */
static void test_git_log_agrees(void **state)
{
    static const char *const paths[] = {"a", "b", "a/b", "a.b", ":(top)", "new\nl", "\xff\xfe", ""};
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f);

    history_random(f->path, 7, 60, NULL);
    struct oid head = oid_from(f->path, "git rev-parse main");
    struct history_index *ix = history_open_at(f->repo, dir, &head);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        _cleanup_(buf_done) struct buf ours = {0};
        _cleanup_free_ char *theirs = test_output(
            f->path,
            "git --literal-pathspecs log --first-parent --reverse --format=%%H main %s'%s'",
            *paths[i] ? "-- " : "--", *paths[i] ? paths[i] : "");
        struct history_revision rev;
        struct history_change change;
        path_id id;
        char hex[OID_HEX + 1];
        assert_int_equal(history_index_path(ix, paths[i], &id), 0);
        for (uint32_t pos = 0; history_index_at(ix, pos, &rev) == 0; pos++)
            if (history_index_last_change(ix, id, pos, &change) == 0 && change.pos == pos)
                buf_addf(&ours, "%s%s", ours.len ? "\n" : "", oid_hex(&rev.oid, hex));
        if (*paths[i])
            assert_string_equal(buf_str(&ours), theirs);
    }
    for (uint32_t pos = 0; pos < 60; pos++) {
        struct history_revision rev, then;
        assert_int_equal(history_index_at(ix, pos, &rev), 0);
        assert_int_equal(history_index_at_time(ix, rev.time, &then), 0);
        struct oid git = oid_from(f->path, "git rev-list -1 --first-parent --before=%lld main",
                                  (long long)rev.time);
        assert_oid_equal(&then.oid, &git);
    }
    history_index_free(ix);
}

static void test_an_empty_repository_has_no_answers_until_the_first_commit(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f);
    struct history_revision rev;
    struct history_index *ix;
    uint32_t count;
    path_id id;

    assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
    assert_int_equal(history_index_wait(ix, 10 * NS_PER_SEC), 0);
    assert_int_equal(history_index_count(ix, &count), -EAGAIN);
    assert_int_equal(history_index_at_time(ix, TEST_TIME, &rev), -EAGAIN);
    assert_int_equal(history_index_path(ix, "", &id), -EAGAIN);
    test_run(f->path, "git commit -q --allow-empty -m x");
    assert_follows(f, ix, "main");
    free(test_commit(f->path, "a/b", "1", "y"));
    assert_follows(f, ix, "main");
    assert_int_equal(history_index_path(ix, "a/none", &id), -ENOENT);
    assert_int_equal(history_index_path(ix, "a/b/c", &id), -ENOENT);
    history_index_free(ix);
}

static void test_a_shallow_clone_begins_where_it_was_cut(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f);
    struct history_index *ix;

    history_random(f->path, 3, 20, NULL);
    test_run(f->dir, "git clone -q --bare --depth 5 \"file://$PWD/work\" shallow");
    free(f->path);
    f->path = xasprintf("%s/shallow", f->dir);
    fixture_reopen(f);
    assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
    assert_follows(f, ix, "main");
    history_index_free(ix);
}

static void test_hidden_entries_do_not_exist(void **state)
{
    static const char tree[] = "100644 .git\0aaaaaaaaaaaaaaaaaaaa100644 f\0aaaaaaaaaaaaaaaaaaaa";
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f);
    char hex[OID_HEX + 1];
    path_id id;

    struct oid root = write_literally(f->path, "tree", tree, sizeof(tree) - 1);
    struct oid head = oid_from(f->path, "git commit-tree -m x %s", oid_hex(&root, hex));
    struct history_index *ix = history_open_at(f->repo, dir, &head);
    assert_int_equal(history_index_path(ix, "f", &id), 0);
    assert_int_equal(history_index_path(ix, ".git", &id), -ENOENT);
    history_index_free(ix);
}

static void test_abbreviations_are_unambiguous_or_nothing(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f);
    struct history_revision rev;
    char hex[OID_HEX + 1];
    int ambiguous = 0;

    history_random(f->path, 5, 600, NULL);
    struct oid head = oid_from(f->path, "git rev-parse main");
    struct history_index *ix = history_open_at(f->repo, dir, &head);
    /* Four digits out of 600 ids: some are shared. */
    for (uint32_t pos = 0; history_index_at(ix, pos, &rev) == 0; pos++) {
        oid_hex(&rev.oid, hex);
        hex[4] = 0;
        int r = history_index_find_abbrev(ix, hex, &rev);
        ambiguous += r == -ENOENT;
        if (r == 0)
            assert_int_equal(rev.pos, pos);
        hex[3] = 0;
        assert_int_equal(history_index_find_abbrev(ix, hex, &rev), -ENOENT);
        /* An odd digit counts. */
        oid_hex(&rev.oid, hex);
        hex[16] = hex[16] == '0' ? '1' : '0';
        hex[17] = 0;
        assert_int_equal(history_index_find_abbrev(ix, hex, &rev), -ENOENT);
    }
    assert_true(ambiguous > 0);
    assert_int_equal(history_index_find_abbrev(ix, "zzzzz", &rev), -ENOENT);
    assert_int_equal(history_index_find_abbrev(ix, "", &rev), -ENOENT);
    history_index_free(ix);
}

/* A directory of some thousand levels, of which the kernel lets nobody reach the last. */
static void test_the_deepest_trees_are_taken_in(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f);
    _cleanup_(buf_done) struct buf stream = {0};
    path_id id = PATH_ROOT;
    int depth = 0;

    buf_adds(&stream,
             "commit refs/heads/main\ncommitter C <c@x> 1 +0000\ndata 1\nx\nM 100644 inline ");
    for (int i = 0; i < 6000; i++)
        buf_adds(&stream, "d/");
    buf_adds(&stream, "f\ndata 1\nx\n");
    test_write_bytes(f->path, "stream", stream.data, stream.len);
    test_run(f->path, "git fast-import --quiet <stream");
    struct oid head = oid_from(f->path, "git rev-parse main");
    struct history_index *ix = history_open_at(f->repo, dir, &head);
    while (history_index_child(ix, id, "d", &id) == 0)
        depth++;
    assert_true(depth >= 4095 && depth <= 4096);
    history_index_free(ix);
}

/* ---- what goes wrong ---- */

static void test_a_tree_that_cannot_be_read_is_a_problem_until_it_can(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f);
    struct history_progress p;
    struct history_index *ix;
    uint32_t count;

    for (int i = 0; i < 3; i++) {
        _cleanup_free_ char *content = xasprintf("%d", i);
        free(test_commit(f->path, "d/f", content, "x"));
    }
    test_run(f->path, "t=$(git rev-parse main:d | sed 's,..,&/,'); mv .git/objects/$t lost; "
                      "echo $t >where");
    struct oid head = oid_from(f->path, "git rev-parse main");
    assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
    history_index_follow(ix, &head);
    assert_int_equal(history_index_wait(ix, 10 * NS_PER_SEC), -EIO);
    history_index_progress(ix, &p);
    assert_false(p.current);
    assert_non_null(strstr(p.problem, "revision"));
    assert_int_equal(history_index_count(ix, &count), 0);
    assert_int_equal(count, 2);
    test_run(f->path, "mv lost .git/objects/$(cat where)");
    assert_follows(f, ix, "main");
    history_index_free(ix);
}

static void test_a_full_disk_is_a_problem_until_there_is_room(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f);
    struct rlimit was, small = {.rlim_cur = 100 << 10};
    struct history_progress p;
    struct history_index *ix;

    history_random(f->path, 11, 300, NULL);
    struct oid head = oid_from(f->path, "git rev-parse main");
    assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
    assert_int_equal(history_index_wait(ix, 10 * NS_PER_SEC), 0);
    /* A limit on files says EFBIG where a disk says ENOSPC; LMDB fails at the same place. */
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    small.rlim_max = was.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    history_index_follow(ix, &head);
    int r = history_index_wait(ix, 10 * NS_PER_SEC);
    history_index_progress(ix, &p);
    setrlimit(RLIMIT_FSIZE, &was);
    assert_true(r < 0 && r != -EAGAIN);
    assert_true(*p.problem);
    assert_follows(f, ix, "main");
    history_index_free(ix);
}

/* The first byte of the value of some change of `oid`, in the file. */
static off_t find_bytes(int fd, const struct oid *oid)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    _cleanup_free_ char *all = xmalloc(st.st_size);
    assert_int_equal(pread(fd, all, st.st_size, 0), st.st_size);
    char *at = memmem(all, st.st_size, oid->id, OID_RAW);
    assert_non_null(at);
    return at - all;
}

static void test_damage_that_a_question_finds_is_mended(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f), *file = xasprintf("%s/data.mdb", dir);
    struct history_change change;
    struct history_progress p;
    path_id id;

    free(test_commit(f->path, "d/f", "1", "x"));
    struct oid head = oid_from(f->path, "git rev-parse main"),
               blob = oid_from(f->path, "git rev-parse main:d/f");
    struct history_index *ix = history_open_at(f->repo, dir, &head);
    uint32_t epoch = history_index_epoch(ix);
    _cleanup_close_ int fd = open(file, O_RDWR | O_CLOEXEC);
    off_t at = find_bytes(fd, &blob);
    assert_int_equal(pwrite(fd, "x", 1, at), 1);
    assert_int_equal(history_index_path(ix, "d/f", &id), 0);
    assert_int_equal(history_index_last_change(ix, id, 0, &change), -EIO);
    history_index_progress(ix, &p);
    assert_false(p.current && history_index_epoch(ix) == epoch);
    assert_int_equal(history_index_wait(ix, 10 * NS_PER_SEC), 0);
    assert_true(history_index_epoch(ix) != epoch);
    assert_follows(f, ix, "main");
    history_index_free(ix);
}

/* A question that is under way when the index must be made anew. */
struct slow {
    struct history_index *ix;
    int fd, revisions;
    off_t at; /* of something in a change of the path `id` */
    path_id id;
};

static int be_slow(const struct history_revision *rev, void *arg)
{
    struct slow *s = arg;
    struct history_change change;
    uint32_t count;

    if (s->revisions++ == 0) {
        assert_int_equal(pwrite(s->fd, "x", 1, s->at), 1);
        assert_int_equal(history_index_last_change(s->ix, s->id, UINT32_MAX, &change), -EIO);
        while (history_index_count(s->ix, &count) != -EAGAIN)
            sched_yield();
    }
    return 0;
}

static void test_a_question_under_way_is_answered_to_its_end(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f), *file = xasprintf("%s/data.mdb", dir);

    history_random(f->path, 17, 400, NULL);
    free(test_commit(f->path, "zz", "z", "z"));
    struct oid head = oid_from(f->path, "git rev-parse main"),
               blob = oid_from(f->path, "git rev-parse main:zz");
    struct slow s = {.ix = history_open_at(f->repo, dir, &head)};
    assert_int_equal(history_index_path(s.ix, "zz", &s.id), 0);
    s.fd = open(file, O_RDWR | O_CLOEXEC);
    s.at = find_bytes(s.fd, &blob);
    assert_int_equal(history_index_revisions(s.ix, 0, be_slow, &s), 0);
    assert_int_equal(s.revisions, 401);
    close(s.fd);
    assert_follows(f, s.ix, "main");
    history_index_free(s.ix);
}

static void test_a_directory_that_cannot_be_made_is_an_error(void **state)
{
    struct fixture *f = *state;
    _cleanup_(diag_done) struct diag why = {0};
    struct history_index *ix;

    test_write_file(f->dir, "file", "");
    _cleanup_free_ char *dir = xasprintf("%s/file/x", f->dir);
    assert_int_equal(history_index_open(f->repo, dir, &ix, &why), -ENOTDIR);
    assert_non_null(strstr(why.text, dir));
}

/* ---- threads ---- */

/* On the branch main each revision changes the file n; on the other one, which leaves it after
 * FORK and whose clock is ahead, each changes k. */
#define FORK 100
#define TIPS 150

struct asker {
    struct history_index *ix;
    atomic_bool end;
    atomic_int answers;
};

/* The newest revision, and the last change of n then. */
static int ask_once(struct history_index *ix, struct history_revision *rev,
                    struct history_change *change)
{
    uint32_t count;
    path_id id;
    int r = history_index_count(ix, &count);

    if (r == 0)
        r = history_index_at(ix, count - 1, rev);
    if (r == 0)
        r = history_index_path(ix, "n", &id);
    return r == 0 ? history_index_last_change(ix, id, count - 1, change) : r;
}

static void *ask_on(void *arg)
{
    struct asker *a = arg;

    while (!atomic_load(&a->end)) {
        struct history_revision rev = {0};
        struct history_change change;
        uint32_t epoch = history_index_epoch(a->ix);
        int r = ask_once(a->ix, &rev, &change);
        if (history_index_epoch(a->ix) != epoch || r == -EAGAIN)
            continue;
        if (r < 0 || change.number != change.pos + 1 ||
            change.pos != (rev.time > 1000 ? FORK - 1 : rev.pos))
            abort();
        atomic_fetch_add(&a->answers, 1);
    }
    return NULL;
}

static void add_revision(struct buf *stream, int mark, int parent, bool other)
{
    buf_addf(stream, "commit refs/heads/%s\nmark :%d\ncommitter C <c@x> %d +0000\ndata 1\nx\n",
             other ? "other" : "main", mark, mark + (other ? 1000 : 0));
    if (parent)
        buf_addf(stream, "from :%d\n", parent);
    buf_addf(stream, "M 100644 inline %s\ndata 3\n%03d\n", other ? "k" : "n", mark);
}

static void make_fork(struct fixture *f)
{
    _cleanup_(buf_done) struct buf stream = {0};

    for (int i = 1; i <= TIPS; i++)
        add_revision(&stream, i, i - 1, false);
    for (int i = FORK; i < TIPS; i++)
        add_revision(&stream, TIPS + 1 + i, i == FORK ? i : TIPS + i, true);
    test_write_bytes(f->path, "stream", stream.data, stream.len);
    test_run(f->path, "git fast-import --quiet <stream");
}

/* It grows to main's tip, one revision at a time, and then is led from branch to branch. */
static void lead(struct fixture *f, struct history_index *ix)
{
    _cleanup_free_ char *list = test_output(f->path, "git rev-list --reverse main");
    struct oid other[] = {oid_from(f->path, "git rev-parse main~3"),
                          oid_from(f->path, "git rev-parse other")};
    char *rest = list, *line;

    for (int i = 0; (line = strsep(&rest, "\n")); i++) {
        struct oid head = oid_of(line);
        history_index_follow(ix, &head);
        if (i % 3 == 0)
            assert_int_equal(history_index_wait(ix, 10 * NS_PER_SEC), 0);
    }
    for (int i = 0; i < 60; i++) {
        history_index_follow(ix, &other[i % 2]);
        assert_int_equal(history_index_wait(ix, 10 * NS_PER_SEC), 0);
    }
}

static void test_questions_are_answered_while_it_changes(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f);
    struct asker a = {0};
    pthread_t threads[3];

    make_fork(f);
    assert_int_equal(history_index_open(f->repo, dir, &a.ix, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_create(&threads[i], NULL, ask_on, &a);
    lead(f, a.ix);
    while (!atomic_load(&a.answers))
        sched_yield();
    atomic_store(&a.end, true);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    assert_follows(f, a.ix, "main");
    history_index_free(a.ix);
}

static void test_it_ends_at_once_and_goes_on_later(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = index_dir(f);
    struct history_index *ix;

    history_random(f->path, 13, 200, NULL);
    struct oid head = oid_from(f->path, "git rev-parse main");
    for (int i = 0; i < 20; i++) {
        assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
        history_index_follow(ix, &head);
        if (i % 2)
            history_index_wait(ix, i * NS_PER_MS / 4);
        history_index_free(ix);
    }
    assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
    assert_follows(f, ix, "main");
    history_index_free(ix);
    history_index_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_says_what_git_says),
        TEST(test_git_log_agrees),
        TEST(test_an_empty_repository_has_no_answers_until_the_first_commit),
        TEST(test_a_shallow_clone_begins_where_it_was_cut),
        TEST(test_hidden_entries_do_not_exist),
        TEST(test_abbreviations_are_unambiguous_or_nothing),
        TEST(test_the_deepest_trees_are_taken_in),
        TEST(test_a_tree_that_cannot_be_read_is_a_problem_until_it_can),
        TEST(test_a_full_disk_is_a_problem_until_there_is_room),
        TEST(test_damage_that_a_question_finds_is_mended),
        TEST(test_a_question_under_way_is_answered_to_its_end),
        TEST(test_a_directory_that_cannot_be_made_is_an_error),
        TEST(test_questions_are_answered_while_it_changes),
        TEST(test_it_ends_at_once_and_goes_on_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
