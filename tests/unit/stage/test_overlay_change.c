/* Changing files: the workspace against a plain directory of the local filesystem. Random
 * operations are done to both; what each call answers and what both trees hold must stay the same,
 * over restarts and commits. The plain directory is a work tree of git, so that it also says which
 * tree a commit makes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/io.h"
#include "fixture.h"

#define HANDLES 6

struct twin {
    struct fixture *f;
    char *plain; /* the plain tree */
    unsigned seed;
    struct {
        struct node *node;
        int fd;
    } open[HANDLES];
    struct buf trail; /* what was done, for the message of a failure */
};

static unsigned dice(struct twin *t, unsigned n)
{
    t->seed = t->seed * 1103515245 + 12345;
    return (t->seed >> 16) % n;
}

/* Following links is the kernel's: the nodes are never asked for a path that leads through one. */
static bool leads_through_link(struct twin *t, const char *path)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *p = xasprintf("%s/%.*s", t->plain, (int)(slash - path), path);
        struct stat st;
        if (lstat(p, &st) == 0 && S_ISLNK(st.st_mode))
            return true;
    }
    return false;
}

/* A path of few names, so that operations meet. */
static char *some_path(struct twin *t)
{
    static const char *const names[] = {"a", "b", "dir", "sub", "file", "x.sh", "link"};

    for (;;) {
        struct buf path = {0};
        int depth = 1 + dice(t, 3);
        for (int i = 0; i < depth; i++)
            buf_addf(&path, "%s%s", i ? "/" : "", names[dice(t, ARRAY_SIZE(names))]);
        if (!leads_through_link(t, buf_str(&path)))
            return buf_take(&path);
        buf_done(&path);
    }
}

/* Mostly a path that is there, sometimes any. */
static char *likely_path(struct twin *t)
{
    struct stat st;

    for (int tries = dice(t, 30);; tries--) {
        char *path = some_path(t);
        _cleanup_free_ char *p = xasprintf("%s/%s", t->plain, path);
        if (tries <= 0 || lstat(p, &st) == 0)
            return path;
        free(path);
    }
}

static char *ours(const char *path)
{
    return xasprintf("ws/%s", path);
}

static char *theirs(struct twin *t, const char *path)
{
    return xasprintf("%s/%s", t->plain, path);
}

static int sys(int r)
{
    return r < 0 ? -errno : 0;
}

/* ENOTEMPTY and EEXIST are the same answer to a rename over a full directory. */
static int canonical(int err)
{
    return err == -EEXIST ? -ENOTEMPTY : err;
}

static void same(struct twin *t, int got, int want, const char *what, const char *a, const char *b)
{
    buf_addf(&t->trail, "%s %s %s = %d\n", what, a, b, want);
    if (canonical(got) != canonical(want))
        fail_msg("%s %s %s: %s instead of %s after\n%s", what, a, b, strerror(-got),
                 strerror(-want), buf_str(&t->trail));
}

static void do_rename(struct twin *t, const char *path)
{
    static const unsigned flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    _cleanup_free_ char *to = some_path(t), *o = ours(path), *to_o = ours(to);
    _cleanup_free_ char *p = theirs(t, path), *to_p = theirs(t, to);
    unsigned flag = flags[dice(t, ARRAY_SIZE(flags))];
    int want = sys(renameat2(AT_FDCWD, p, AT_FDCWD, to_p, flag));
    int got = fx_rename(t->f, o, to_o, flag);

    /* Which of two things that are wrong is named first is the kernel's to say. */
    if (want < 0 && got < 0)
        got = want;
    same(t, got, want, "rename", path, to);
}

