#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"

static void assert_same_text(const char *a, const char *b)
{
    if (a && b)
        assert_string_equal(a, b);
    else
        assert_ptr_equal(a, b);
}

static void assert_same(const struct record *a, const struct record *b)
{
    assert_string_equal(a->site, b->site);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->kind, b->kind);
    assert_memory_equal(&a->from, &b->from, sizeof(a->from));
    assert_memory_equal(&a->to, &b->to, sizeof(a->to));
    assert_memory_equal(&a->inputs, &b->inputs, sizeof(a->inputs));
    assert_memory_equal(&a->log, &b->log, sizeof(a->log));
    assert_memory_equal(&a->previous, &b->previous, sizeof(a->previous));
    assert_same_text(a->source, b->source);
    assert_same_text(a->from_source, b->from_source);
    assert_same_text(a->backend, b->backend);
    assert_same_text(a->outcome, b->outcome);
    assert_same_text(a->message, b->message);
    assert_same_text(a->by, b->by);
    assert_same_text(a->host, b->host);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->exit, b->exit);
    assert_int_equal(a->at, b->at);
    assert_int_equal(a->begun, b->begun);
    assert_int_equal(a->duration_ms, b->duration_ms);
    assert_int_equal(a->retry_after_ms, b->retry_after_ms);
}

static void assert_survives(const struct record *r)
{
    _cleanup_(buf_done) struct buf json = {0}, again = {0};
    _cleanup_(record_done) struct record back = {0};
    _cleanup_(diag_done) struct diag why = {0};

    record_encode(r, &json);
    if (record_decode(json.data, json.len, &back, &why) < 0)
        fail_msg("%s: %s", diag_text(&why, -EINVAL), json.data);
    assert_same(r, &back);
    record_encode(&back, &again);
    assert_string_equal(json.data, again.data);
}

static void test_a_record_comes_back_as_it_was(void **state)
{
    _cleanup_(record_done) struct record r = make_record("store-0001", 7, RECORD_FAILED);

    r.at -= r.at % NS_PER_MS; /* what is kept */
    assert_survives(&r);      /* as little as there can be */
    r.from = oid_number(1);
    r.log = oid_number(2);
    r.previous = oid_number(3);
    r.backend = xstrdup("files");
    r.outcome = xstrdup("retry");
    r.message = xstrdup("it said \"no\"\n\tand died: ünïcödé");
    r.host = xstrdup("ops-1");
    r.attempt = 3;
    r.exit = 137;
    r.duration_ms = 123456;
    r.retry_after_ms = 30000;
    r.from_source = xstrdup("stores/old");
    r.begun = r.at - 17 * NS_PER_MS;
    assert_survives(&r);
}

static void test_every_kind_has_a_name_that_comes_back(void **state)
{
    for (int k = 0; k < RECORD_KINDS; k++) {
        _cleanup_(record_done) struct record r = make_record("a", 1, k);
        r.at = 1767225600 * NS_PER_SEC + 5 * NS_PER_MS;
        assert_survives(&r);
    }
}

static void test_bytes_that_are_not_utf8_do_not_break_a_record(void **state)
{
    _cleanup_(record_done) struct record r = make_record("a", 1, RECORD_FAILED), back = {0};
    _cleanup_(buf_done) struct buf json = {0};

    r.message = xstrdup("bad \xff\xfe byte");
    record_encode(&r, &json);
    assert_int_equal(record_decode(json.data, json.len, &back, NULL), 0);
    assert_string_equal(back.message, "bad \xef\xbf\xbd\xef\xbf\xbd byte");
}

#define GOOD "{\"onward\":1,\"site\":\"a\",\"generation\":1,\"kind\":\"attempt\","
#define AT   "\"at\":\"2026-01-01T00:00:00.123Z\""

static void test_keys_of_a_newer_version_are_ignored(void **state)
{
    static const char text[] = GOOD AT ",\"wave\":{\"name\":\"x\"},\"to\":null}";
    _cleanup_(record_done) struct record r = {0};

    assert_int_equal(record_decode(text, strlen(text), &r, NULL), 0);
    assert_int_equal(r.at, TEST_TIME * NS_PER_SEC + 123 * NS_PER_MS);
    assert_int_equal(r.exit, -1);
    assert_true(oid_is_zero(&r.to));
}

/* What is not understood is not misread: of a newer record only the frame is taken. */
static void test_a_record_of_a_newer_format_is_told_from_others(void **state)
{
    static const char text[] =
        "{\"onward\":7,\"site\":\"a\",\"generation\":3,\"kind\":\"deployed\","
        "\"to\":{\"now\":\"an object\"},\"exit\":\"fine\",\"host\":\"ops-9\","
        "\"previous\":\"0100000000000000000000000000000000000000\"," AT "}";
    _cleanup_(record_done) struct record r = {0};
    struct oid one = oid_number(1);

    assert_int_equal(record_decode(text, strlen(text), &r, NULL), 0);
    assert_int_equal(r.kind, RECORD_NEWER);
    assert_int_equal(r.format, 7);
    assert_int_equal(r.generation, 3);
    assert_string_equal(r.host, "ops-9");
    assert_memory_equal(&r.previous, &one, sizeof(one));
    assert_true(oid_is_zero(&r.to));
    assert_string_equal(record_kind_name(r.kind), "newer");
}

