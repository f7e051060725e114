#include "testlib.h"

#include "site/syntax.h"

struct texts {
    const char *(*wrong)(const char *text);
    const char *right[8], *not_right[16];
};

static void texts_are_right_or_not(void **state)
{
    char long_name[130] = "";
    const struct texts table[] = {
        {syntax_name,
         {"a", "0", "store-0001", "eu.west_1"},
         {"", "-a", ".a", "a/b", "a b", "é", "a\n", "a:", long_name}},
        {syntax_path,
         {".", "a", "a/b", "a b/.c", "...", "-x"},
         {"", "/a", "a/", "a//b", "..", "../a", "a/..", "a/./b", "./a"}},
        {syntax_pattern, {"a/*", "?/b-[0-9]", "a"}, {"", ".", "a/**", "/a/*", "../*"}},
        {syntax_pin,
         {"v1.4.2", "release/2026-01", "0123456789abcdef0123456789abcdef01234567", "@"},
         {"", "v1..2", "a b", "v1~2", "HEAD^", "a:b", "-x", ".x", "x.", "x/", "/x", "a@{1}",
          "x.lock", "a\tb", "a*"}},
        {syntax_label_key, {"ring", "app.kubernetes.io/name"}, {"", "a b", "/a", "a=b"}},
        {syntax_label_value, {"", "any text: é"}, {"a\nb", "\x7f"}},
    };

    memset(long_name, 'a', sizeof(long_name) - 1);
    for (const struct texts *t = table; t < table + sizeof(table) / sizeof(*table); t++) {
        for (size_t i = 0; t->right[i]; i++)
            if (t->wrong(t->right[i]))
                fail_msg("row %zu: \"%s\" was refused", (size_t)(t - table), t->right[i]);
        for (size_t i = 0; t->not_right[i]; i++)
            if (!t->wrong(t->not_right[i]))
                fail_msg("row %zu: \"%s\" was taken", (size_t)(t - table), t->not_right[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_are_right_or_not)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
