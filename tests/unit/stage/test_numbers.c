/* Inode numbers: the table of those that are kept, against a list; and the numbers of a workspace
 * under random operations, commits and rebases. A plain directory of the local filesystem says what
 * is the same thing as before: there it has the same number, too. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fixture.h"
#include "stage/numbers.h"

static unsigned dice(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % n;
}

/* The table */

#define PLACES 200

struct model {
    uint64_t place, ino;
    mode_t type;
};

static void table_step(struct numbers *numbers, struct model *m, unsigned *seed, uint64_t ino)
{
    struct model *a = &m[dice(seed, PLACES)], *b = &m[dice(seed, PLACES)], old = *a;

    switch (dice(seed, 5)) {
    case 0:
    case 1:
        a->ino = ino;
        a->type = dice(seed, 2) ? S_IFREG : S_IFDIR;
        return numbers_keep(numbers, a->place, a->type, ino);
    case 2:
        a->ino = 0;
        return numbers_drop(numbers, a->place);
    case 3:
        if (a == b)
            return;
        b->ino = a->ino;
        b->type = a->type;
        a->ino = 0;
        return numbers_move(numbers, a->place, b->place);
    default:
        a->ino = b->ino;
        a->type = b->type;
        b->ino = old.ino;
        b->type = old.type;
        return numbers_exchange(numbers, a->place, b->place);
    }
}

/* Places that all want the same few slots. */
static void the_table_is_a_list(void **state)
{
    (void)state;
    struct numbers numbers = {0};
    struct model m[PLACES];
    unsigned seed = 7;

    for (uint64_t i = 0; i < PLACES; i++)
        m[i] = (struct model){.place = i << 32 | i % 7};
    for (uint64_t step = 2; step < 20000; step++) {
        if (step % 5000 == 0) {
            numbers_reset(&numbers, 1);
            for (int i = 0; i < PLACES; i++)
                m[i].ino = 0;
        }
        table_step(&numbers, m, &seed, step);
        for (int i = 0; i < PLACES; i++) {
            mode_t other = m[i].type == S_IFREG ? S_IFDIR : S_IFREG;
            uint64_t want = m[i].ino ? m[i].ino : 1;
            assert_int_equal(numbers_get(&numbers, m[i].place, m[i].type, 1), want);
            assert_int_equal(numbers_get(&numbers, m[i].place, other, 1), 1);
        }
    }
    numbers_done(&numbers);
}

/* A workspace */

#define HELD 5

/* The numbers of one thing: in the plain directory, and in the workspace. */
struct thing {
    ino_t plain;
    uint64_t ino;
};

struct twin {
    struct fixture *f;
    char *plain;
    unsigned seed;
    struct { /* what the kernel knows */
        struct node *node;
        int fd;
    } held[HELD];
    struct {
        VEC(struct thing);
    } before, now;
    struct buf trail;
};

static struct twin *walked; /* nftw() passes nothing on */

static char *some_path(struct twin *t)
{
    static const char *const dirs[] = {"", "", "d/", "d/s/", "e/", "d/e/"};
    static const char *const names[] = {"a", "b", "c", "d", "e", "s", "link"};

    return xasprintf("%s%s", dirs[dice(&t->seed, ARRAY_SIZE(dirs))],
                     names[dice(&t->seed, ARRAY_SIZE(names))]);
}

/* One that is there, if luck has it. */
static char *likely_path(struct twin *t)
{
    struct stat st;

    for (int tries = 8;; tries--) {
        char *path = some_path(t);
        _cleanup_free_ char *p = xasprintf("%s/%s", t->plain, path);
        if (!tries || lstat(p, &st) == 0)
            return path;
        free(path);
    }
}

static void said(struct twin *t, const char *what, const char *a, const char *b, int got, int want)
{
    buf_addf(&t->trail, "%s %s %s = %d\n", what, a, b, want);
    if ((got < 0) != (want < 0))
        fail_msg("%s %s %s: %d instead of %d after\n%s", what, a, b, got, want, buf_str(&t->trail));
}

static void let_go(struct twin *t, int i)
{
    node_unref(t->held[i].node);
    closep(&t->held[i].fd);
    t->held[i].node = NULL;
}

