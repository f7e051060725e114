#include "testlib.h"

#include <errno.h>

#include "base/clock.h"
#include "base/json.h"

static void reading_says_where_it_is_wrong(void **state)
{
    struct diag why = {0};
    json_t *j = NULL;
    const char *twice = "{\"a\": 1,\n \"a\": 2}";

    assert_int_equal(json_read(twice, strlen(twice), &j, &why), -EINVAL);
    assert_non_null(strstr(why.text, "2:"));
    assert_int_equal(json_read("[1", 2, &j, &why), -EINVAL);
    assert_null(j);
    diag_done(&why);
}

static void content_reads_back_in_its_order(void **state)
{
    const char *text = "{\"z\":\"é\",\"a\":[1,null,true],\"n\":7}";
    struct buf out = {0};
    json_t *j = NULL;

    assert_int_equal(json_read(text, strlen(text), &j, NULL), 0);
    json_write(j, 0, &out);
    assert_string_equal(buf_str(&out), text);
    assert_string_equal(json_str(j, "z", "-"), "é");
    assert_string_equal(json_str(j, "n", "-"), "-");
    assert_int_equal(json_int(j, "n", 0), 7);
    assert_int_equal(json_int(j, "z", 3), 3);
    buf_done(&out);
    json_decref(j);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    json_t *j = json_object();

    json_put_str(j, "s", "a\xff\xc3\xa9\xed\xa0\x80z");
    assert_string_equal(json_str(j, "s", ""),
                        "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
    json_put_str(j, "s", NULL);
    assert_true(json_is_null(json_object_get(j, "s")));
    json_decref(j);
}

static void a_time_that_never_was_is_null(void **state)
{
    json_t *j = json_object();

    json_put_time(j, "t", 1700000000 * NS_PER_SEC);
    assert_string_equal(json_str(j, "t", ""), "2023-11-14T22:13:20Z");
    json_put_time(j, "t", 0);
    assert_true(json_is_null(json_object_get(j, "t")));
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_says_where_it_is_wrong),
        cmocka_unit_test(content_reads_back_in_its_order),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(a_time_that_never_was_is_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
