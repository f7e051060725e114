/* Nodes of a workspace: identity over renames and commits, what an open file goes on to be, times
 * that keep the kernel's caches true, and directories of any depth with few descriptors. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "fixture.h"
#include "stage/overlay_node.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new();

    free(fixture_push(f, "mkdir -p dir/sub && echo one > dir/one && echo two > dir/sub/two && "
                         "echo three > three && ln -s three link"));
    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static uint64_t ino_of(struct fixture *f, const char *path)
{
    struct node *n = fx_get(f, path);
    uint64_t ino = n->ino;

    node_unref(n);
    return ino;
}

static void a_node_follows_its_file(void **state)
{
    struct fixture *f = *state;
    struct node *file = fx_get(f, "ws/dir/one"), *dir = fx_get(f, "ws/dir");
    uint64_t ino = file->ino, dir_ino = dir->ino, sub_ino = ino_of(f, "ws/dir/sub/two");

    assert_int_equal(fx_rename(f, "ws/dir", "ws/moved", 0), 0);
    struct node *again = fx_get(f, "ws/moved/one");
    assert_ptr_equal(again, file);
    node_unref(again);
    assert_int_equal(fx_rename(f, "ws/moved/one", "ws/moved/sub/uno", 0), 0);
    again = fx_get(f, "ws/moved/sub/uno");
    assert_ptr_equal(again, file);
    node_unref(again);
    node_unref(file);
    node_unref(dir);
    /* Also when the kernel has forgotten them, and after a restart. */
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(ino_of(f, "ws/moved/sub/uno"), ino);
    assert_int_equal(ino_of(f, "ws/moved"), dir_ino);
    assert_int_equal(ino_of(f, "ws/moved/sub/two"), sub_ino);
    /* Copying a base directory's content is not what moves it. */
    assert_int_equal(test_status(f->dir, "test -e state/workspaces/ws/upper.1/moved/sub/two"), 1);
}

/* An editor's dance: the old file moves aside, a new one takes its name. Two files, two numbers. */
static void numbers_are_unique(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fx_rename(f, "ws/three", "ws/three~", 0), 0);
    fx_put(f, "ws/three", "3\n");
    assert_true(ino_of(f, "ws/three") != ino_of(f, "ws/three~"));
    assert_int_equal(fx_rename(f, "ws/dir", "ws/dir~", 0), 0);
    assert_int_equal(fx_mkdir(f, "ws/dir", 0755), 0);
    fx_put(f, "ws/dir/one", "1\n");
    assert_true(ino_of(f, "ws/dir") != ino_of(f, "ws/dir~"));
    assert_true(ino_of(f, "ws/dir/one") != ino_of(f, "ws/dir~/one"));
}

/* Over all directories, and between what is open from before a commit and what is found after it.
 */
static void numbers_are_unique_everywhere(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"ws",         "ws/dir",         "ws/dir/one", "ws/dir/sub",
                                        "ws/dir/two", "ws/dir/sub/two", "ws/three",   "ws/link",
                                        "ws/one",     "ws/two"};
    uint64_t seen[2 * ARRAY_SIZE(paths)];
    size_t n = 0;

    fx_put(f, "ws/one", "1\n");
    fx_put(f, "ws/two", "2\n");
    fx_put(f, "ws/dir/two", "2\n");
    struct node *moved = fx_get(f, "ws/three");
    uint64_t before = moved->ino;
    assert_int_equal(fx_rename(f, "ws/three", "ws/dir/3", 0), 0);
    fx_put(f, "ws/three", "new\n");
    assert_int_equal(fx_commit(f, "ws", &me, "all"), 0);
    assert_true(moved->ino == before); /* it was open all the time */
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        seen[n++] = ino_of(f, paths[i]);
        assert_true(seen[n - 1] != before);
        for (size_t j = 0; j + 1 < n; j++)
            if (seen[j] == seen[n - 1])
                fail_msg("%s and %s have one number", paths[j], paths[i]);
    }
    node_unref(moved);
}

