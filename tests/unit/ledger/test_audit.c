/* Each way to tamper with a ledger is found, and a ledger that nobody touched is not accused. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"

#define R "refs/onward/ledger/ops-1"
/* Shell functions: a commit with that message on parents (none: a root) with what is in the index;
 * the file of a site; the blob of a record changed by sed. */
#define SHELL                                                                                      \
    "export GIT_INDEX_FILE=$PWD/index\n"                                                           \
    "R=" R "\n"                                                                                    \
    "file() { git ls-tree -r --name-only $R | grep \"^sites/../$1.json$\"; }\n"                    \
    "edited() { git show $1:$(file $2) | sed \"$3\" | git hash-object -w --stdin; }\n"             \
    "place() { git update-index --add --cacheinfo 100644,$1,$2; }\n"                               \
    "message() { git log -1 --format=%%B $1; }\n"                                                  \
    "commit() { m=$1; shift; printf '%%s\\n' \"$m\" | git commit-tree $(git write-tree) $(for p; " \
    "do "                                                                                          \
    "printf -- '-p %%s ' $p; done); }\n"

#define tamper(f, script) test_run(((const struct fixture *)(f))->path, SHELL script)

static int note(const struct ledger_finding *f, void *arg)
{
    buf_addf(arg, "%s %s%s#%llu: %s\n", f->host, f->site ? f->site : "-", f->site ? " " : "",
             (unsigned long long)f->generation, f->what);
    return 0;
}

/* Verifies with a fresh reader; yours. */
static char *findings(struct fixture *f, const char *marks, struct ledger_totals *ret)
{
    struct buf found = {0};

    repo_free(f->repo);
    assert_int_equal(repo_open(f->path, &f->repo, NULL), 0);
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "other");
    if (marks)
        assert_int_equal(ledger_keep_marks(l, marks, NULL), 0);
    assert_int_equal(ledger_verify(l, note, &found, ret, NULL), 0);
    return found.len ? buf_take(&found) : xstrdup("");
}

static void assert_intact(struct fixture *f, uint64_t commits, uint64_t records)
{
    struct ledger_totals totals;
    _cleanup_free_ char *found = findings(f, NULL, &totals);

    assert_string_equal(found, "");
    assert_int_equal(totals.findings, 0);
    assert_int_equal(totals.commits, commits);
    assert_int_equal(totals.records, records);
}

/* One finding, which begins with `start` and has `rest` in it. */
static void assert_finding(struct fixture *f, const char *start, const char *rest)
{
    struct ledger_totals totals;
    _cleanup_free_ char *found = findings(f, NULL, &totals);

    if (totals.findings != 1 || strncmp(found, start, strlen(start)) != 0 || !strstr(found, rest))
        fail_msg("expected: %s ... %s\nfound: %s", start, rest, found);
}

/* Three generations of a, one of b, something of the fleet: six commits. */
static void make_ledger(struct fixture *f)
{
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    struct record both[] = {make_record("a", 1, RECORD_ATTEMPT),
                            make_record("b", 1, RECORD_ATTEMPT)};
    _cleanup_(record_done) struct record odd = make_record("a", 1, RECORD_FAILED);

    assert_int_equal(ledger_append(l, both, 2, NULL), 0);
    odd.message = xstrdup("line 1\nline 2: \xff\n");
    odd.output = &(struct buf){(char *)"boom\n", 5};
    assert_int_equal(ledger_append(l, &odd, 1, NULL), 0);
    append(l, "a", 1, RECORD_DEPLOYED);
    append(l, RECORD_FLEET, 0, RECORD_PAUSED);
    append(l, "a", 2, RECORD_DEPLOYED);
    append(l, "a", 3, RECORD_DEPLOYED);
    record_done(&both[0]);
    record_done(&both[1]);
}

static void test_what_nobody_touched_is_intact(void **state)
{
    struct fixture *f = *state;
    struct record again[] = {make_record("a", 4, RECORD_ATTEMPT),
                             make_record("a", 4, RECORD_FAILED),
                             make_record("b", 4, RECORD_ATTEMPT)};

    make_ledger(f);
    assert_intact(f, 6, 7);
    struct ledger *two = open_ledger(f, "ops 2/über");
    again[0].output = again[1].output = &(struct buf){(char *)"x", 1};
    assert_int_equal(ledger_append(two, again, 3, NULL), 0);
    ledger_free(two);
    assert_intact(f, 8, 10);
    test_run(f->path, "git gc -q --prune=now");
    assert_intact(f, 8, 10);
    for (int i = 0; i < 3; i++)
        record_done(&again[i]);
}

/* What the first version wrote is not accused by a later one. */
static void test_ledgers_of_older_formats_are_intact(void **state)
{
    struct fixture *f = *state;

    test_run(f->path, "git fetch -q " FORMATS "/format-1.bundle 'refs/*:refs/*'");
    assert_intact(f, 14, 16);
}

