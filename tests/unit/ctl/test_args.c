#include "ctl/verb.h"

#include "testlib.h"

/* Parses "a b c" for the verb that it begins with. */
static int parse(const char *line, char **words, struct call *call, struct diag *why)
{
    int n = 0;

    for (char *word = strtok_r((char *)line, " ", &words[8]); word;
         word = strtok_r(NULL, " ", &words[8]))
        words[n++] = word;
    words[n] = NULL;
    return args_parse(verb_find(words[0]), n, words, call, why);
}

static int result(const char *line, struct call *call, char **words)
{
    static char text[128];
    _cleanup_(diag_done) struct diag why = {0};

    snprintf(text, sizeof(text), "%s", line);
    *call = (struct call){0};
    int r = parse(text, words, call, &why);
    if (r == VERB_USAGE)
        assert_non_null(why.text);
    return r;
}

static void test_options_stand_anywhere(void **state)
{
    struct call call;
    char *words[9];

    assert_int_equal(result("status a --json b --watch", &call, words), VERB_YES);
    assert_true(call.json && call.watch);
    assert_int_equal(call.n, 2);
    assert_string_equal(call.operands[1], "b");
    assert_int_equal(result("commit w -m why", &call, words), VERB_YES);
    assert_string_equal(call.message, "why");
    assert_int_equal(result("new w --from=v1", &call, words), VERB_YES);
    assert_string_equal(call.from, "v1");
    assert_int_equal(result("drop -f w", &call, words), VERB_YES);
    assert_true(call.force);
    assert_int_equal(result("retry -- -x", &call, words), VERB_YES);
    assert_string_equal(call.operands[0], "-x");
    assert_int_equal(result("drop -h", &call, words), ARGS_HELP);
    assert_int_equal(result("log -n 20", &call, words), VERB_YES);
    assert_int_equal(call.limit, 20);
    assert_int_equal(result("index --no-wait", &call, words), VERB_YES);
    assert_true(call.no_wait);
}

/* Behind `--` stands a path, even one that looks like an option; before it, a site. */
static void test_a_path_stands_behind_two_dashes(void **state)
{
    struct call call;
    char *words[9];

    assert_int_equal(result("log --json -- -n", &call, words), VERB_YES);
    assert_string_equal(call.path, "-n");
    assert_true(call.json && call.n == 0);
    assert_int_equal(result("log -- --", &call, words), VERB_YES);
    assert_string_equal(call.path, "--");
    assert_int_equal(result("log a", &call, words), VERB_YES);
    assert_null(call.path);
    assert_int_equal(result("status -- -s", &call, words), VERB_YES);
    assert_null(call.path);
    assert_string_equal(call.operands[0], "-s");
}

static void test_usage(void **state)
{
    static const char *const wrong[] = {
        "drop",      "drop a b",         "diff a b c",         "new a --json", "retry",
        "commit -m", "status --message", "log --nonsense",     "list a",       "show -q HEAD",
        "log --",    "log -- a b",       "log a -- b",         "log -n -- b",  "log -n 0",
        "log -n -1", "log -n 3x",        "log -n 99999999999", "index a",
    };
    struct call call;
    char *words[9];

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(result(wrong[i], &call, words), VERB_USAGE);
}

static void test_help_comes_from_the_table(void **state)
{
    _cleanup_(buf_done) struct buf all = {0};

    verbs_help(&all);
    for (size_t i = 0; i < nverbs; i++) {
        _cleanup_(buf_done) struct buf one = {0}, usage = {0};
        verb_help(&verbs[i], &one);
        verb_usage(&verbs[i], &usage);
        assert_non_null(strstr(all.data, verbs[i].summary));
        assert_non_null(strstr(one.data, usage.data));
        assert_ptr_equal(verb_find(verbs[i].name), &verbs[i]);
        assert_true(!(verbs[i].options & OPTION_JSON) == !strstr(one.data, "--json"));
    }
    assert_null(verb_find("stash"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_stand_anywhere),
        cmocka_unit_test(test_a_path_stands_behind_two_dashes),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_help_comes_from_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
