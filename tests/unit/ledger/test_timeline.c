#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"

static int add_number(uint64_t generation, void *arg)
{
    buf_addf(arg, "%llu ", (unsigned long long)generation);
    return 0;
}

static void assert_generations(struct ledger *l, const char *site, uint64_t after,
                               const char *expected)
{
    _cleanup_(buf_done) struct buf got = {0};

    assert_int_equal(ledger_generations(l, site, after, add_number, &got), 0);
    assert_string_equal(buf_str(&got), expected);
}

static int add_kind(const struct record *r, void *arg)
{
    buf_addf(arg, "%s ", record_kind_name(r->kind));
    return 0;
}

static void assert_kinds(struct ledger *l, const char *site, uint64_t generation,
                         const char *expected)
{
    _cleanup_(buf_done) struct buf got = {0};

    assert_int_equal(ledger_generation(l, site, generation, add_kind, &got), 0);
    assert_string_equal(buf_str(&got), expected);
}

static void test_a_timeline_grows_with_the_ledger(void **state)
{
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(*state, "ops-1");

    assert_generations(l, "a", 0, "");
    assert_int_equal(ledger_generation(l, "a", 1, add_kind, NULL), -ENOENT);
    append(l, "a", 0, RECORD_HELD);
    append(l, "a", 1, RECORD_ATTEMPT);
    assert_generations(l, "a", 0, "1 ");
    append(l, "a", 1, RECORD_DEPLOYED);
    append(l, "a", 3, RECORD_ATTEMPT);
    append(l, "b", 2, RECORD_ATTEMPT);
    assert_generations(l, "a", 0, "1 3 ");
    assert_generations(l, "a", 1, "3 ");
    assert_generations(l, "a", 3, "");
    assert_generations(l, "b", 0, "2 ");
    assert_kinds(l, "a", 1, "deployed attempt ");
    assert_kinds(l, "a", 3, "attempt ");
    assert_int_equal(ledger_generation(l, "a", 2, add_kind, NULL), -ENOENT);
}

/* News of another host that belongs among what was read already. */
static void test_a_timeline_takes_in_what_other_hosts_did_before(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *one = open_ledger(f, "ops-1"),
                                          *two = open_ledger(f, "ops-2");

    append(one, "a", 1, RECORD_DEPLOYED);
    append(two, "a", 2, RECORD_DEPLOYED);
    append(one, "a", 3, RECORD_DEPLOYED);
    assert_generations(one, "a", 0, "1 3 ");
    assert_int_equal(ledger_holds(one, NULL), 0);
    assert_generations(one, "a", 0, "1 2 3 ");
    append(two, "a", 4, RECORD_DEPLOYED);
    assert_int_equal(ledger_holds(one, NULL), 0);
    append(one, "a", 4, RECORD_HEALED);
    assert_generations(one, "a", 0, "1 2 3 4 ");
    assert_kinds(one, "a", 4, "healed deployed ");
}

/* More sites than timelines are kept, asked for in turns. */
static void test_timelines_come_and_go(void **state)
{
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(*state, "ops-1");
    struct record records[40];

    for (int i = 0; i < 40; i++) {
        _cleanup_free_ char *site = xasprintf("s%d", i);
        records[i] = make_record(site, i + 1, RECORD_ATTEMPT);
    }
    assert_int_equal(ledger_append(l, records, 40, NULL), 0);
    for (int i = 0; i < 100; i++) {
        _cleanup_free_ char *expected = xasprintf("%d ", i * 7 % 40 + 1);
        assert_generations(l, records[i * 7 % 40].site, 0, expected);
    }
    for (int i = 0; i < 40; i++)
        record_done(&records[i]);
}

static void test_a_broken_chain_is_shown_as_far_as_it_goes(void **state)
{
    struct fixture *f = *state;
    struct ledger *l = open_ledger(f, "ops-1");
    _cleanup_(record_done) struct record first = make_record("a", 1, RECORD_DEPLOYED);
    _cleanup_(buf_done) struct buf got = {0};
    char hex[OID_HEX + 1];

    assert_int_equal(ledger_append(l, &first, 1, NULL), 0);
    append(l, "a", 2, RECORD_DEPLOYED);
    oid_hex(&first.oid, hex);
    unpack(f);
    test_run(f->path, "rm -f objects/%.2s/%s", hex, hex + 2);
    ledger_free(l);
    repo_free(f->repo);
    assert_int_equal(repo_open(f->path, &f->repo, NULL), 0);
    l = open_ledger(f, "ops-1");
    for (int i = 0; i < 2; i++)
        assert_int_equal(ledger_generations(l, "a", 0, add_number, &got), -EIO);
    assert_string_equal(got.data, "2 2 ");
    assert_int_equal(ledger_generation(l, "a", 1, add_kind, NULL), -EIO);
    assert_kinds(l, "a", 2, "deployed ");
    ledger_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_timeline_grows_with_the_ledger),
        TEST(test_a_timeline_takes_in_what_other_hosts_did_before),
        TEST(test_timelines_come_and_go),
        TEST(test_a_broken_chain_is_shown_as_far_as_it_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
