#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"

static void assert_history(struct ledger *l, const char *site, const char *expected)
{
    _cleanup_free_ char *got = history(l, site);

    assert_string_equal(got, expected);
}

static void test_what_was_appended_is_read_back_newest_first(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");

    append(l, "a", 1, RECORD_ATTEMPT);
    append(l, "b", 1, RECORD_ATTEMPT);
    append(l, "a", 1, RECORD_DEPLOYED);
    append(l, "a", 2, RECORD_ATTEMPT);
    assert_history(l, "a", "2:attempt 1:deployed 1:attempt");
    assert_history(l, "b", "1:attempt");
    assert_history(l, "c", "");
    _cleanup_(ledger_freep) struct ledger *again = open_ledger(f, "ops-1");
    assert_history(again, "a", "2:attempt 1:deployed 1:attempt");
}

/* Fifteen failures, 12: what is stored for one site does not grow with the number of sites. */
static void test_one_append_is_one_commit_that_git_can_read(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    struct record records[] = {make_record("a", 1, RECORD_ATTEMPT),
                               make_record("b", 1, RECORD_ATTEMPT)};
    assert_int_equal(ledger_append(l, records, 2, NULL), 0);
    _cleanup_free_ char *log =
        test_output(f->path, "git log --format='%%an <%%ae>%%n%%B' refs/onward/ledger/ops-1");
    assert_string_equal(log, "onwardfs <onwardfs@ops-1>\n2 records\n\n"
                             "a #1 attempt 010000000000\nb #1 attempt 010000000000");
    _cleanup_free_ char *site = test_output(
        f->path, "git ls-tree -r --name-only refs/onward/ledger/ops-1 | grep /a.json | "
                 "xargs -I{} git show refs/onward/ledger/ops-1:{} | grep -o '\"site\":\"a\"'");
    assert_string_equal(site, "\"site\":\"a\"");
    assert_string_equal(records[1].host, "ops-1");
    assert_false(oid_is_zero(&records[1].oid));
    record_done(&records[0]);
    record_done(&records[1]);
}

/* P9: no record is dropped, by a repack with pruning neither. */
static void test_several_records_of_a_site_in_one_append_are_all_kept(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    struct record records[] = {
        make_record("a", 1, RECORD_FAILED), make_record("a", 1, RECORD_SUPERSEDED),
        make_record("b", 4, RECORD_ATTEMPT), make_record("a", 2, RECORD_ATTEMPT)};

    append(l, "a", 1, RECORD_ATTEMPT);
    assert_int_equal(ledger_append(l, records, 4, NULL), 0);
    test_run(f->path, "git gc -q --prune=now && git fsck --strict");
    repo_free(f->repo);
    assert_int_equal(repo_open(f->path, &f->repo, NULL), 0);
    _cleanup_(ledger_freep) struct ledger *again = open_ledger(f, "ops-1");
    assert_history(again, "a", "2:attempt 1:superseded 1:failed 1:attempt");
    assert_history(again, "b", "4:attempt");
    for (int i = 0; i < 4; i++)
        record_done(&records[i]);
}

static void test_a_backends_output_is_kept_with_its_record(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    _cleanup_(record_done) struct record r = make_record("a", 1, RECORD_DEPLOYED);

    r.output = &(struct buf){(char *)"done\n", 5};
    assert_int_equal(ledger_append(l, &r, 1, NULL), 0);
    test_run(f->path, "git gc -q --prune=now");
    _cleanup_free_ char *log =
        test_output(f->path, "git ls-tree -r --name-only refs/onward/ledger/ops-1 | grep ^logs/ | "
                             "xargs -I{} git show refs/onward/ledger/ops-1:{}");
    assert_string_equal(log, "done");
}

static void test_chains_of_all_hosts_are_one_history(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *one = open_ledger(f, "ops-1"),
                                          *two = open_ledger(f, "ops-2");
    append(one, "a", 1, RECORD_ATTEMPT);
    append(one, "a", 1, RECORD_DEPLOYED);
    assert_history(two, "a", "");
    assert_int_equal(ledger_holds(two, NULL), 0);
    append(two, "a", 2, RECORD_ATTEMPT);
    assert_int_equal(ledger_holds(one, NULL), 0);
    append(one, "a", 3, RECORD_ATTEMPT);
    assert_int_equal(ledger_holds(two, NULL), 0);
    assert_history(one, "a", "3:attempt 2:attempt 1:deployed 1:attempt");
    assert_history(two, "a", "3:attempt 2:attempt 1:deployed 1:attempt");
}

