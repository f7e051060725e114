#include "testlib.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/decode.h"

struct pair {
    char *key, *value;
};

struct thing {
    char *name;
    bool on;
    int count;
    uint64_t size;
    int64_t wait;
    VEC(char *) list;
    VEC(struct pair) pairs;
    const struct yaml_node *node;
    int inner, custom;
};

static const char *wrong_name(const char *text)
{
    return *text >= 'a' && *text <= 'z' ? NULL : "a lower-case name";
}

static void read_custom(struct decode *d, const struct yaml_node *v, void *field)
{
    *(int *)field = v->line;
}

#define AT(m) offsetof(struct thing, m)

static const struct decode_key inner_keys[] = {
    {"inner", DECODE_INT, AT(inner), .least = -3, .most = 3},
};

static const struct decode_key keys[] = {
    {"name", DECODE_STRING, AT(name), .required = true, .wrong = wrong_name},
    {"on", DECODE_BOOL, AT(on)},
    {"count", DECODE_INT, AT(count)},
    {"size", DECODE_SIZE, AT(size)},
    {"wait", DECODE_DURATION, AT(wait), .least = NS_PER_SEC},
    {"list", DECODE_STRINGS, AT(list), .wrong = wrong_name},
    {"pairs", DECODE_PAIRS, AT(pairs), .wrong_key = wrong_name},
    {"node", DECODE_NODE, AT(node)},
    {"group", DECODE_MAPPING, 0, .what = "a group", .keys = inner_keys, .nkeys = 1},
    {"custom", DECODE_CUSTOM, AT(custom), .custom = read_custom},
    {"later", DECODE_LATER},
};

/* Decodes `text` into `t`; the findings as lines, to be freed. */
static char *decode(const char *text, struct thing *t, const struct yaml_node **given)
{
    struct findings f = {0};
    struct decode d = {.path = "f", .check = "c", .findings = &f};
    struct buf out = {0};
    struct yaml *y = yaml_read("f", "c", text, strlen(text), &f);

    decode_mapping(&d, y->root, "a thing", keys, ARRAY_SIZE(keys), t, given);
    yaml_done(y);
    findings_render(&f, &out);
    findings_done(&f);
    return buf_take(&out);
}

static void assert_decodes(const char *text, struct thing *t, const char *expected)
{
    char *found = decode(text, t, NULL);

    assert_string_equal(found, expected);
    free(found);
}

static void every_type_fills_its_field(void **state)
{
    struct thing t = {0};

    assert_decodes("name: x\non: true\ncount: 7\nsize: 64K\nwait: 5m\nlist: [b, \"a\"]\n"
                   "pairs: {z: 1.10, a: true}\nnode: []\ngroup: {inner: -3}\ncustom: x\n",
                   &t, "");
    assert_string_equal(t.name, "x");
    assert_true(t.on);
    assert_int_equal(t.count, 7);
    assert_int_equal(t.size, 65536);
    assert_int_equal(t.wait, 300 * NS_PER_SEC);
    assert_int_equal(t.list.n, 2);
    assert_string_equal(t.list.v[0], "b");
    assert_int_equal(t.pairs.n, 2);
    assert_string_equal(t.pairs.v[0].key, "a");
    assert_string_equal(t.pairs.v[0].value, "true");
    assert_string_equal(t.pairs.v[1].value, "1.10");
    assert_non_null(t.node);
    assert_int_equal(t.inner, -3);
    assert_int_equal(t.custom, 10);
    decode_release(keys, ARRAY_SIZE(keys), &t);
    assert_null(t.name);
    assert_int_equal(t.list.n, 0);
}