static void hold(struct twin *t, int i, const char *path)
{
    _cleanup_free_ char *o = xasprintf("ws/%s", path), *p = xasprintf("%s/%s", t->plain, path);
    int err;

    let_go(t, i);
    t->held[i].fd = open(p, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (t->held[i].fd < 0)
        return;
    t->held[i].node = fx_walk(t->f, o, &err);
    assert_non_null(t->held[i].node);
    buf_addf(&t->trail, "hold %s\n", path);
}

static void touch(struct twin *t, const char *path)
{
    _cleanup_free_ char *o = xasprintf("ws/%s", path);
    const struct set_attrs now = {.valid = SET_MTIME, .mtime = {.tv_sec = 1}};
    int err;
    struct node *n = fx_walk(t->f, o, &err);

    if (n)
        assert_int_equal(n->ops->setattr(n, &me, &now), 0);
    node_unref(n);
    buf_addf(&t->trail, "touch %s\n", path);
}

static void step(struct twin *t)
{
    unsigned what = dice(&t->seed, 12);
    _cleanup_free_ char *a = what < 3 ? some_path(t) : likely_path(t), *b = some_path(t);
    _cleanup_free_ char *o = xasprintf("ws/%s", a), *p = xasprintf("%s/%s", t->plain, a);
    _cleanup_free_ char *to_o = xasprintf("ws/%s", b), *to_p = xasprintf("%s/%s", t->plain, b);
    unsigned flags = what < 9 ? 0 : RENAME_EXCHANGE;

    switch (what) {
    case 0:
        return said(t, "create", a, "", fx_create(t->f, o, 0644), mknod(p, S_IFREG | 0644, 0));
    case 1:
        return said(t, "mkdir", a, "", fx_mkdir(t->f, o, 0755), mkdir(p, 0755));
    case 2:
        return said(t, "symlink", a, "", fx_symlink(t->f, o, "x"), symlink("x", p));
    case 3:
        return said(t, "unlink", a, "", fx_unlink(t->f, o), unlink(p));
    case 4:
        return said(t, "rmdir", a, "", fx_rmdir(t->f, o), rmdir(p));
    case 5:
        return touch(t, a);
    case 6:
    case 7:
        return hold(t, dice(&t->seed, HELD), a);
    default:
        return said(t, flags ? "exchange" : "rename", a, b, fx_rename(t->f, o, to_o, flags),
                    renameat2(AT_FDCWD, p, AT_FDCWD, to_p, flags));
    }
}

/* Comparing */

static void add_thing(struct twin *t, ino_t plain, uint64_t ino, const char *what)
{
    const char *trail = buf_str(&t->trail);

    vec_foreach (thing, &t->now)
        if ((thing->plain == plain) != (thing->ino == ino))
            fail_msg("%s\n%s has the number %jx; %s has %jx", trail, what, (uintmax_t)ino,
                     thing->plain == plain ? "it also" : "another thing", (uintmax_t)thing->ino);
    vec_foreach (thing, &t->before)
        if (thing->plain == plain && thing->ino != ino)
            fail_msg("%s\n%s has the number %jx, and had %jx", trail, what, (uintmax_t)ino,
                     (uintmax_t)thing->ino);
    *VEC_ADD(&t->now) = (struct thing){plain, ino};
}

/* What the kernel knows. A link that a commit has made another node it does not use any more. */
static void add_held(struct twin *t)
{
    for (int i = 0; i < HELD; i++) {
        struct node *n = t->held[i].node;
        struct stat st = {0}, ours;
        if (n && n->ops->getattr(n, &ours) == -ESTALE)
            let_go(t, i);
        else if (n && fstat(t->held[i].fd, &st) == 0)
            add_thing(t, st.st_ino, n->ino, "what is held");
    }
}

struct reader {
    struct dir_sink sink;
    struct twin *t;
    struct node *dir;
};

static int same_as_looked_up(struct dir_sink *sink, const char *name, mode_t type, uint64_t ino,
                             uint64_t cookie, bool plus)
{
    struct reader *r = container_of(sink, struct reader, sink);
    _cleanup_(node_unrefp) struct node *n = NULL;

    (void)type;
    (void)cookie;
    (void)plus;
    assert_int_equal(r->dir->ops->lookup(r->dir, name, &n), 0);
    if (n->ino != ino)
        fail_msg("%s\n%s is listed with the number %jx and has %jx", buf_str(&r->t->trail), name,
                 (uintmax_t)ino, (uintmax_t)n->ino);
    return 0;
}

static void read_dir(struct twin *t, const char *path)
{
    _cleanup_(node_unrefp) struct node *dir = fx_get(t->f, path);
    struct reader r = {{same_as_looked_up}, t, dir};

    assert_int_equal(dir->ops->readdir(dir, 0, &r.sink), 0);
}

static int see(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    struct twin *t = walked;
    const char *rest = path + strlen(t->plain);
    _cleanup_free_ char *o = xasprintf("ws%s", rest);
    struct stat ours;

    if (type == FTW_D && strncmp(rest, "/.git", 5))
        read_dir(t, o);
    if (!*rest || !strncmp(rest, "/.git", 5))
        return *rest && ftw->level == 1 ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
    if (fx_stat(t->f, o, &ours) < 0)
        fail_msg("%s is not there after\n%s", rest, buf_str(&t->trail));
    add_thing(t, st->st_ino, ours.st_ino, rest);
    return FTW_CONTINUE;
}

/* Nothing has another number than before, and no two things that are there or held have one. What
 * is looked at and not held, the kernel forgets at once. */
static void compare(struct twin *t)
{
    add_held(t);
    walked = t;
    nftw(t->plain, see, 20, FTW_PHYS | FTW_ACTIONRETVAL);
    free(t->before.v);
    t->before.v = t->now.v;
    t->before.n = t->now.n;
    t->before.cap = t->now.cap;
    t->now.v = NULL;
    t->now.n = t->now.cap = 0;
}

/* What is not held may have another number now. */
static void moved(struct twin *t, const char *how)
{
    buf_addf(&t->trail, "%s\n", how);
    t->before.n = 0;
}

static void commit(struct twin *t, const char *ws)
{
    int r = fx_commit(t->f, ws, &me, "random");

    assert_true(r == 0 || r == -ENODATA);
}

/* Onto what another workspace has committed, where nothing is in the way. */
static void rebase(struct twin *t, int n)
{
    _cleanup_free_ char *name = xasprintf("other/theirs-%d", n);
    _cleanup_free_ char *p = xasprintf("%s/theirs-%d", t->plain, n);

    if (fx_mkdir(t->f, "other", 0777) < 0)
        fail_msg("mkdir other");
    fx_put(t->f, name, "theirs\n");
    commit(t, "other");
    assert_int_equal(fx_rmdir(t->f, "other"), 0);
    _cleanup_(node_unrefp) struct node *control = fx_get(t->f, "ws/.onward/rebase");
    assert_int_equal(control->ops->write(control, &me, "x\n", 2, 0), 2);
    assert_int_equal(mknod(p, S_IFREG | 0644, 0), 0);
}

static struct twin *twin_new(unsigned seed)
{
    struct twin *t = NEW(struct twin);

    t->seed = seed;
    t->f = fixture_new();
    free(fixture_push(t->f, "mkdir -p d/s e && for i in a d/a d/s/a d/s/b e/a; do echo $i > $i; "
                            "done && ln -s x link && ln -s x e/link"));
    test_run(t->f->dir, "git clone -q repo.git plain");
    t->plain = xasprintf("%s/plain", t->f->dir);
    for (int i = 0; i < HELD; i++)
        t->held[i].fd = -1;
    fixture_open(t->f);
    assert_int_equal(fx_mkdir(t->f, "ws", 0777), 0);
    return t;
}

static void twin_free(struct twin *t)
{
    for (int i = 0; i < HELD; i++)
        let_go(t, i);
    fixture_free(t->f);
    free(t->plain);
    free(t->before.v);
    buf_done(&t->trail);
    free(t);
}

static void numbers_stay_and_differ(void **state)
{
    const char *env = getenv("ONWARD_TEST_ROUNDS");
    int rounds = env ? strtol(env, NULL, 10) : 3;

    (void)state;
    umask(022);
    for (int round = 0; round < rounds; round++) {
        struct twin *t = twin_new(round);
        for (int i = 1; i < 300; i++) {
            step(t);
            compare(t);
            if (i % 40 == 0) {
                commit(t, "ws");
                moved(t, "commit");
            } else if (i % 40 == 20) {
                rebase(t, i);
                moved(t, "rebase");
            }
            compare(t);
        }
        twin_free(t);
    }
}

static void make_all(struct fixture *f, const char *const paths[3], struct node *ret[3])
{
    assert_int_equal(fx_create(f, paths[0], 0644), 0);
    assert_int_equal(fx_mkdir(f, paths[1], 0755), 0);
    assert_int_equal(fx_symlink(f, paths[2], "x"), 0);
    for (int i = 0; i < 3; i++)
        ret[i] = fx_get(f, paths[i]);
}

/* What is made where something was that the kernel knew at the last commit, and has open still. */
static void a_place_has_no_number(void **state)
{
    static const char *const paths[] = {"ws/file", "ws/dir", "ws/li"};
    struct twin *t = twin_new(0);
    struct node *old[3], *new[3];

    (void)state;
    make_all(t->f, paths, old);
    commit(t, "ws");
    for (int i = 0; i < 3; i++)
        assert_int_equal((i == 1 ? fx_rmdir : fx_unlink)(t->f, paths[i]), 0);
    make_all(t->f, paths, new);
    for (int i = 0; i < 3; i++) {
        assert_true(new[i]->ino != old[i]->ino);
        node_unref(new[i]);
        node_unref(old[i]);
    }
    twin_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_a_list),
        cmocka_unit_test(a_place_has_no_number),
        cmocka_unit_test(numbers_stay_and_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