/* Generations decide before clocks do: a host whose clock is behind does not hide what is newer. */
static void test_a_slow_clock_does_not_disorder_history(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *one = open_ledger(f, "ops-1"),
                                          *two = open_ledger(f, "ops-2");
    _cleanup_(record_done) struct record late = make_record("a", 2, RECORD_DEPLOYED);

    append(one, "a", 1, RECORD_DEPLOYED);
    late.at = NS_PER_SEC;
    assert_int_equal(ledger_append(two, &late, 1, NULL), 0);
    assert_int_equal(ledger_holds(one, NULL), 0);
    assert_history(one, "a", "2:deployed 1:deployed");
}

static void *append_many(void *ledger)
{
    for (int i = 0; i < 20; i++)
        append(ledger, "a", 1, RECORD_ATTEMPT);
    return NULL;
}

/* Two processes that write one chain: nobody's records are lost, and they stay one chain. */
static void test_two_writers_of_one_chain_lose_nothing(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *one = open_ledger(f, "ops-1"),
                                          *two = open_ledger(f, "ops-1");
    pthread_t a, b;

    assert_int_equal(pthread_create(&a, NULL, append_many, one), 0);
    assert_int_equal(pthread_create(&b, NULL, append_many, two), 0);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    _cleanup_(ledger_freep) struct ledger *again = open_ledger(f, "ops-1");
    _cleanup_free_ char *all = history(again, "a");
    assert_int_equal(strlen(all), 40 * strlen("1:attempt ") - 1);
    _cleanup_free_ char *count =
        test_output(f->path, "git rev-list --count refs/onward/ledger/ops-1");
    assert_string_equal(count, "40");
}

static int count_one(const struct record *r, void *arg)
{
    ++*(int *)arg;
    return 0;
}

/* P9: an edited record breaks the chain, and is said to. */
static void test_a_record_that_is_gone_breaks_the_history(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    _cleanup_(record_done) struct record first = make_record("a", 1, RECORD_ATTEMPT);
    char hex[OID_HEX + 1];

    assert_int_equal(ledger_append(l, &first, 1, NULL), 0);
    append(l, "a", 1, RECORD_DEPLOYED);
    append(l, "b", 1, RECORD_DEPLOYED);
    oid_hex(&first.oid, hex);
    unpack(f);
    test_run(f->path, "rm -f objects/%.2s/%s", hex, hex + 2);
    repo_free(f->repo);
    assert_int_equal(repo_open(f->path, &f->repo, NULL), 0);
    _cleanup_(ledger_freep) struct ledger *again = open_ledger(f, "ops-1");
    int n = 0;
    assert_int_equal(ledger_history(again, "a", count_one, &n, NULL), -EIO);
    assert_int_equal(n, 1);
    assert_history(again, "b", "1:deployed");
}

static int stop_at_second(const struct record *r, void *arg)
{
    return ++*(int *)arg == 2 ? 77 : 0;
}

static void test_a_reader_may_stop_early(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    int n = 0;

    for (int i = 1; i <= 4; i++)
        append(l, "a", i, RECORD_ATTEMPT);
    assert_int_equal(ledger_history(l, "a", stop_at_second, &n, NULL), 77);
    assert_int_equal(n, 2);
}

static int collect(const char *site, void *arg)
{
    buf_addf(arg, "%s ", site);
    return 0;
}

static int note_kind(const struct record *r, void *arg)
{
    buf_addf(arg, "%s:%s ", record_kind_name(r->kind), r->message ? r->message : "");
    return 0;
}

/* What concerns the fleet has a chain of its own, and is no site. */
static void test_the_fleet_has_a_chain_of_its_own(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    _cleanup_(record_done) struct record paused = make_record(RECORD_FLEET, 0, RECORD_PAUSED);
    _cleanup_(buf_done) struct buf found = {0}, names = {0};

    append(l, "a", 1, RECORD_ATTEMPT);
    paused.message = xstrdup("black friday");
    assert_int_equal(ledger_append(l, &paused, 1, NULL), 0);
    append(l, RECORD_FLEET, 0, RECORD_RESUMED);
    _cleanup_(ledger_freep) struct ledger *again = open_ledger(f, "ops-1");
    assert_int_equal(ledger_history(again, RECORD_FLEET, note_kind, &found, NULL), 0);
    assert_string_equal(found.data, "resumed: paused:black friday ");
    assert_int_equal(ledger_sites(again, collect, &names), 0);
    assert_string_equal(names.data, "a ");
}

