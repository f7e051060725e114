/* Blame against `git blame --first-parent`, over histories whose lines are all different, so that
 * there is one right answer. */
#include "fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "repo/blame.h"

#define FILES 3

/* A repository and its index. */
struct world {
    struct fixture *f;
    struct history_index *index;
    VEC(int) lines[FILES]; /* what each file holds: numbers that are given once */
    int next;
};

static void world_init(struct world *w, struct fixture *f)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *dir = xasprintf("%s/index", f->dir);

    *w = (struct world){.f = f};
    if (history_index_open(f->repo, dir, &w->index, &why) < 0)
        fail_msg("%s", diag_text(&why, -EIO));
}

static void world_done(struct world *w)
{
    history_index_free(w->index);
    for (int i = 0; i < FILES; i++)
        free(w->lines[i].v);
}

static void follow(struct world *w)
{
    struct oid head = oid_from(w->f->path, "git rev-parse main");

    history_index_follow(w->index, &head);
    assert_int_equal(history_index_wait(w->index, 60 * NS_PER_SEC), 0);
}

/* The blame of `dir` in a revision, which stands on the mainline at `place`. */
static int blame(struct world *w, const char *rev, const char *place, const char *dir, size_t most,
                 struct buf *out)
{
    struct blame b = {w->f->repo, w->index, oid_from(w->f->path, "git rev-parse %s", rev), 0,
                      BLAME_NOWHERE};
    struct oid anchor = oid_from(w->f->path, "git rev-parse %s", place);
    struct history_revision found;

    if (history_index_find(w->index, &anchor, &found) == 0)
        b.pos = found.pos;
    _cleanup_free_ char *time = test_output(w->f->path, "git log -1 --format=%%ct %s", rev);
    b.time = strtoll(time, NULL, 10);
    size_t before = out->len, size = 0;
    int sized = blame_size(&b, dir, most, &size), r = blame_directory(&b, dir, most, out);
    assert_int_equal(sized, r);
    if (r == 0)
        assert_int_equal(size, out->len - before);
    return r;
}

/* The same made from what git prints. `-s` leaves the abbreviated id, the line's number and the
 * text; dates come from `git log`. */
static void assert_blame(struct world *w, const char *rev, const char *place)
{
    _cleanup_(buf_done) struct buf got = {0};
    _cleanup_free_ char *want = test_output(
        w->f->path,
        "TZ=UTC git log --format='%%H %%cd' --date=format-local:%%Y-%%m-%%d --all >../dates;"
        "for file in $(git ls-tree -r --name-only '%s'); do"
        "    git blame --first-parent --root -l -s '%s' -- $file | sed 's/^\\^//' |"
        "    awk -v file=$file 'NR == FNR { date[$1] = $2; next } { id = $1;"
        "        sub(/^[^)]*\\) /, \"\"); printf \"%%s %%s %%s:%%d: %%s\\n\","
        "        substr(id, 1, 12), date[id], file, FNR, $0 }' ../dates -;"
        "done",
        rev, rev);

    assert_int_equal(blame(w, rev, place, "", SIZE_MAX, &got), 0);
    assert_true(got.len > 0);
    got.data[got.len - 1] = 0; /* test_output() leaves out the last newline */
    assert_string_equal(got.data, want);
}

static void write_file(struct world *w, int file)
{
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_free_ char *name = xasprintf("%sfile%d", file ? "d/" : "", file);

    vec_foreach (line, &w->lines[file])
        buf_addf(&text, "line %d\n", *line);
    test_write_file(w->f->path, name, buf_str(&text));
}