static void test_a_removed_record_is_found(void **state)
{
    make_ledger(*state);
    tamper(*state, "git read-tree $R && git update-ref $R $(commit \"$(message $R)\" $R~2)");
    assert_finding(*state, "ops-1 a #3: it names another record before it (", "was removed");
}

/* The commits after it are written anew, as they were. */
static void test_an_edited_record_is_found(void **state)
{
    make_ledger(*state);
    tamper(*state,
           "b=$(edited $R~1 a s/onwardfs/mallory/) && git read-tree $R~1 && place $b $(file a) && "
           "c=$(commit \"$(message $R~1)\" $R~2) && "
           "git read-tree $R && git update-ref $R $(commit \"$(message $R)\" $c)");
    assert_finding(*state, "ops-1 a #3: it names another record before it (", "edited");
}

/* The newest record has none after it: its journal, or the mark, tells. */
static void test_an_edited_newest_record_is_found(void **state)
{
    make_ledger(*state);
    tamper(*state,
           "b=$(edited $R a s/deployed/failed/) && git read-tree $R && place $b $(file a) && "
           "git update-ref $R $(commit \"$(message $R)\" $R~1)");
    assert_finding(*state, "ops-1 -#0: its message does not say what its records say", "");
}

static void test_a_slipped_in_record_is_found(void **state)
{
    make_ledger(*state);
    tamper(*state, "b=$(edited $R a s/deployed/held/) && git read-tree $R && place $b $(file a) && "
                   "git update-ref $R $(commit 'a #3 held 030000000000' $R)");
    assert_finding(*state, "ops-1 a #3: it names another record before it (", "slipped in");
}

static void test_a_generation_that_falls_is_found(void **state)
{
    make_ledger(*state);
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(*state, "ops-1");
    append(l, "a", 2, RECORD_DEPLOYED);
    assert_finding(*state, "ops-1 a #2: its generation fell: the record before it has 3", "");
}

static void test_a_replaced_file_is_found(void **state)
{
    make_ledger(*state);
    tamper(*state, "b=$(edited $R b '') && git read-tree $R && place $b $(file a) && "
                   "git update-ref $R $(commit 'b #1 attempt 010000000000' $R)");
    assert_finding(*state, "ops-1 a #0: its record ", "it is a record of the site \"b\"");
}

static void test_commits_that_no_append_made_are_found(void **state)
{
    static const struct {
        const char *script, *start;
    } made[] = {
        {"git read-tree $R && place $(edited $R b '') README && "
         "git update-ref $R $(commit x $R)",
         "ops-1 -#0: README is not of a ledger\nops-1 -#0: it adds no record"},
        {"git read-tree $R && place $(edited $R b '') sites/00/b.json && "
         "git update-ref $R $(commit x $R)",
         "ops-1 -#0: sites/00/b.json is not of a ledger"},
        {"git read-tree $R && git rm -q --cached $(file b) && git update-ref $R $(commit x $R)",
         "ops-1 -#0: the directory "},
        {"git read-tree $R && git update-ref $R $(commit x $R)", "ops-1 -#0: it adds no record"},
        {"git read-tree $R && git update-ref $R $(commit x $R $R~1)", "ops-1 -#0: it is a merge"},
        {"git read-tree $R && place $(edited $R b '') $(git ls-files logs) && "
         "git update-ref $R $(commit x $R)",
         "ops-1 a #0: its log changed without a record"},
        {"git read-tree $R && git update-index --cacheinfo 120000,$(edited $R b ''),$(file a) && "
         "git update-ref $R $(commit x $R)",
         "ops-1 -#0: sites/2e/a.json is no file any more"},
        {"git update-ref refs/onward/ledger/ops-9 $R~5 && git update-ref -d $R",
         "ops-9 a #1: it says that it was made by the host \"ops-1\""},
    };
    struct fixture *f = *state;

    make_ledger(f);
    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        struct ledger_totals totals;
        test_run(f->path, "git update-ref refs/keep " R "\n" SHELL "%s", made[i].script);
        _cleanup_free_ char *found = findings(f, NULL, &totals);
        if (strncmp(found, made[i].start, strlen(made[i].start)) != 0)
            fail_msg("%s\nexpected: %s\nfound: %s", made[i].script, made[i].start, found);
        test_run(f->path, "git update-ref " R " refs/keep");
    }
}