/* A newer onwardfs has written to the chain: nobody decides by what is not understood. */
static void test_a_newer_record_stops_who_decides(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    _cleanup_(diag_done) struct diag why = {0};
    int n = 0;

    append(l, "a", 1, RECORD_DEPLOYED);
    test_run(
        f->path,
        "export GIT_INDEX_FILE=$PWD/index && R=refs/onward/ledger/ops-1 && git read-tree $R && "
        "p=$(git ls-files | grep a.json) && "
        "b=$(git show $R:$p | sed 's/\"onward\":1/\"onward\":2/;s/\"generation\":1/"
        "\"generation\":2/' | git hash-object -w --stdin) && "
        "git update-index --cacheinfo 100644,$b,$p && "
        "git update-ref $R $(git commit-tree -m x -p $R $(git write-tree))");
    assert_int_equal(ledger_holds(l, NULL), 0);
    assert_int_equal(ledger_history(l, "a", count_one, &n, &why), -EPROTONOSUPPORT);
    assert_int_equal(n, 0);
    assert_non_null(strstr(why.text, "refs/onward/ledger/ops-1 has format 2"));
    assert_int_equal(ledger_generation(l, "a", 2, count_one, &n), 0);
    assert_int_equal(n, 1);
}

static void test_every_site_is_named_once(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *two = open_ledger(f, "ops-2");
    _cleanup_(buf_done) struct buf names = {0};

    append(two, "a", 1, RECORD_ATTEMPT);
    _cleanup_(ledger_freep) struct ledger *one = open_ledger(f, "ops-1");
    append(one, "a", 2, RECORD_ATTEMPT);
    append(one, "b", 1, RECORD_ATTEMPT);
    assert_int_equal(ledger_sites(one, collect, &names), 0);
    assert_true(strstr(names.data, "a ") && strstr(names.data, "b "));
    assert_int_equal(names.len, 4);
}

static void test_any_host_name_gives_a_ref(void **state)
{
    static const char *const hosts[] = {"",     ".",    "..",  "a b", "x.lock",
                                        "a..b", "über", "a/b", "-x",  "ops-1.example.org",
                                        "@",    "a.",   "a~1"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, hosts[i]);
        append(l, "a", i + 1, RECORD_ATTEMPT);
    }
    _cleanup_free_ char *plain =
        test_output(f->path, "git for-each-ref --format='%%(refname)' refs/onward | grep -c .");
    assert_true(strtol(plain, NULL, 10) >= 10);
    test_run(f->path, "git rev-parse -q --verify refs/onward/ledger/ops-1.example.org");
}

static struct oid commit(struct fixture *f, const char *parent)
{
    _cleanup_free_ char *hex =
        test_output(f->path, "git commit-tree %s%s -m x $(git mktree </dev/null)",
                    *parent ? "-p " : "", parent);
    struct oid oid;

    assert_int_equal(oid_parse(hex, &oid), 0);
    return oid;
}

/* Fifteen failures, 14; the mark only moves forward. */
static void test_the_high_water_mark_never_goes_back(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    char hex[OID_HEX + 1];
    struct oid first = commit(f, ""), second = commit(f, oid_hex(&first, hex)), seen;
    _cleanup_free_ char *other_hex =
        test_output(f->path, "git commit-tree -m other $(git mktree </dev/null)");
    struct oid other;
    assert_int_equal(oid_parse(other_hex, &other), 0);

    assert_int_equal(ledger_seen(l, &first, &seen), -ENOENT);
    assert_int_equal(ledger_see(l, &first, NULL), 0);
    assert_int_equal(ledger_see(l, &second, NULL), 0);
    assert_int_equal(ledger_see(l, &second, NULL), 0);
    assert_int_equal(ledger_see(l, &first, NULL), -ESTALE);
    assert_int_equal(ledger_see(l, &other, NULL), -ESTALE);
    assert_int_equal(ledger_seen(l, &first, &seen), 0);
    assert_memory_equal(&seen, &second, sizeof(seen));
    test_run(f->path, "git gc -q --prune=now && git cat-file -e %s", oid_hex(&second, hex));
}

static void test_a_kept_revision_survives_pruning(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    char hex[OID_HEX + 1];
    struct oid rev = commit(f, "");

    assert_int_equal(ledger_keep(l, &rev, NULL), 0);
    assert_int_equal(ledger_keep(l, &rev, NULL), 0);
    test_run(f->path, "git gc -q --prune=now && git cat-file -e %s", oid_hex(&rev, hex));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_appended_is_read_back_newest_first),
        TEST(test_one_append_is_one_commit_that_git_can_read),
        TEST(test_several_records_of_a_site_in_one_append_are_all_kept),
        TEST(test_a_backends_output_is_kept_with_its_record),
        TEST(test_chains_of_all_hosts_are_one_history),
        TEST(test_a_slow_clock_does_not_disorder_history),
        TEST(test_two_writers_of_one_chain_lose_nothing),
        TEST(test_a_record_that_is_gone_breaks_the_history),
        TEST(test_a_reader_may_stop_early),
        TEST(test_the_fleet_has_a_chain_of_its_own),
        TEST(test_a_newer_record_stops_who_decides),
        TEST(test_every_site_is_named_once),
        TEST(test_any_host_name_gives_a_ref),
        TEST(test_the_high_water_mark_never_goes_back),
        TEST(test_a_kept_revision_survives_pruning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