static void everything_that_is_wrong_is_said_at_once(void **state)
{
    struct thing t = {.count = 5};

    assert_decodes(
        "nmae: x\non: yes\ncount: many\nsize: 10 MB\nwait: 10ms\nlist: a\n"
        "pairs: {A: [x]}\ngroup: {inner: 4, more: 1}\nlater: {}\n? [k]\n: 1\n",
        &t,
        "f:1:1: c: unknown key \"nmae\" in a thing (did you mean \"name\"?); expected one "
        "of "
        "count, custom, group, list, name, node, on, pairs, size, wait\n"
        "f:2:5: c: on: expected true or false, found \"yes\"\n"
        "f:3:8: c: count: expected a whole number, at least 0, found \"many\"\n"
        "f:4:7: c: size: expected a size such as 64K, 100M, 10G, found \"10 MB\"\n"
        "f:5:7: c: wait: expected a duration of at least 1s, such as 500ms, 10s, 5m, 2h, "
        "found \"10ms\"\n"
        "f:6:7: c: list: expected a list such as [a, b], found \"a\"\n"
        "f:7:9: c: pairs: expected a lower-case name, found \"A\"\n"
        "f:7:12: c: pairs: expected a string, found a list\n"
        "f:8:16: c: inner: expected a whole number from -3 to 3, found \"4\"\n"
        "f:8:19: c: unknown key \"more\" in a group; expected one of inner\n"
        "f:9:8: c: later: not supported by this version\n"
        "f:10:3: c: unknown key a list in a thing; expected one of count, custom, group, "
        "list, name, node, on, pairs, size, wait\n"
        "f:1:1: c: the key \"name\" is missing in a thing\n");
    /* What was wrong is as it was before. */
    assert_int_equal(t.count, 5);
    assert_false(t.on);
    assert_int_equal(t.list.n, 0);
    decode_release(keys, ARRAY_SIZE(keys), &t);
}

static void what_is_no_mapping_is_said(void **state)
{
    struct thing t = {0};

    assert_decodes("- a\n", &t, "f:1:1: c: expected a thing (a mapping), found a list\n");
    assert_decodes("# empty\n", &t, "f:1:1: c: expected a thing (a mapping), found nothing\n");
    assert_decodes("name: ~\n", &t, "f:1:7: c: name: expected a string, found nothing\n");
    assert_decodes("name: \"a\\0b\"\n", &t, "f:1:7: c: name: expected a string, found \"a\"…\n");
    assert_decodes("name: \"~\"\n", &t,
                   "f:1:7: c: name: expected a lower-case name, found \"~\"\n");
}

static void only_what_was_given_is_applied(void **state)
{
    struct thing from = {0}, to = {.count = 3};
    const struct yaml_node *given[ARRAY_SIZE(keys)] = {0};
    char *found = decode("name: new\nlist: [x]\non: true\nwait: bad\n", &from, given);

    free(found);
    to.name = strdup("old");
    *VEC_ADD(&to.list) = strdup("y");
    *VEC_ADD(&to.list) = strdup("z");
    to.wait = 9;
    decode_apply(keys, ARRAY_SIZE(keys), given, &from, &to);
    assert_string_equal(to.name, "new");
    assert_int_equal(to.list.n, 1);
    assert_string_equal(to.list.v[0], "x");
    assert_true(to.on);
    assert_int_equal(to.count, 3);
    assert_int_equal(to.wait, 9);
    decode_release(keys, ARRAY_SIZE(keys), &from);
    assert_string_equal(to.name, "new");
    decode_release(keys, ARRAY_SIZE(keys), &to);
}

static void close_words_are_offered_far_ones_are_not(void **state)
{
    const char *names[] = {"include", "backend", "pin"};

    assert_string_equal(decode_did_you_mean("includes", names, 3), "include");
    assert_string_equal(decode_did_you_mean("bakcend", names, 3), "backend");
    assert_string_equal(decode_did_you_mean("pn", names, 3), "pin");
    assert_null(decode_did_you_mean("team", names, 3));
    assert_null(decode_did_you_mean("incredible", names, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_fills_its_field),
        cmocka_unit_test(everything_that_is_wrong_is_said_at_once),
        cmocka_unit_test(what_is_no_mapping_is_said),
        cmocka_unit_test(only_what_was_given_is_applied),
        cmocka_unit_test(close_words_are_offered_far_ones_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
