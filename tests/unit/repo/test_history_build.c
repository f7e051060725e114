#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/io.h"
#include "history_oracle.h"
#include "repo/history_build.h"
#include "repo/history_index.h"

/* What the child does: builds in small batches and writes a byte for each. */
struct child {
    const char *path, *dir;
    struct oid head;
    int out;
};

static bool never(void *arg)
{
    return false;
}

static bool tell(void *arg, uint32_t done, uint32_t total)
{
    struct child *c = arg;

    if (write(c->out, "x", 1) != 1)
        _exit(1);
    return true;
}

static void build_in_child(struct child *c)
{
    struct history_build b = {.stop = never, .progress = tell, .arg = c, .batch = 3};

    if (repo_open(c->path, &b.repo, NULL) < 0 || history_store_open(c->dir, &b.store, NULL) < 0)
        _exit(1);
    _exit(history_build(&b, &c->head, NULL) == 0 ? 0 : 2);
}

/* Starts a child that builds and kills it when it has told of `batches`; it is at the next one. */
static void build_and_kill(struct child *c, int batches)
{
    int fds[2], status;
    char byte;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    c->out = fds[1];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        build_in_child(c);
    close(fds[1]);
    while (batches-- && read(fds[0], &byte, 1) == 1)
        ;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    close(fds[0]);
}

static void test_after_a_kill_it_goes_on_where_it_was(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = xasprintf("%s/history", f->dir);
    struct history_index *ix;
    uint32_t before = 0;
    int partial = 0;

    history_random(f->path, 31, 90, NULL);
    _cleanup_(oracle_freep) struct oracle *o = oracle_new(f->path, "main");
    struct child c = {.path = f->path, .dir = dir, .head = oracle_head(o)};
    for (int round = 0; round < 8; round++) {
        uint32_t count = 0;
        build_and_kill(&c, 3); /* it tells of what there is to do, and of two batches */
        assert_int_equal(history_index_open(f->repo, dir, &ix, NULL), 0);
        assert_int_equal(history_index_wait(ix, 10 * NS_PER_SEC), 0);
        assert_int_equal(history_index_count(ix, &count), 0);
        assert_true(count >= before + 6 || count == oracle_count(o));
        partial += count < oracle_count(o);
        before = count;
        history_index_free(ix);
    }
    assert_true(partial > 1);
    ix = history_open_at(f->repo, dir, &c.head);
    oracle_assert_answers(o, ix);
    history_index_free(ix);
}

/* ---- stopping ---- */

struct stopping {
    int questions; /* that are still answered with no */
};

static bool soon(void *arg)
{
    struct stopping *s = arg;

    return s->questions-- <= 0;
}

static bool go_on(void *arg, uint32_t done, uint32_t total)
{
    return true;
}

/* Stopped anywhere, also between two paths of a revision, what is there is right. */
static void test_a_stopped_build_keeps_whole_revisions(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *dir = xasprintf("%s/history", f->dir);
    struct stopping s;
    struct history_build b = {.repo = f->repo, .stop = soon, .progress = go_on, .arg = &s};
    int stopped = 0;

    history_random(f->path, 32, 25, NULL);
    _cleanup_(oracle_freep) struct oracle *o = oracle_new(f->path, "main");
    struct oid head = oracle_head(o);
    for (int questions = 20; questions < 300; questions += 7) {
        s.questions = questions;
        io_remove_tree(AT_FDCWD, dir);
        assert_int_equal(history_store_open(dir, &b.store, NULL), 0);
        int r = history_build(&b, &head, NULL);
        assert_true(r == 0 || r == -ECANCELED);
        stopped += r == -ECANCELED;
        history_store_close(b.store);
        struct history_index *ix = history_open_at(f->repo, dir, &head);
        oracle_assert_answers(o, ix);
        history_index_free(ix);
    }
    assert_true(stopped > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_after_a_kill_it_goes_on_where_it_was),
        TEST(test_a_stopped_build_keeps_whole_revisions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