/* One that the kernel sends again, and that turns out to be done (mount/once.h). */
static void a_rename_of_a_predecessor_takes_the_number_along(void **state)
{
    struct fixture *f = *state;

    fx_put(f, "ws/one", "1\n");
    struct node *three = fx_get(f, "ws/three"), *one = fx_get(f, "ws/one");
    uint64_t ino = three->ino;
    assert_int_equal(fx_commit(f, "ws", &me, "they keep their numbers"), 0);
    node_unref(three);
    node_unref(one);
    assert_int_equal(ino_of(f, "ws/three"), ino);
    struct node *dir = fx_get(f, "ws");
    dir->ops->renamed_before(dir, "three", dir, "one");
    node_unref(dir);
    assert_int_equal(ino_of(f, "ws/one"), ino);
    assert_true(ino_of(f, "ws/three") != ino);
}

static void unlinked_files_go_on(void **state)
{
    struct fixture *f = *state;
    struct node *base = fx_get(f, "ws/dir/one"), *upper;
    struct stat st;

    fx_put(f, "ws/new", "written\n");
    upper = fx_get(f, "ws/new");
    assert_int_equal(fx_unlink(f, "ws/new"), 0);
    assert_int_equal(fx_unlink(f, "ws/dir/one"), 0);
    fx_put(f, "ws/new", "another\n");
    node_stat(upper, &st);
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(upper->ops->write(upper, &me, "W", 1, 0), 1);
    assert_int_equal(base->ops->write(base, &me, "ON", 2, 0), 2);
    assert_int_equal(node_truncate(base, 3), 0);
    fx_put(f, "ws/other", "x\n");
    assert_int_equal(fx_commit(f, "ws", &me, "meanwhile"), 0);
    char *text = node_content(upper, NULL);
    assert_string_equal(text, "Written\n");
    free(text);
    text = node_content(base, NULL);
    assert_string_equal(text, "ONe");
    free(text);
    fx_assert_content(f, "ws/new", "another\n");
    assert_int_equal(upper->ops->fsync(upper, true), 0);
    node_unref(base);
    node_unref(upper);
}

/* Nothing leads back to an unlinked file, so its descriptor is not among those that make room. */
static void unlinked_files_stay_open(void **state)
{
    struct fixture *f = *state;
    char path[32];

    fx_put(f, "ws/gone", "still here\n");
    struct node *gone = fx_get(f, "ws/gone");
    assert_int_equal(fx_unlink(f, "ws/gone"), 0);
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "ws/many%d", i);
        fx_put(f, path, path);
    }
    struct node *held[300];
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "ws/many%d", i);
        held[i] = fx_get(f, path);
        free(node_content(held[i], NULL));
    }
    char *text = node_content(gone, NULL);
    assert_string_equal(text, "still here\n");
    free(text);
    for (int i = 0; i < 300; i++)
        node_unref(held[i]);
    node_unref(gone);
}

static void an_open_file_survives_its_commit(void **state)
{
    struct fixture *f = *state;
    struct node *n, *dir = fx_get(f, "ws/dir");

    fx_put(f, "ws/dir/one", "1\n");
    n = fx_get(f, "ws/dir/one");
    assert_int_equal(fx_commit(f, "ws", &me, "one"), 0);
    char *text = node_content(n, NULL);
    assert_string_equal(text, "1\n");
    free(text);
    assert_int_equal(n->ops->write(n, &me, "2", 1, 0), 1);
    fx_assert_content(f, "ws/dir/one", "2\n");
    fx_assert_content(f, "ws/.onward/changes", "M dir/one\n");
    node_unref(n);
    node_unref(dir);
}

/* What others removed or replaced by something of another kind is not served under an old node. */
static void what_a_merge_took_away_is_stale(void **state)
{
    struct fixture *f = *state;
    struct node *dir = fx_get(f, "ws/dir"), *three = fx_get(f, "ws/three"), *got;
    struct stat st = {0};

    free(fixture_push(f, "git rm -rq dir three && echo file > dir"));
    fx_put(f, "ws/mine", "x\n");
    assert_int_equal(fx_commit(f, "ws", &me, "merge"), 0);
    assert_int_equal(dir->ops->getattr(dir, &st), -ESTALE);
    assert_int_equal(dir->ops->lookup(dir, "one", &got), -ESTALE);
    char *text = node_content(three, NULL); /* it was open, and is read to its end */
    assert_string_equal(text, "three\n");
    free(text);
    fx_assert_content(f, "ws/dir", "file\n");
    node_unref(dir);
    node_unref(three);
}