static void test_settling_gives_what_reading_back_gives(void **state)
{
    _cleanup_(record_done) struct record r = make_record("a", 1, RECORD_FAILED);

    r.message = xstrdup("bad \xff");
    r.at = 1767225600 * NS_PER_SEC + 5 * NS_PER_MS + 17;
    assert_int_equal(record_settle(&r, NULL), 0);
    assert_string_equal(r.message, "bad \xef\xbf\xbd");
    assert_int_equal(r.at, 1767225600 * NS_PER_SEC + 5 * NS_PER_MS);
    r.attempt = -1;
    assert_int_equal(record_settle(&r, NULL), -EINVAL);
}

static void test_a_record_that_lacks_or_breaks_something_is_refused(void **state)
{
    static const struct {
        const char *text, *reason;
    } bad[] = {
        {"", "1:"},
        {"[]", "expected an object"},
        {"{\"site\":\"a\",\"generation\":1,\"kind\":\"attempt\"," AT "}", "onward"},
        {"{\"onward\":0,\"site\":\"a\",\"generation\":1,\"kind\":\"attempt\"," AT "}", "onward"},
        {"{\"onward\":\"1\",\"site\":\"a\",\"generation\":1," AT "}", "onward"},
        {"{\"onward\":1,\"generation\":1,\"kind\":\"attempt\"," AT "}", "site"},
        {"{\"onward\":1,\"site\":\"a\\u0000b\",\"generation\":1,\"kind\":\"attempt\"," AT "}", ":"},
        {"{\"onward\":1,\"site\":\"a\",\"kind\":\"attempt\"," AT "}", "generation"},
        {"{\"onward\":1,\"site\":\"a\",\"generation\":-1,\"kind\":\"attempt\"," AT "}",
         "generation"},
        {"{\"onward\":1,\"site\":\"a\",\"generation\":1,\"kind\":\"guess\"," AT "}", "guess"},
        {"{\"onward\":1,\"site\":\"a\",\"generation\":1," AT "}", "kind"},
        {"{\"onward\":2,\"site\":\"a\"," AT "}", "generation"},
        {"{\"onward\":2,\"site\":\"a\",\"generation\":1}", "at"},
        {GOOD "\"x\":1}", "at"},
        {GOOD "\"at\":\"yesterday\"}", "at"},
        {GOOD "\"at\":\"2026-01-01T00:00:00.12Z\"}", "at"},
        {GOOD "\"at\":\"2026-01-01T00:00:00.123Zx\"}", "at"},
        {GOOD "\"to\":\"xyz\"," AT "}", "to"},
        {GOOD "\"to\":17," AT "}", "to"},
        {GOOD "\"message\":17," AT "}", "message"},
        {GOOD "\"attempt\":99999999999," AT "}", "attempt"},
        {GOOD AT "," AT "}", "duplicate"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        _cleanup_(record_done) struct record r = {0};
        _cleanup_(diag_done) struct diag why = {0};
        int err = record_decode(bad[i].text, strlen(bad[i].text), &r, &why);
        if (err != -EINVAL || !strstr(diag_text(&why, err), bad[i].reason))
            fail_msg("%s: %d %s", bad[i].text, err, diag_text(&why, err));
    }
}

static void test_a_summary_is_one_line_for_people(void **state)
{
    _cleanup_(record_done) struct record r = make_record("store-0001", 3, RECORD_FAILED);
    _cleanup_(buf_done) struct buf line = {0};

    r.attempt = 2;
    r.message = xstrdup("no\nspace");
    record_summary(&r, &line);
    assert_string_equal(line.data, "store-0001 #3 failed 030000000000 (attempt 2): no\\nspace");
    line.len = 0;
    _cleanup_(record_done) struct record fleet = make_record(RECORD_FLEET, 0, RECORD_PAUSED);
    record_summary(&fleet, &line);
    assert_string_equal(line.data, "(fleet) paused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_comes_back_as_it_was),
        cmocka_unit_test(test_every_kind_has_a_name_that_comes_back),
        cmocka_unit_test(test_bytes_that_are_not_utf8_do_not_break_a_record),
        cmocka_unit_test(test_keys_of_a_newer_version_are_ignored),
        cmocka_unit_test(test_a_record_of_a_newer_format_is_told_from_others),
        cmocka_unit_test(test_settling_gives_what_reading_back_gives),
        cmocka_unit_test(test_a_record_that_lacks_or_breaks_something_is_refused),
        cmocka_unit_test(test_a_summary_is_one_line_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
