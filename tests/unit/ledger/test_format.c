/* What was once stored can be read for ever. format-1.bundle is a ledger of two hosts as the first
 * version wrote it, made once and never again: a change that this test does not survive loses the
 * history of whoever has one. A new format comes with a new bundle beside the old ones. */
#include "fixture.h"

#include <stdlib.h>

#include "base/clock.h"

static void test_a_ledger_of_the_first_version_reads_as_it_did(void **state)
{
    struct fixture *f = *state;

    test_run(f->path, "git fetch -q " FORMATS "/format-1.bundle 'refs/*:refs/*'");
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-3");
    _cleanup_free_ char *store = history(l, "store-0001"), *hub = history(l, "hub-eu"),
                        *odd = history(l, "a b%ü");
    assert_string_equal(store,
                        "3:deployed 3:attempt 2:accepted 2:released 2:held 2:drifted 2:healed "
                        "2:superseded 2:attempt 1:deployed 1:attempt 1:failed 1:attempt");
    assert_string_equal(hub, "1:interrupted 1:attempt");
    assert_string_equal(odd, "1:deployed");
}

static int take_failed(const struct record *r, void *ret)
{
    if (r->kind != RECORD_FAILED)
        return 0;
    record_copy(r, ret);
    return 1;
}

static void test_every_key_of_the_first_version_means_what_it_did(void **state)
{
    struct fixture *f = *state;
    _cleanup_(record_done) struct record r = {0};
    char hex[OID_HEX + 1];

    test_run(f->path, "git fetch -q " FORMATS "/format-1.bundle 'refs/*:refs/*'");
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-3");
    assert_int_equal(ledger_history(l, "store-0001", take_failed, &r, NULL), 1);
    assert_int_equal(r.format, 1);
    assert_int_equal(r.attempt, 1);
    assert_int_equal(r.exit, 137);
    assert_int_equal(r.duration_ms, 1200);
    assert_int_equal(r.at, INT64_C(1764000002468) * NS_PER_MS);
    assert_string_equal(r.outcome, "retry");
    assert_string_equal(r.backend, "files");
    assert_string_equal(r.source, "sites/store-0001");
    assert_string_equal(r.by, "onwardfs");
    assert_string_equal(r.host, "ops-1");
    assert_string_equal(r.message, "it said \"no\"\n\tand died: ünïcödé");
    assert_string_equal(oid_hex(&r.to, hex), "56a6051ca2b02b04ef92d5150c9ef600403cb1de");
    assert_string_equal(oid_hex(&r.inputs, hex), "7cebf7db5f216cc18b9025d6c549b82d6fb63021");
    _cleanup_free_ char *log = test_output(f->path, "git cat-file blob %s", oid_hex(&r.log, hex));
    assert_string_equal(log, "line 1\nline 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_ledger_of_the_first_version_reads_as_it_did),
        TEST(test_every_key_of_the_first_version_means_what_it_did),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
