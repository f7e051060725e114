/* A chain that does not hold what this host has seen of it: nothing is appended that would cover it
 * up, until it holds that again, or a person accepts what is left. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define R "refs/onward/ledger/ops-1"

/* As at a start. */
static struct ledger *begin(struct fixture *f)
{
    _cleanup_free_ char *marks = xasprintf("%s/marks", f->dir);
    struct ledger *l = open_ledger(f, "ops-1");

    assert_int_equal(ledger_keep_marks(l, marks, NULL), 0);
    return l;
}

static int try_append(struct ledger *l, const char *site, enum record_kind kind)
{
    _cleanup_(record_done) struct record r = make_record(site, 0, kind);

    return ledger_append(l, &r, 1, NULL);
}

static char *tip(struct fixture *f)
{
    return test_output(f->path, "git rev-parse -q --verify " R " || echo gone");
}

/* It says so, names what was seen, and stays as it is. */
static void assert_set_back(struct fixture *f, struct ledger *l, const char *seen)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *before = tip(f);

    assert_int_equal(ledger_holds(l, &why), -ESTALE);
    assert_non_null(strstr(why.text, "onward accept"));
    if (!strstr(why.text, seen))
        fail_msg("%s: %s", seen, why.text);
    assert_int_equal(try_append(l, "a", RECORD_ATTEMPT), -ESTALE);
    assert_int_equal(try_append(l, RECORD_FLEET, RECORD_PAUSED), -ESTALE);
    _cleanup_free_ char *after = tip(f);
    assert_string_equal(before, after);
}

static void assert_holds(struct ledger *l)
{
    _cleanup_(diag_done) struct diag why = {0};

    if (ledger_holds(l, &why) < 0)
        fail_msg("%s", why.text);
}

/* Three generations of a site, of which the newest was lost by `how`. */
static struct ledger *lose(struct fixture *f, const char *how, char **ret_seen)
{
    struct ledger *l = begin(f);

    for (int i = 1; i <= 3; i++)
        append(l, "a", i, RECORD_DEPLOYED);
    assert_holds(l);
    *ret_seen = tip(f);
    test_run(f->path, "%s", how);
    return l;
}

static void test_what_is_put_back_goes_on(void **state)
{
    static const char *const ways[] = {"git update-ref " R " " R "~1", "git update-ref -d " R,
                                       "git update-ref " R " $(git commit-tree -m x -p " R "~1 " R
                                       "^{tree})"};

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        struct fixture *f;
        fixture_setup((void **)&f);
        _cleanup_free_ char *seen = NULL;
        struct ledger *l = lose(f, ways[i], &seen);
        assert_set_back(f, l, seen);
        ledger_free(l);
        l = begin(f); /* a restart does not forget it, nor another one after it */
        assert_set_back(f, l, seen);
        ledger_free(l);
        l = begin(f);
        test_run(f->path, "git update-ref " R " %s", seen);
        assert_holds(l);
        append(l, "a", 4, RECORD_DEPLOYED);
        _cleanup_free_ char *all = history(l, "a");
        assert_string_equal(all, "4:deployed 3:deployed 2:deployed 1:deployed");
        ledger_free(l);
        fixture_teardown((void **)&f);
    }
    (void)state;
}

/* The append comes before anybody has looked. */
static void test_an_append_notices_by_itself(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *seen = NULL;
    _cleanup_(ledger_freep) struct ledger *l = lose(f, "git update-ref " R " " R "~2", &seen);

    assert_int_equal(try_append(l, "a", RECORD_ATTEMPT), -ESTALE);
    test_run(f->path, "git update-ref " R " %s", seen);
    assert_holds(l);
}

static void test_what_is_accepted_is_kept_and_said(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *seen = NULL;
    struct ledger *l = lose(f, "git update-ref " R " " R "~2", &seen);

    assert_set_back(f, l, seen);
    assert_int_equal(try_append(l, RECORD_FLEET, RECORD_ACCEPTED), 0);
    assert_holds(l);
    append(l, "a", 2, RECORD_ATTEMPT);
    /* at once, not when it ends: it may be killed */
    _cleanup_free_ char *marks = test_read_file(f->dir, "marks", NULL);
    assert_null(strstr(marks, seen));
    ledger_free(l);
    l = begin(f);
    assert_holds(l);
    _cleanup_free_ char *all = history(l, "a");
    assert_string_equal(all, "2:attempt 1:deployed");
    ledger_free(l);
    test_run(f->path, "git gc -q --prune=now && git cat-file -e refs/onward/kept/%s", seen);
}

/* An old copy has no such commit at all; and one may have no ledger. */
static void test_a_copy_that_lacks_it_may_be_accepted(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *seen = NULL;
    struct ledger *l = lose(f,
                            "git update-ref -d " R " && git reflog expire --all --expire=now && "
                            "git gc -q --prune=now",
                            &seen);

    assert_set_back(f, l, seen);
    ledger_free(l);
    repo_free(f->repo); /* which may know by heart what it has read */
    assert_int_equal(repo_open(f->path, &f->repo, NULL), 0);
    l = begin(f);
    assert_set_back(f, l, "does not have");
    assert_int_equal(try_append(l, RECORD_FLEET, RECORD_ACCEPTED), 0);
    assert_holds(l);
    ledger_free(l);
}

/* Another host's chain is watched as well; ours may go on being written. */
static void test_chains_of_other_hosts_are_watched(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *other = open_ledger(f, "ops-2"), *l = begin(f);

    append(other, "b", 1, RECORD_DEPLOYED);
    append(other, "b", 2, RECORD_DEPLOYED);
    assert_holds(l);
    test_run(f->path, "git update-ref refs/onward/ledger/ops-2 refs/onward/ledger/ops-2~1");
    assert_int_equal(ledger_holds(l, NULL), -ESTALE);
    append(l, "a", 1, RECORD_DEPLOYED);
    assert_int_equal(ledger_holds(l, NULL), -ESTALE);
    assert_int_equal(try_append(l, RECORD_FLEET, RECORD_ACCEPTED), 0);
    assert_holds(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_put_back_goes_on),
        TEST(test_an_append_notices_by_itself),
        TEST(test_what_is_accepted_is_kept_and_said),
        TEST(test_a_copy_that_lacks_it_may_be_accepted),
        TEST(test_chains_of_other_hosts_are_watched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
