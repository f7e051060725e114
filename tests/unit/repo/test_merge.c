#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/batch.h"
#include "repo/merge.h"

static const struct oid zero;

/* A tree out of a list of "KIND PATH CONTENT" lines, by git; KIND f, x or l. "\n" in CONTENT is
 * one. */
static struct oid tree_of(struct fixture *f, const char *lines)
{
    test_write_file(f->dir, "lines", lines);
    return oid_from(
        f->path,
        "rm -f .git/index; while read -r k p c; do "
        "case $k in f) m=100644;; x) m=100755;; l) m=120000;; esac; "
        "git update-index --add --cacheinfo $m,$(printf \"$c\" | git hash-object -w --stdin),$p;"
        "done <../lines; git write-tree");
}

static int merge(struct fixture *f, struct merge_sides sides, struct oid *ret,
                 struct conflicts *conflicts, struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *b = batch_new(f->repo);
    int r =
        merge_trees(&(struct sink_place){f->repo, batch_sink(b)}, &sides, ret, conflicts, reterr);

    assert_int_equal(batch_store(b, NULL), 0);
    return r;
}

/* Merges the three lists: the tree must be that of `want`, or, if that begins with '!', the
 * conflicts must be the paths in the rest of it. */
static void assert_merge(struct fixture *f, const char *base, const char *ours, const char *theirs,
                         const char *want)
{
    struct conflicts conflicts = {0};
    struct oid b = tree_of(f, base), o = tree_of(f, ours), t = tree_of(f, theirs), merged, expected;
    _cleanup_(buf_done) struct buf paths = {0};
    int r = merge(f, (struct merge_sides){b, o, t}, &merged, &conflicts, NULL);

    vec_foreach (c, &conflicts)
        buf_addf(&paths, " %s", c->path);
    conflicts_done(&conflicts);
    if (*want == '!') {
        assert_int_equal(r, 1);
        assert_string_equal(buf_str(&paths), want + 1);
        return;
    }
    if (r != 0)
        fail_msg("conflicts%s", buf_str(&paths));
    expected = tree_of(f, want);
    assert_oid_equal(&merged, &expected);
}

static void test_what_one_side_changed_is_taken(void **state)
{
    static const char base[] = "f a 1\nf d/e/x 1\nf d/y 1\nf gone 1\n";
    struct fixture *f = *state;

    assert_merge(f, base, base, base, base);
    assert_merge(f, base, "f a 2\nf d/e/x 1\nf d/y 1\nf gone 1\n", "f a 1\nf d/e/x 3\nf d/y 1\n",
                 "f a 2\nf d/e/x 3\nf d/y 1\n");
    assert_merge(f, base, "f a 1\nf d/e/x 1\nf d/y 1\nf gone 1\nf new/o 1\n",
                 "f a 1\nf d/e/x 1\nf d/y 1\nf gone 1\nf new/t 1\n",
                 "f a 1\nf d/e/x 1\nf d/y 1\nf gone 1\nf new/o 1\nf new/t 1\n");
    /* Both did the same. */
    assert_merge(f, base, "f a 5\nl d/y 1\n", "f a 5\nl d/y 1\nf z 1\n", "f a 5\nl d/y 1\nf z 1\n");
    assert_merge(f, base, "", "", "");
    /* Between them they empty a directory. */
    assert_merge(f, "f d/a 1\nf d/b 1\nf k 1\n", "f d/a 1\nf k 1\n", "f d/b 1\nf k 1\n", "f k 1\n");
    assert_merge(f, "f a 1\nf b 1\n", "f a 1\n", "f b 1\n", "");
    /* A deleted directory in which the other side added something. */
    assert_merge(f, "f d/a 1\n", "", "f d/a 1\nf d/b 1\n", "f d/b 1\n");
    /* A file made way for a directory here and just went there. */
    assert_merge(f, "f d 1\nf k 1\n", "f d/x 1\nf k 1\n", "f k 1\n", "f d/x 1\nf k 1\n");
}

static void test_execute_bits_and_contents_merge_separately(void **state)
{
    struct fixture *f = *state;

    assert_merge(f, "f a 1\n", "x a 1\n", "f a 2\n", "x a 2\n");
    assert_merge(f, "x a 1\n", "x a 2\n", "f a 1\n", "f a 2\n");
    assert_merge(f, "f a 1\\n2\\n3\\n4\\n5\\n", "x a 0\\n2\\n3\\n4\\n5\\n",
                 "f a 1\\n2\\n3\\n4\\n6\\n", "x a 0\\n2\\n3\\n4\\n6\\n");
    assert_merge(f, "f a 1\n", "x a 2\n", "x a 2\n", "x a 2\n");
    assert_merge(f, "", "x a 2\n", "f a 2\n", "! a");
}

