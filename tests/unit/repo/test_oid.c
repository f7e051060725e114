#include "testlib.h"

#include <errno.h>

#include "repo/oid.h"
#include "repo/oidset.h"

static void test_hex_goes_both_ways(void **state)
{
    static const char hex[] = "0123456789abcdef00ff0123456789abcdef00ff";
    char out[OID_HEX + 1];
    struct oid oid;

    assert_int_equal(oid_parse(hex, &oid), 0);
    assert_int_equal(oid.id[1], 0x23);
    assert_int_equal(oid.id[19], 0xff);
    assert_string_equal(oid_hex(&oid, out), hex);
}

static void test_only_forty_lower_case_digits_are_an_id(void **state)
{
    static const char *const bad[] = {
        "",
        "0123456789abcdef00ff0123456789abcdef00f",
        "0123456789abcdef00ff0123456789abcdef00fff",
        "0123456789ABCDEF00FF0123456789ABCDEF00FF",
        "0123456789abcdef00ff0123456789abcdef00fg",
        " 123456789abcdef00ff0123456789abcdef00ff",
    };
    struct oid oid;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(oid_parse(bad[i], &oid), -EINVAL);
}

static void test_a_set_keeps_what_was_added(void **state)
{
    struct oidset set = {0};
    struct oid oid = {0};

    assert_false(oidset_has(&set, &oid));
    /* Ids that differ only behind what the table hashes, and ids that differ in it. */
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 1; i < 5000; i++) {
            memcpy(oid.id, &(unsigned){i % 7}, sizeof(unsigned));
            memcpy(oid.id + 12, &i, sizeof(i));
            assert_int_equal(oidset_has(&set, &oid), round == 1);
            assert_int_equal(oidset_add(&set, &oid), round == 0);
        }
    assert_int_equal(set.n, 4999);
    oidset_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex_goes_both_ways),
        cmocka_unit_test(test_only_forty_lower_case_digits_are_an_id),
        cmocka_unit_test(test_a_set_keeps_what_was_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