static int64_t mtime(struct fixture *f, const char *path)
{
    struct stat st;

    assert_int_equal(fx_stat(f, path, &st), 0);
    return clock_ns(st.st_mtim);
}

static void set_mtime(struct fixture *f, const char *path, int64_t to)
{
    struct node *n = fx_get(f, path);
    const struct set_attrs set = {.valid = SET_MTIME, .mtime = clock_timespec(to)};

    assert_int_equal(n->ops->setattr(n, &me, &set), 0);
    node_unref(n);
}

static void directory_times_grow_with_each_change(void **state)
{
    struct fixture *f = *state;
    int64_t before = mtime(f, "ws/dir"), sub = mtime(f, "ws/dir/sub");
    int64_t future = clock_real() + 1000 * NS_PER_SEC;

    assert_int_equal(before, TEST_TIME * NS_PER_SEC);
    for (int i = 0; i < 50; i++) {
        int64_t now;
        assert_int_equal(i % 2 ? fx_unlink(f, "ws/dir/x") : fx_create(f, "ws/dir/x", 0644), 0);
        now = mtime(f, "ws/dir");
        assert_true(now > before);
        before = now;
    }
    /* What a write needs behind the scenes shows nowhere. */
    assert_int_equal(fx_write(f, "ws/dir/sub/two", "T", 0), 1);
    assert_int_equal(mtime(f, "ws/dir/sub"), sub);
    assert_int_equal(mtime(f, "ws/dir"), before);
    assert_true(mtime(f, "ws/dir/sub/two") > sub);
    assert_int_equal(fx_rename(f, "ws/dir/one", "ws/dir/sub/one", 0), 0);
    assert_true(mtime(f, "ws/dir/sub") > sub && mtime(f, "ws/dir") > before);
    set_mtime(f, "ws/dir", future);
    assert_int_equal(fx_create(f, "ws/dir/x", 0644), 0);
    assert_int_equal(mtime(f, "ws/dir"), future + 1);
}

/* Content that changes with the base must change its time, even when the new base is older. */
static void a_new_base_has_a_later_time(void **state)
{
    struct fixture *f = *state;

    test_run(f->dir, "rm -rf clone && git clone -q repo.git clone && cd clone && echo 2 > three && "
                     "GIT_COMMITTER_DATE='@0 +0000' git commit -qam past && git push -q");
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    assert_int_equal(fx_mkdir(f, "early", 0777), 0);
    assert_int_equal(mtime(f, "early/three"), NS_PER_SEC); /* as below revisions/ */
    test_run(f->dir,
             "cd clone && echo 3 > three && "
             "GIT_COMMITTER_DATE=2090-01-01T00:00:00Z git commit -qam future && git push -q");
    assert_int_equal(mainline_refresh(f->mainline, NULL), 0);
    assert_int_equal(fx_mkdir(f, "late", 0777), 0);
    int64_t before = mtime(f, "late/three");
    assert_int_equal(before / NS_PER_SEC, INT64_C(3786912000));
    fx_put(f, "late/mine", "x\n");
    assert_int_equal(fx_commit(f, "late", &me, "now"), 0);
    assert_int_equal(mtime(f, "late/three"), before + 1);
}

static int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void deep_and_wide_with_few_descriptors(void **state)
{
    struct fixture *f = *state;
    struct node *n = fx_get(f, "ws"), *next, *wide[600];
    char name[201];
    int depth = 0, before = open_descriptors();

    memset(name, 'd', 200);
    name[200] = 0;
    for (; depth < 100; depth++) { /* 20,000 bytes of path */
        assert_int_equal(n->ops->mkdir(n, &me, name, 0755, &next), 0);
        node_unref(n);
        n = next;
    }
    assert_int_equal(n->ops->create(n, &me, "leaf", 0644, &next), 0);
    assert_int_equal(next->ops->write(next, &me, "deep", 4, 0), 4);
    assert_int_equal(next->ops->fsync(next, true), 0);
    node_unref(next);
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        assert_int_equal(n->ops->create(n, &me, name, 0644, &wide[i]), 0);
        assert_int_equal(wide[i]->ops->write(wide[i], &me, name, strlen(name), 0), strlen(name));
    }
    assert_true(open_descriptors() - before <= 256 + 8);
    for (int i = 0; i < 600; i++)
        node_unref(wide[i]);
    node_unref(n);
    assert_int_equal(fx_commit(f, "ws", &me, "deep"), 0);
    char *files = test_output(f->work, "git ls-tree -r main | wc -l");
    assert_string_equal(files, "605");
    free(files);
}