static void test_what_both_changed_differently_conflicts(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *base, *ours, *theirs, *paths;
    } cases[] = {
        {"f a 1\\n2\\n3\n", "f a 1\\n4\\n3\n", "f a 1\\n5\\n3\n", "! a"},
        {"f a 1\n", "f a 2\n", "", "! a"},
        {"f a 1\n", "", "f a 2\n", "! a"},
        {"", "f a 1\n", "f a 2\n", "! a"},
        {"l a 1\n", "l a 2\n", "l a 3\n", "! a"},
        {"f a 1\n", "l a 1\n", "f a 2\n", "! a"},
        {"f a 1\n", "f a/b 2\n", "f a 3\n", "! a"},
        {"f a/b 1\n", "f a 1\n", "f a/b 2\n", "! a"},
        {"", "f a 1\n", "f a/b 2\n", "! a"},
        {"f d/a 1\nf d/b 1\nf k 1\n", "f d/a 2\nf k 1\n", "f k 1\n", "! d/a"},
        {"f a \\000x\\n1\\n2\\n3\\n4\n", "f a \\000y\\n1\\n2\\n3\\n4\n",
         "f a \\000x\\n1\\n2\\n3\\n5\n", "! a"},
        {"f z 1\nf a-b/x 1\nf a/x 1\n", "f z 2\nf a-b/x 2\nf a/x 2\n",
         "f z 3\nf a-b/x 3\nf a/x 3\n", "! a-b/x a/x z"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_merge(f, cases[i].base, cases[i].ours, cases[i].theirs, cases[i].paths);
}

static void test_a_conflict_names_the_three_sides(void **state)
{
    struct fixture *f = *state;
    struct conflicts c = {0};
    struct oid b = tree_of(f, "f d/a 1\n"), o = tree_of(f, "f d/a 2\n"), t = tree_of(f, ""), id,
               merged = zero;

    assert_int_equal(merge(f, (struct merge_sides){b, o, t}, &merged, &c, NULL), 1);
    assert_true(oid_is_zero(&merged));
    assert_int_equal(c.n, 1);
    blob_hash("1", 1, &id);
    assert_oid_equal(&c.v[0].base, &id);
    blob_hash("2", 1, &id);
    assert_oid_equal(&c.v[0].ours, &id);
    assert_true(oid_is_zero(&c.v[0].theirs));
    conflicts_done(&c);
    /* Without a common ancestor. */
    t = tree_of(f, "f other 1\n");
    assert_int_equal(merge(f, (struct merge_sides){zero, o, t}, &merged, &c, NULL), 0);
    id = tree_of(f, "f d/a 2\nf other 1\n");
    assert_oid_equal(&merged, &id);
    o.id[0] ^= 1;
    _cleanup_(diag_done) struct diag why = {0};
    assert_int_equal(merge(f, (struct merge_sides){b, o, t}, &merged, &c, &why), -EIO);
    assert_non_null(why.text);
}

static unsigned random_below(uint64_t *seed, unsigned n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % n;
}

/* Changes about a third of the nine places of a tree. An empty string: nothing there. */
static void mutate(uint64_t *seed, char state[9][64], unsigned of)
{
    static const char kinds[] = "ffffxl";

    for (int i = 0; i < 9; i++) {
        if (random_below(seed, of))
            continue;
        if (!random_below(seed, 4)) {
            state[i][0] = 0;
            continue;
        }
        char text[8] = "1234567";
        if (state[i][0])
            memcpy(text, strchr(state[i] + 2, ' ') + 1, 7);
        text[random_below(seed, 7)] = "123"[random_below(seed, 3)];
        char kind =
            state[i][0] && random_below(seed, 4) ? state[i][0] : kinds[random_below(seed, 6)];
        static const char *const paths[] = {"a",   "a0",  "d/x",   "d/y", "d/e/z",
                                            "d-e", "f/x", "f/g/h", "k"};
        snprintf(state[i], 64, "%c %s %s", kind, paths[i], text);
    }
}

/* As the list that tree_of() takes; each digit is a line of its own. The lines have the path in
 * them, because git merge-tree takes similar files for renamed ones and cannot be told not to. */
static char *render(char state[9][64])
{
    struct buf out = {0};

    for (int i = 0; i < 9; i++) {
        if (!state[i][0])
            continue;
        size_t head = strchr(state[i] + 2, ' ') + 1 - state[i];
        buf_add(&out, state[i], head);
        for (const char *p = state[i] + head; *p; p++)
            buf_addf(&out, "%.*s:%c\\n", (int)head - 3, state[i] + 2, *p);
        buf_addc(&out, '\n');
    }
    return buf_take(&out);
}

/* One random merge, against `git merge-tree`, which puts one of two kinds that conflict at
 * "path~rev". Returns whether it was clean. */
static bool merge_as_git(struct fixture *f, uint64_t seed)
{
    char base[9][64] = {{0}}, ours[9][64], theirs[9][64], hex[3][OID_HEX + 1];
    struct conflicts conflicts = {0};
    struct oid trees[3], merged, back;

    mutate(&seed, base, 1);
    memcpy(ours, base, sizeof(base));
    memcpy(theirs, base, sizeof(base));
    mutate(&seed, ours, 3);
    mutate(&seed, theirs, 3);
    for (int i = 0; i < 3; i++) {
        _cleanup_free_ char *lines = render(i == 0 ? base : i == 1 ? ours : theirs);
        trees[i] = tree_of(f, lines);
        oid_hex(&trees[i], hex[i]);
    }
    int r = merge(f, (struct merge_sides){trees[0], trees[1], trees[2]}, &merged, &conflicts, NULL);
    assert_true(r == 0 || r == 1);
    _cleanup_(buf_done) struct buf paths = {0};
    vec_foreach (c, &conflicts)
        buf_addf(&paths, "%s\n", c->path);
    conflicts_done(&conflicts);
    test_write_bytes(f->dir, "ours", buf_str(&paths), paths.len);
    test_run(
        f->path,
        "b=$(git commit-tree -m b %s); o=$(git commit-tree -m o -p $b %s);"
        "t=$(git commit-tree -m t -p $b %s); git -c merge.renames=false merge-tree --write-tree "
        "--name-only --no-messages $o $t >../theirs || test $? = 1; head -n 1 ../theirs >../tree;"
        "sed '1d; s/~.*//' ../theirs | sort -u >../paths",
        hex[0], hex[1], hex[2]);
    if (r == 0)
        test_run(f->path, "test ! -s ../paths; test $(cat ../tree) = %s", oid_hex(&merged, hex[0]));
    else
        test_run(f->path, "diff ../paths ../ours");
    /* The other way round it is the same. */
    int again =
        merge(f, (struct merge_sides){trees[0], trees[2], trees[1]}, &back, &conflicts, NULL);
    conflicts_done(&conflicts);
    assert_int_equal(again, r);
    if (r == 0)
        assert_oid_equal(&back, &merged);
    return r == 0;
}

static void test_conflicts_go_into_a_marked_merge(void **state)
{
    struct fixture *f = *state;
    static const char *const lists[] = {
        "f a 1\nf b \\0x\nf del 1\nf d/y 1\nx m 1\nf same 1\n",
        "f a o\nf b \\0o\nf d 1\nx m 1o\nf new o\nf odd o\nf same 2\n",
        "f a t\\n\nf b \\0t\nf del t\nf d/y 2\nf m 1\nf new t\nl odd t\nf same 2\n",
    };
    static const char want[] =
        "f a <<<<<<<\\040head\\nt\\n=======\\no\\n>>>>>>>\\040ws\\n\nf b \\0o\nf d 1\nf m 1o\n"
        "f new <<<<<<<\\040head\\nt\\n=======\\no\\n>>>>>>>\\040ws\\n\nf odd o\nf same 2\n";
    struct merge_sides sides = {tree_of(f, lists[0]), tree_of(f, lists[1]), tree_of(f, lists[2]),
                                "ws", "head"};
    struct oid merged, expected = tree_of(f, want);
    struct conflicts conflicts = {0};
    _cleanup_(buf_done) struct buf paths = {0};

    assert_int_equal(merge(f, sides, &merged, &conflicts, NULL), 1);
    vec_foreach (c, &conflicts)
        buf_addf(&paths, "%s%s ", c->path, c->marked ? "*" : "");
    conflicts_done(&conflicts);
    assert_string_equal(buf_str(&paths), "a* b d del new* odd ");
    assert_oid_equal(&merged, &expected);
    sides.ours = sides.base;
    assert_int_equal(merge(f, sides, &merged, &conflicts, NULL), 0);
    assert_oid_equal(&merged, &sides.theirs);
}

static void test_random_merges_are_those_of_git(void **state)
{
    struct fixture *f = *state;
    int clean = 0;

    for (uint64_t seed = 1; seed <= 60; seed++)
        clean += merge_as_git(f, seed);
    assert_true(clean > 10 && clean < 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_one_side_changed_is_taken),
        TEST(test_execute_bits_and_contents_merge_separately),
        TEST(test_what_both_changed_differently_conflicts),
        TEST(test_a_conflict_names_the_three_sides),
        TEST(test_conflicts_go_into_a_marked_merge),
        TEST(test_random_merges_are_those_of_git),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