static void test_missing_objects_are_found(void **state)
{
    static const struct {
        const char *what, *start;
    } gone[] = {
        {"$R~1:$(file a)", "ops-1 a #0: its record "},
        {"$R~1:sites", "ops-1 -#0: its tree "},
        {"$R~2", "ops-1 -#0: the commit before it, "},
        {"$R~4:$(git ls-tree -r --name-only $R | grep ^logs/)", "ops-1 a #1: its log is missing"},
    };
    struct fixture *f = *state;

    make_ledger(f);
    unpack(f);
    for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
        struct ledger_totals totals;
        test_run(f->path,
                 SHELL "o=$(git rev-parse %s) && o=objects/$(echo $o | sed 's|^..|&/|') && "
                       "echo $o > moved && mv $o away",
                 gone[i].what);
        _cleanup_free_ char *found = findings(f, NULL, &totals);
        if (strncmp(found, gone[i].start, strlen(gone[i].start)) != 0)
            fail_msg("%s\nexpected: %s\nfound: %s", gone[i].what, gone[i].start, found);
        test_run(f->path, "mv away $(cat moved)");
    }
    assert_intact(f, 6, 7);
}

static void test_a_newer_format_is_named(void **state)
{
    make_ledger(*state);
    tamper(*state, "b=$(edited $R a \"s/\\\"onward\\\":1/\\\"onward\\\":2/;"
                   "s/\\\"previous\\\":\\\"[0-9a-f]*/\\\"previous\\\":\\\"$(git rev-parse "
                   "$R:$(file a))/\") && "
                   "git read-tree $R && place $b $(file a) && "
                   "git update-ref $R $(commit 'whatever it says' $R)");
    assert_finding(*state, "ops-1 a #3: it has format 2, and this onwardfs knows up to 1", "");
}

/* A chain that is consistent in itself, and not what this host has seen. */
static void test_a_chain_that_was_set_back_is_found(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *marks = xasprintf("%s/marks", f->dir);
    struct ledger_totals totals;

    make_ledger(f);
    free(findings(f, marks, &totals));
    assert_int_equal(totals.findings, 0);
    test_run(f->path, "git update-ref " R " " R "~1");
    {
        _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
        assert_int_equal(ledger_keep_marks(l, marks, NULL), 0);
        struct record r = make_record("a", 7, RECORD_ATTEMPT);
        assert_int_equal(ledger_append(l, &r, 1, NULL), -ESTALE); /* it would cover it up */
        record_done(&r);
    }
    for (int i = 0; i < 2; i++) {
        _cleanup_free_ char *found = findings(f, marks, &totals);
        assert_non_null(strstr(found, "ops-1 -#0: this host has seen the ledger at "));
        assert_int_equal(totals.findings, 1);
    }
    test_run(f->path, "git update-ref -d " R);
    _cleanup_free_ char *found = findings(f, marks, &totals);
    assert_string_equal(found, "ops-1 -#0: the ledger was removed\n");
}

/* …while one that has grown, by us and by others, is not. */
static void test_marks_follow_a_chain_that_grows(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *marks = xasprintf("%s/marks", f->dir);
    struct ledger_totals totals;

    for (int i = 1; i <= 3; i++) {
        _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
        assert_int_equal(ledger_keep_marks(l, marks, NULL), 0);
        append(l, "a", i, RECORD_ATTEMPT);
        _cleanup_(ledger_freep) struct ledger *unmarked = open_ledger(f, "ops-1");
        append(unmarked, "a", i, RECORD_DEPLOYED);
        append(l, "b", i, RECORD_DEPLOYED);
    }
    _cleanup_free_ char *text = test_read_file(f->dir, "marks", NULL);
    _cleanup_free_ char *tip = test_output(f->path, "git rev-parse " R);
    assert_memory_equal(text, tip, OID_HEX);
    _cleanup_free_ char *found = findings(f, marks, &totals);
    assert_string_equal(found, "");
}

static int stop(const struct ledger_finding *f, void *arg)
{
    ++*(int *)arg;
    return 7;
}

static void test_who_asks_may_stop(void **state)
{
    struct fixture *f = *state;
    struct ledger_totals totals;
    int n = 0;

    make_ledger(f);
    tamper(f, "git read-tree $R && git update-ref $R $(commit x $(commit y $R))");
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    assert_int_equal(ledger_verify(l, stop, &n, &totals, NULL), 7);
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_nobody_touched_is_intact),
        TEST(test_ledgers_of_older_formats_are_intact),
        TEST(test_a_removed_record_is_found),
        TEST(test_an_edited_record_is_found),
        TEST(test_an_edited_newest_record_is_found),
        TEST(test_a_slipped_in_record_is_found),
        TEST(test_a_generation_that_falls_is_found),
        TEST(test_a_replaced_file_is_found),
        TEST(test_commits_that_no_append_made_are_found),
        TEST(test_missing_objects_are_found),
        TEST(test_a_newer_format_is_named),
        TEST(test_a_chain_that_was_set_back_is_found),
        TEST(test_marks_follow_a_chain_that_grows),
        TEST(test_who_asks_may_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
