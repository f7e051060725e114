#include "testlib.h"

#include <stdlib.h>

#include "check/builtin.h"

static void assert_findings(const char *text, size_t len, const char *expected)
{
    struct findings f = {0};
    struct buf out = {0};

    check_json("f", text, len, &f);
    findings_render(&f, &out);
    assert_string_equal(buf_str(&out), expected);
    buf_done(&out);
    findings_done(&f);
}

static void what_the_standard_allows_passes(void **state)
{
    static const char *const right[] = {
        "{}",
        "[]",
        " \t\r\n null \n",
        "\"text\"",
        "0",
        "-0.5e+10",
        "1e999999",
        "123456789012345678901234567890123456789012345678901234567890",
        "[1,[2,{\"a\":[]}],{}]",
        "{\"a\":1,\"A\":2,\"\":3,\"\\u0061b\":4}",
        "\"\\u0000\\ud800 \\\" \\\\ \\/ \\b\\f\\n\\r\\t é \xf0\x9f\x98\x80\"",
        "[true, false, null]",
    };

    for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++)
        assert_findings(right[i], strlen(right[i]), "");
}

static void what_it_does_not_allow_has_a_place(void **state)
{
    static const char *const wrong[][2] = {
        {"", "f:1:1: json: expected a value, found the end of the file\n"},
        {"{\"a\": 1,}", "f:1:9: json: expected a key in quotes after ',', found '}'\n"},
        {"{\n  a: 1}", "f:2:3: json: expected a key in quotes, or '}', found 'a'\n"},
        {"[1,\n 2\n 3]", "f:3:2: json: expected ',' or ']', found '3'\n"},
        {"[1,]", "f:1:4: json: expected a value, found ']'\n"},
        {"{\"a\" 1}", "f:1:6: json: expected ':' after the key, found '1'\n"},
        {"{\"a\": 1", "f:1:8: json: expected ',' or '}', found the end of the file\n"},
        {"{} {}", "f:1:4: json: expected nothing more, found '{'\n"},
        {"[\"é\", 'x']", "f:1:7: json: expected a value, found '''\n"},
        {"01", "f:1:1: json: expected a number without leading zeros, found '0'\n"},
        {"-", "f:1:2: json: expected a digit, found the end of the file\n"},
        {"1.", "f:1:3: json: expected a digit, found the end of the file\n"},
        {"1ex", "f:1:3: json: expected a digit, found 'x'\n"},
        {"tru", "f:1:1: json: expected a value, found 't'\n"},
        {"NaN", "f:1:1: json: expected a value, found 'N'\n"},
        {"// x\n{}", "f:1:1: json: expected a value, found '/'\n"},
        {"\"a\nb\"",
         "f:1:3: json: expected the closing \" of a string (control characters are escaped), "
         "found byte 0x0a\n"},
        {"\"\\x\"", "f:1:3: json: expected one of \" \\ / b f n r t u after \\, found 'x'\n"},
        {"\"\\u12g4\"", "f:1:6: json: expected four hex digits after \\u, found 'g'\n"},
        {"\"\xff\"", "f:1:2: json: expected UTF-8, found byte 0xff\n"},
        {"\xef\xbb\xbf{}", "f:1:1: json: expected a value, found '\xef\xbb\xbf'\n"},
        {"\"abc",
         "f:1:5: json: expected the closing \" of a string (control characters are escaped), "
         "found the end of the file\n"},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_findings(wrong[i][0], strlen(wrong[i][0]), wrong[i][1]);
    assert_findings("1\0", 2, "f:1:2: json: expected nothing more, found byte 0x00\n");
    assert_findings("\"a\0\"", 4,
                    "f:1:3: json: expected the closing \" of a string (control "
                    "characters are escaped), found byte 0x00\n");
}

static void every_duplicate_is_found_whatever_its_spelling(void **state)
{
    const char *text =
        "{\"a\": {\"x\": 1, \"x\": 2},\n \"é\": 1, \"b\": 1,\n \"\\u0061\": 2, \"\\u00e9\": [}";

    assert_findings(text, strlen(text),
                    "f:1:16: json: duplicate key \"x\": the first one is on line 1\n"
                    "f:3:2: json: duplicate key \"a\": the first one is on line 1\n"
                    "f:3:15: json: duplicate key \"é\": the first one is on line 2\n"
                    "f:3:26: json: expected a value, found '}'\n");
}

static void depth_is_limited_and_size_is_not(void **state)
{
    struct buf text = {0};

    for (int i = 0; i < CHECK_JSON_DEPTH; i++)
        buf_addc(&text, '[');
    for (int i = 0; i < CHECK_JSON_DEPTH; i++)
        buf_addc(&text, ']');
    assert_findings(text.data, text.len, "");
    buf_clear(&text);
    for (int i = 0; i < 1000000; i++)
        buf_addc(&text, '[');
    assert_findings(text.data, text.len, "f:1:2001: json: expected less nesting, found '['\n");
    buf_clear(&text);
    buf_adds(&text, "{");
    for (int i = 0; i < 200000; i++)
        buf_addf(&text, "%s\"k%d\":[1,{}]", i ? "," : "", i);
    buf_adds(&text, "}");
    assert_findings(text.data, text.len, "");
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_standard_allows_passes),
        cmocka_unit_test(what_it_does_not_allow_has_a_place),
        cmocka_unit_test(every_duplicate_is_found_whatever_its_spelling),
        cmocka_unit_test(depth_is_limited_and_size_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