/* Takes some lines out and puts some new ones in, here and there; never moves any. */
static void edit_file(struct world *w, int file)
{
    __typeof__(w->lines[0]) *old = &w->lines[file], new = {0};

    for (size_t i = 0; i <= old->n; i++) {
        for (int n = random() % 12 ? 0 : random() % 4; n; n--)
            *VEC_ADD(&new) = w->next++;
        if (i < old->n && random() % 15)
            *VEC_ADD(&new) = old->v[i];
    }
    if (!new.n)
        *VEC_ADD(&new) = w->next++;
    free(old->v);
    *old = (__typeof__(*old)){new.v, new.n, new.cap};
    write_file(w, file);
}

static void save(struct world *w, int n)
{
    test_run(w->f->path,
             "git add -A && GIT_COMMITTER_DATE=\"$((%" PRId64 " + %d * 40000)) +0000\" "
             "git commit -q --allow-empty -m %d",
             TEST_TIME, n, n);
}

static void test_every_line_has_the_revision_that_git_names(void **state)
{
    _cleanup_(world_done) struct world w;

    world_init(&w, *state);
    srandom(7);
    for (int n = 0; n < 40; n++) {
        for (int file = 0; file < FILES; file++)
            if (!n || random() % 3 == 0)
                edit_file(&w, file);
        save(&w, n);
    }
    /* Kinds change, a file goes and comes back, a side branch is merged. */
    test_run(w.f->path, "chmod +x d/file1 && rm d/file2");
    save(&w, 40);
    test_run(w.f->path, "git checkout -q -b side");
    edit_file(&w, 1);
    save(&w, 41);
    test_run(w.f->path, "git checkout -q main");
    edit_file(&w, 2);
    save(&w, 42);
    test_run(w.f->path, "git merge -q --no-ff -m merge side");
    edit_file(&w, 0);
    save(&w, 43);
    follow(&w);
    assert_blame(&w, "main", "main");
    assert_blame(&w, "main~1", "main~1");
    assert_blame(&w, "main~17", "main~17");
    assert_blame(&w, "main~42", "main~42");
    assert_blame(&w, "side", "side~1");
}

static void test_what_has_no_lines(void **state)
{
    _cleanup_(world_done) struct world w;
    _cleanup_(buf_done) struct buf got = {0};
    char zeros[8001];

    world_init(&w, *state);
    memset(zeros, 'x', sizeof(zeros));
    zeros[7999] = 0;
    test_write_bytes(w.f->path, "s/binary", zeros, sizeof(zeros));
    zeros[7999] = 'x';
    zeros[8000] = 0;
    test_write_bytes(w.f->path, "s/late", zeros, sizeof(zeros));
    test_write_file(w.f->path, "s/empty", "");
    test_write_file(w.f->path, "s/new\n\"line", "no end");
    test_run(w.f->path,
             "ln -s x s/link && mkdir s/a && echo 1 >s/a/z && echo 1 >s/a.b && echo 1 >z &&"
             "git add s z && git update-index --add --cacheinfo 160000,%040d,s/module &&"
             "git commit -q -m 1",
             5);
    follow(&w);
    assert_int_equal(blame(&w, "main", "main", "s", SIZE_MAX, &got), 0);
    _cleanup_free_ char *id = test_output(w.f->path, "git rev-parse --short=12 main");
    struct buf want = {0};
    buf_addf(&want,
             "%s 2026-01-01 a.b:1: 1\n"
             "%s 2026-01-01 a/z:1: 1\n"
             "N/A          N/A        binary\n"
             "%s 2026-01-01 late:1: ",
             id, id, id);
    buf_add(&want, zeros, sizeof(zeros));
    buf_addf(&want,
             "\n"
             "N/A          N/A        link\n"
             "N/A          N/A        module\n"
             "%s 2026-01-01 new\\n\\\"line:1: no end\n",
             id);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    buf_done(&want);
}

