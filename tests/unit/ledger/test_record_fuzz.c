/* A fuzzer of the record's parser: lines that are stored come from outside as soon as a repository
 * is shared. Whatever the bytes are, it ends, touches nothing that is not its own (run it under the
 * sanitizers), and what it takes can be written and reads back the same. Seeds are numbers:
 * ONWARD_SEEDS=N runs N of them, by default as many as a moment allows. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"

#define SEEDS 20000

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static const char *const words[] = {
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "\"\"",
    "[]",
    "{}",
    "\"\\u0000\"",
    "9223372036854775807",
    "\"\\ud800\"",
    "\xff",
    "\x00",
    "\"at\":",
    "9223372036854775808",
    "{\"a\":{",
    "\"site\":",
    ",",
    "\"onward\":2",
    "\"9999-99-99T99:99:99.999Z\"",
    "\"previous\":",
    "1970-01-01T00:00:00.000Z",
    "0000000000000000000000000000000000000000",
};

/* A good line to begin with. */
static void add_line(uint64_t *seed, struct buf *out)
{
    _cleanup_(record_done) struct record r = make_record(
        next(seed) % 4 ? "store-0001" : RECORD_FLEET, next(seed) % 9, next(seed) % RECORD_KINDS);

    if (next(seed) % 2)
        r.message = xstrdup("it said \"no\"\n\tand died: \xc3\xbc\xff");
    r.exit = (int)(next(seed) % 258) - 1;
    r.previous = oid_number(next(seed) % 3);
    record_encode(&r, out);
}

static void mutate(uint64_t *seed, struct buf *line)
{
    size_t at = line->len ? next(seed) % line->len : 0;
    const char *word = words[next(seed) % (sizeof(words) / sizeof(words[0]))];
    size_t len = strlen(word);

    switch (next(seed) % 5) {
    case 0: /* a bit */
        if (line->len)
            line->data[at] ^= 1 << next(seed) % 8;
        break;
    case 1: /* cut short */
        line->len = at;
        break;
    case 2: /* a piece goes */
        if (line->len) {
            size_t n = next(seed) % (line->len - at);
            memmove(line->data + at, line->data + at + n, line->len - at - n);
            line->len -= n;
        }
        break;
    case 3: /* a word instead of what is there */
        if (at + len <= line->len)
            memcpy(line->data + at, word, len);
        break;
    default: { /* a word in between */
        _cleanup_(buf_done) struct buf tail = {0};
        buf_add(&tail, buf_str(line) + at, line->len - at);
        line->len = at;
        buf_add(line, word, len);
        buf_add(line, buf_str(&tail), tail.len);
    }
    }
}

/* Whether it was taken. */
static bool judge(const struct buf *line)
{
    /* memory of its own, so that a sanitizer sees a read beyond its end */
    _cleanup_free_ char *exact = xmemdup(buf_str(line), line->len ? line->len : 1);
    _cleanup_(record_done) struct record r = {0}, back = {0};
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_(buf_done) struct buf once = {0}, twice = {0};
    int err = record_decode(exact, line->len, &r, &why);

    if (err < 0) {
        assert_int_equal(err, -EINVAL);
        assert_non_null(why.text);
        assert_null(r.site);
        return false;
    }
    if (r.kind == RECORD_NEWER)
        return true;
    record_encode(&r, &once);
    assert_int_equal(record_decode(once.data, once.len, &back, NULL), 0);
    record_encode(&back, &twice);
    assert_string_equal(once.data, twice.data);
    record_summary(&r, &twice);
    return true;
}

static void test_no_bytes_do_harm(void **state)
{
    const char *wanted = getenv("ONWARD_SEEDS");
    int seeds = wanted ? (int)strtol(wanted, NULL, 10) : SEEDS, taken = 0;

    for (int i = 1; i <= seeds; i++) {
        uint64_t seed = UINT64_C(0x9e3779b97f4a7c15) * i;
        _cleanup_(buf_done) struct buf line = {0};
        add_line(&seed, &line);
        for (int n = next(&seed) % 6; n > 0; n--)
            mutate(&seed, &line);
        taken += judge(&line);
    }
    /* neither all nor nothing: the mutants are worth something */
    assert_in_range(taken, seeds / 20, seeds - seeds / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_bytes_do_harm)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