static void depth_ends_somewhere(void **state)
{
    struct fixture *f = *state;
    struct node *n = fx_get(f, "ws"), *next;
    int depth = 0, r;

    while ((r = n->ops->mkdir(n, &me, "d", 0755, &next)) == 0) {
        node_unref(n);
        n = next;
        depth++;
        assert_true(depth < 10000);
    }
    assert_int_equal(r, -ENAMETOOLONG);
    assert_int_equal(n->ops->create(n, &me, "f", 0644, &next), 0);
    node_unref(next);
    node_unref(n);
    assert_int_equal(fx_commit(f, "ws", &me, "deepest"), 0);
}

/* Readers, writers, listers and committers at once: nothing is lost, nothing is torn. */

struct crowd {
    struct fixture *f;
    int number;
    bool done;
};

static void *write_files(void *arg)
{
    struct crowd *c = arg;
    char path[64], text[64];

    for (int i = 0; i < 60; i++) {
        snprintf(path, sizeof(path), "ws/dir/w%d-%d", c->number, i);
        snprintf(text, sizeof(text), "%d of %d\n", i, c->number);
        fx_put(c->f, path, text);
        if (i % 3 == 0)
            assert_int_equal(fx_rename(c->f, path, "ws/last", 0), 0);
        fx_put(c->f, "ws/three", text);
    }
    return NULL;
}

static void *read_files(void *arg)
{
    struct crowd *c = arg;

    while (!__atomic_load_n(&c->done, __ATOMIC_ACQUIRE)) {
        int err;
        free(fx_list(c->f, "ws/dir"));
        fx_assert_content(c->f, "ws/dir/sub/two", "two\n");
        struct node *n = fx_walk(c->f, "ws/last", &err);
        if (n)
            free(node_content(n, NULL));
        node_unref(n);
    }
    return NULL;
}

static void many_threads(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd[4];
    pthread_t threads[4];

    for (int i = 0; i < 4; i++) {
        crowd[i] = (struct crowd){f, i, false};
        pthread_create(&threads[i], NULL, i < 2 ? write_files : read_files, &crowd[i]);
    }
    for (int i = 0; i < 12; i++) {
        int r = fx_commit(f, "ws", &me, "as it is");
        assert_true(r == 0 || r == -ENODATA);
    }
    for (int i = 0; i < 4; i++) {
        __atomic_store_n(&crowd[i].done, true, __ATOMIC_RELEASE);
        pthread_join(threads[i], NULL);
    }
    int r = fx_commit(f, "ws", &me, "the rest");
    assert_true(r == 0 || r == -ENODATA);
    char *files = test_output(f->work, "git ls-tree -r --name-only main dir | wc -l");
    assert_string_equal(files, "82"); /* two of the base, 40 of each writer */
    free(files);
    for (int w = 0; w < 2; w++)
        for (int i = 0; i < 60; i++) {
            char path[64], text[64];
            if (i % 3 == 0)
                continue;
            snprintf(path, sizeof(path), "ws/dir/w%d-%d", w, i);
            snprintf(text, sizeof(text), "%d of %d\n", i, w);
            fx_assert_content(f, path, text);
        }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_node_follows_its_file),
        T(numbers_are_unique),
        T(numbers_are_unique_everywhere),
        T(a_rename_of_a_predecessor_takes_the_number_along),
        T(unlinked_files_go_on),
        T(unlinked_files_stay_open),
        T(an_open_file_survives_its_commit),
        T(what_a_merge_took_away_is_stale),
        T(directory_times_grow_with_each_change),
        T(a_new_base_has_a_later_time),
        T(deep_and_wide_with_few_descriptors),
        T(depth_ends_somewhere),
        T(many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