static void test_lines_beside_the_mainline(void **state)
{
    _cleanup_(world_done) struct world w;
    _cleanup_(buf_done) struct buf got = {0};
    char ids[3][16] = {0};

    world_init(&w, *state);
    test_run(w.f->path, "printf '1\n2\n3\n' >x && git add x && git commit -q -m 1;"
                        "git checkout -q -b side && printf '1\nside\n3\n' >x && echo s >y &&"
                        "git add y && git commit -q -a -m 2 && git checkout -q --orphan other &&"
                        "git commit -q -m 3");
    follow(&w);
    static const char *const revs[] = {"main", "side", "other"};
    for (int i = 0; i < 3; i++) {
        _cleanup_free_ char *id = test_output(w.f->path, "git rev-parse --short=12 %s", revs[i]);
        memcpy(ids[i], id, 12);
    }
    assert_int_equal(blame(&w, "side", "main", "", SIZE_MAX, &got), 0);
    _cleanup_free_ char *want =
        xasprintf("%s 2026-01-01 x:1: 1\n%s 2026-01-01 x:2: side\n%s 2026-01-01 x:3: 3\n"
                  "%s 2026-01-01 y:1: s\n",
                  ids[0], ids[1], ids[0], ids[1]);
    assert_string_equal(got.data, want);
    buf_clear(&got);
    assert_int_equal(blame(&w, "other", "other", "", SIZE_MAX, &got), 0);
    assert_int_equal(strncmp(got.data, ids[2], 12), 0);
    assert_null(strstr(got.data, ids[0]));
}

static void test_bounds(void **state)
{
    _cleanup_(world_done) struct world w;
    _cleanup_(buf_done) struct buf got = {0}, again = {0}, none = {0};

    world_init(&w, *state);
    test_run(w.f->path, "seq 1000 >x && mkdir d && ln -s ../x d/l && git add x d && "
                        "git commit -q -m 1");
    follow(&w);
    assert_int_equal(blame(&w, "main", "main", "", SIZE_MAX, &got), 0);
    assert_int_equal(blame(&w, "main", "main", "", got.len, &again), 0);
    assert_int_equal(blame(&w, "main", "main", "", got.len - 1, &none), -EFBIG);
    buf_clear(&none);
    assert_int_equal(blame(&w, "main", "main", "", 4000, &none), -EFBIG);
    assert_int_equal(none.len, 24 + strlen("d/l\n")); /* not even begun */
    buf_clear(&none);
    assert_int_equal(blame(&w, "main", "main", "d", 24, &none), -EFBIG);
    assert_int_equal(blame(&w, "main", "main", "nothing", SIZE_MAX, &none), -ENOENT);
    assert_int_equal(blame(&w, "main", "main", "x", SIZE_MAX, &none), -ENOENT);
}

/* No file and no version of one is loaded that is larger than what may come out. */
static void test_files_that_are_too_large(void **state)
{
    _cleanup_(world_done) struct world w;
    _cleanup_(buf_done) struct buf got = {0};
    size_t size;

    world_init(&w, *state);
    test_run(w.f->path, "mkdir b t v && head -c 9000 /dev/zero >b/x && head -c 9000 /dev/zero |"
                        "tr '\\0' x | tee t/x >v/x && git add b t v && git commit -q -m 1 &&"
                        "echo 1 >v/x && git commit -q -a -m 2");
    follow(&w);
    assert_int_equal(blame(&w, "main", "main", "b", 8999, &got), 0);
    assert_string_equal(got.data, "N/A          N/A        x\n");
    assert_int_equal(blame(&w, "main", "main", "t", 8999, &got), -EFBIG);
    buf_clear(&got);
    assert_int_equal(blame(&w, "main", "main", "v", 9000, &got), 0);
    struct blame b = {w.f->repo, w.index, oid_from(w.f->path, "git rev-parse main"), 0, 1};
    assert_int_equal(blame_size(&b, "v", 8999, &size), 0);
    assert_int_equal(blame_directory(&b, "v", 8999, &got), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_line_has_the_revision_that_git_names),
        TEST(test_what_has_no_lines),
        TEST(test_lines_beside_the_mainline),
        TEST(test_bounds),
        TEST(test_files_that_are_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
