/* sites/<site>/history/: one directory for each generation, whatever the number of its records. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "fixture.h"

static void append(struct fixture *f, uint64_t generation, enum record_kind kind, const char *from,
                   const char *to, const char *log)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_(record_done) struct record r = {
        .site = xstrdup("s"),
        .generation = generation,
        .kind = kind,
        .to = oid_from(f, to),
        .source = xstrdup("."),
        .attempt = 1,
        .exit = -1,
        .by = xstrdup("onwardfs"),
        .at = clock_real(),
    };

    if (from)
        r.from = oid_from(f, from);
    const struct buf output = {(char *)log, log ? strlen(log) : 0};
    r.output = log ? &output : NULL;
    if (ledger_append(f->ledger, &r, 1, &why) < 0)
        fail_msg("%s", diag_text(&why, -1));
}

static struct node *history_dir(struct fixture *f)
{
    return generations_node(f->view, f->root, "s", 99);
}

static struct node *look_up(struct node *dir, const char *name)
{
    struct node *node = NULL;

    return dir && dir->ops->lookup(dir, name, &node) == 0 ? node : NULL;
}

static void assert_text(struct node *dir, const char *name, const char *expected)
{
    _cleanup_(node_unrefp) struct node *file = look_up(dir, name);
    char text[4096];

    assert_non_null(file);
    ssize_t n = file->ops->read(file, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = 0;
    assert_string_equal(text, expected);
}

static void assert_links_to(struct fixture *f, struct node *dir, const char *name, const char *rev)
{
    _cleanup_(node_unrefp) struct node *link = look_up(dir, name);
    _cleanup_free_ char *got = NULL;
    struct oid oid = oid_from(f, rev);
    _cleanup_free_ char *expected = view_target("../../../../", &oid, NULL);

    assert_non_null(link);
    assert_int_equal(link->ops->readlink(link, &got), 0);
    assert_string_equal(got, expected);
}

static void test_generations_are_listed_oldest_first_once_each(void **state)
{
    struct fixture *f = *state;
    _cleanup_(node_unrefp) struct node *dir = history_dir(f);

    for (int most = 1; most < 3; most++) {
        _cleanup_free_ char *none = listing(dir, most);
        assert_string_equal(none, "");
    }
    append(f, 0, RECORD_HELD, NULL, "main", NULL);
    append(f, 1, RECORD_ATTEMPT, NULL, "main", NULL);
    append(f, 1, RECORD_DEPLOYED, NULL, "main", NULL);
    append(f, 2, RECORD_ATTEMPT, NULL, "main", NULL);
    append(f, 2, RECORD_FAILED, NULL, "main", NULL);
    append(f, 10, RECORD_ATTEMPT, NULL, "main", NULL);
    for (int most = 1; most < 5; most++) {
        _cleanup_free_ char *got = listing(dir, most);
        assert_string_equal(got, "1/ 2/ 10/ ");
    }
    _cleanup_(node_unrefp) struct node *zero = look_up(dir, "0"), *next = look_up(dir, "3"),
                                       *odd = look_up(dir, "01"), *junk = look_up(dir, "1x");
    assert_true(!zero && !next && !odd && !junk);
}

static void test_a_generation_shows_its_newest_record(void **state)
{
    struct fixture *f = *state;

    change(f, "git commit -q --allow-empty -m two");
    append(f, 1, RECORD_DEPLOYED, NULL, "main~1", "first\n");
    append(f, 2, RECORD_ATTEMPT, "main~1", "main", NULL);
    append(f, 2, RECORD_FAILED, "main~1", "main", "no luck\n");
    append(f, 2, RECORD_ATTEMPT, "main~1", "main", NULL);
    _cleanup_(node_unrefp) struct node *dir = history_dir(f);
    _cleanup_(node_unrefp) struct node *one = look_up(dir, "1"), *two = look_up(dir, "2");
    _cleanup_(node_unrefp) struct node *from = look_up(one, "from");
    assert_null(from);
    assert_links_to(f, one, "revision", "main~1");
    assert_text(one, "log", "first\n");
    assert_links_to(f, two, "revision", "main");
    assert_links_to(f, two, "from", "main~1");
    assert_text(two, "log", "no luck\n");
    append(f, 3, RECORD_ATTEMPT, "main~1", "main", NULL);
    _cleanup_(node_unrefp) struct node *three = look_up(dir, "3");
    assert_text(three, "log", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_generations_are_listed_oldest_first_once_each),
        TEST(test_a_generation_shows_its_newest_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