static void do_write(struct twin *t, const char *path)
{
    char text[64];
    _cleanup_free_ char *o = ours(path), *p = theirs(t, path);
    off_t off = dice(t, 40);

    snprintf(text, sizeof(text), "text %u\n", dice(t, 1000));
    int fd = open(p, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    int want = sys(fd);
    if (fd >= 0) {
        assert_int_equal(pwrite(fd, text, strlen(text), off), strlen(text));
        close(fd);
    }
    int got = want == -ELOOP ? want : fx_write(t->f, o, text, off);
    same(t, got > 0 ? 0 : got, want, "write", path, "");
}

static void do_chmod(struct twin *t, const char *path)
{
    static const mode_t modes[] = {0644, 0755, 0600, 0444, 0700, 0711};
    _cleanup_free_ char *o = ours(path), *p = theirs(t, path);
    mode_t mode = modes[dice(t, ARRAY_SIZE(modes))];
    struct stat st;

    if (lstat(p, &st) < 0 || S_ISLNK(st.st_mode))
        return;
    if (S_ISDIR(st.st_mode))
        mode |= 0700;
    if (geteuid() != 0) /* the plain side must stay open to us */
        mode |= 0600;
    same(t, fx_chmod(t->f, o, mode), sys(chmod(p, mode)), "chmod", path, "");
}

static void do_truncate(struct twin *t, const char *path)
{
    _cleanup_free_ char *o = ours(path), *p = theirs(t, path);
    off_t size = dice(t, 3) ? dice(t, 30) : 0;
    struct stat st;

    if (lstat(p, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    same(t, fx_truncate(t->f, o, size), sys(truncate(p, size)), "truncate", path, "");
}

static void do_create(struct twin *t, const char *path)
{
    _cleanup_free_ char *o = ours(path), *p = theirs(t, path);
    int fd = open(p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int want = sys(fd);

    closep(&fd);
    same(t, fx_create(t->f, o, 0644), want, "create", path, "");
}

/* Opens a file on both sides and holds it, or looks at one that is held. */
static void do_hold(struct twin *t, const char *path)
{
    int i = dice(t, HANDLES), err;
    _cleanup_free_ char *o = ours(path), *p = theirs(t, path);

    if (t->open[i].node) {
        char text[32], back[32] = "";
        snprintf(text, sizeof(text), "held %u", dice(t, 1000));
        struct stat st;
        node_stat(t->open[i].node, &st);
        assert_int_equal(pwrite(t->open[i].fd, text, strlen(text), 3), strlen(text));
        assert_int_equal(t->open[i].node->ops->write(t->open[i].node, &me, text, strlen(text), 3),
                         strlen(text));
        assert_int_equal(t->open[i].node->ops->read(t->open[i].node, back, strlen(text), 3),
                         strlen(text));
        assert_string_equal(back, text);
        return;
    }
    int fd = open(p, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    t->open[i].fd = fd;
    t->open[i].node = fx_walk(t->f, o, &err);
    same(t, err, 0, "hold", path, "");
}

static void drop_held(struct twin *t, int i)
{
    node_unref(t->open[i].node);
    closep(&t->open[i].fd);
    t->open[i].node = NULL;
}

static void step(struct twin *t)
{
    int what = dice(t, 13);
    _cleanup_free_ char *path = what < 4 ? some_path(t) : likely_path(t);
    _cleanup_free_ char *o = ours(path), *p = theirs(t, path);

    switch (what) {
    case 0:
    case 1:
        return do_create(t, path);
    case 2:
        return same(t, fx_mkdir(t->f, o, 0755), sys(mkdir(p, 0755)), "mkdir", path, "");
    case 3:
        return same(t, fx_symlink(t->f, o, "dir/../a"), sys(symlink("dir/../a", p)), "symlink",
                    path, "");
    case 4:
        return same(t, fx_rmdir(t->f, o), sys(rmdir(p)), "rmdir", path, "");
    case 5:
        return same(t, fx_unlink(t->f, o), sys(unlink(p)), "unlink", path, "");
    case 6:
    case 7:
        return do_write(t, path);
    case 8:
    case 9:
        return do_rename(t, path);
    case 10:
        return do_chmod(t, path);
    case 11:
        return do_truncate(t, path);
    default:
        return do_hold(t, path);
    }
}

/* Comparing */

static void compare(struct twin *t, const char *path);

static void compare_dir(struct twin *t, const char *path)
{
    _cleanup_free_ char *o = ours(path), *p = theirs(t, path), *got = fx_list(t->f, o);
    _cleanup_free_ char *want =
        test_output(p, "LC_ALL=C ls -1A --file-type | sed 's/@$/@/' | grep -vx .git/ | sort; echo");
    struct stat st;

    got[strcspn(got, "")] = 0;
    size_t len = strlen(got);
    if (len)
        got[len - 1] = 0;
    if (strcmp(got, want))
        fail_msg("%s holds\n%s\ninstead of\n%s\nafter\n%s", path, got, want, buf_str(&t->trail));
    for (char *name = want, *end; *name; name = end) {
        end = strchrnul(name, '\n');
        _cleanup_free_ char *one = xstrndup(name, end - name);
        one[strcspn(one, "/@")] = 0;
        _cleanup_free_ char *child = *path ? xasprintf("%s/%s", path, one) : xstrdup(one);
        compare(t, child);
        end += *end == '\n';
    }
    assert_int_equal(fx_stat(t->f, o, &st), 0);
}

static void compare_content(struct twin *t, struct node *n, int fd, const char *path)
{
    size_t len;
    _cleanup_(buf_done) struct buf want = {0};
    _cleanup_free_ char *got = node_content(n, &len);

    lseek(fd, 0, SEEK_SET);
    assert_int_equal(io_read_fd(fd, 1 << 20, &want), 0);
    if (len != want.len || memcmp(got, buf_str(&want), len))
        fail_msg("%s: '%s' instead of '%s' after\n%s", path, got, buf_str(&want),
                 buf_str(&t->trail));
}

static void compare(struct twin *t, const char *path)
{
    _cleanup_free_ char *o = ours(path), *p = theirs(t, path);
    _cleanup_(node_unrefp) struct node *n = fx_get(t->f, o);
    struct stat got, want;

    node_stat(n, &got);
    assert_int_equal(lstat(p, &want), 0);
    if (*path && got.st_mode != want.st_mode)
        fail_msg("%s: mode %o instead of %o after\n%s", path, got.st_mode, want.st_mode,
                 buf_str(&t->trail));
    if (S_ISDIR(want.st_mode))
        return compare_dir(t, path);
    assert_int_equal(got.st_size, want.st_size);
    if (S_ISLNK(want.st_mode)) {
        _cleanup_free_ char *target = NULL;
        assert_int_equal(n->ops->readlink(n, &target), 0);
        assert_string_equal(target, "dir/../a");
    } else {
        _cleanup_close_ int fd = open(p, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) /* a test that is not root may not read what it may not read */
            compare_content(t, n, fd, path);
    }
}

static void compare_held(struct twin *t)
{
    for (int i = 0; i < HANDLES; i++) {
        if (!t->open[i].node)
            continue;
        struct stat got, want;
        node_stat(t->open[i].node, &got);
        assert_int_equal(fstat(t->open[i].fd, &want), 0);
        assert_int_equal(got.st_nlink, want.st_nlink);
        compare_content(t, t->open[i].node, t->open[i].fd, "held");
    }
}

/* Restart and commit */

static void restart(struct twin *t)
{
    for (int i = 0; i < HANDLES; i++)
        drop_held(t, i);
    fixture_close(t->f);
    fixture_open(t->f);
    buf_adds(&t->trail, "restart\n");
}

static void commit(struct twin *t)
{
    _cleanup_free_ char *before =
        test_output(t->f->work, "git rev-parse HEAD^{tree} 2>/dev/null || true");
    _cleanup_free_ char *want = test_output(t->plain, "git add -A && git write-tree");
    int r = fx_commit(t->f, "ws", &me, "random");

    buf_addf(&t->trail, "commit = %d\n", r);
    if (!strcmp(before, want)) {
        assert_int_equal(r, -ENODATA);
        return;
    }
    assert_int_equal(r, 0);
    _cleanup_free_ char *got = test_output(t->f->work, "git rev-parse main^{tree}");
    if (strcmp(got, want)) {
        _cleanup_free_ char *diff =
            test_output(t->plain,
                        "git --git-dir=%s --work-tree=. diff-tree -r %s $(git write-tree) || "
                        "git ls-tree -r $(git write-tree)",
                        t->f->work, got);
        fail_msg("the commit has the tree %s instead of %s after\n%s\n%s", got, want,
                 buf_str(&t->trail), diff);
    }
    /* What is in the base has Git's modes; only directories that are empty keep theirs. */
    test_run(t->plain, "find . -name .git -prune -o -type f -perm -100 -exec chmod 755 {} + -o "
                       "-type f -exec chmod 644 {} +");
    test_run(t->plain, "find . -name .git -prune -o ! -type d -print | while read -r p; do "
                       "while p=${p%%/*}; [ \"$p\" != . ]; do chmod 755 \"$p\"; done; done");
}

static struct twin *twin_new(unsigned seed)
{
    struct twin *t = NEW(struct twin);

    t->seed = seed;
    t->f = fixture_new();
    free(fixture_push(t->f,
                      "mkdir -p dir/sub a/b && echo one > dir/file && echo two > dir/sub/a && "
                      "echo '#!/bin/sh' > x.sh && chmod 755 x.sh && ln -s dir/../a dir/link && "
                      "echo four > a/b/file && echo five > a/x.sh && umask 022"));
    test_run(t->f->dir, "git clone -q repo.git plain");
    t->plain = xasprintf("%s/plain", t->f->dir);
    for (int i = 0; i < HANDLES; i++)
        t->open[i].fd = -1;
    fixture_open(t->f);
    assert_int_equal(fx_mkdir(t->f, "ws", 0777), 0);
    return t;
}

static void twin_free(struct twin *t)
{
    for (int i = 0; i < HANDLES; i++)
        drop_held(t, i);
    fixture_free(t->f);
    free(t->plain);
    buf_done(&t->trail);
    free(t);
}

static void random_operations_like_a_local_filesystem(void **state)
{
    const char *env = getenv("ONWARD_TEST_ROUNDS");
    int rounds = env ? strtol(env, NULL, 10) : 6;

    umask(022);
    for (int round = 0; round < rounds; round++) {
        struct twin *t = twin_new(1000 + round);
        for (int i = 0; i < 400; i++) {
            step(t);
            if (i % 10 == 0 && t->open[i / 10 % HANDLES].node)
                drop_held(t, i / 10 % HANDLES);
            if (i % 40 == 39) {
                compare(t, "");
                compare_held(t);
            }
            if (i % 97 == 96)
                restart(t);
            if (i % 130 == 129) {
                commit(t);
                compare(t, "");
                compare_held(t);
            }
        }
        twin_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_like_a_local_filesystem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
