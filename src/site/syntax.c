#include "site/syntax.h"

#include <stdbool.h>
#include <string.h>

#define NAME_MOST  128
#define PATH_MOST  4095
#define LABEL_MOST 256

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A letter or digit first, then also the characters of `more`. */
static bool is_word(const char *s, const char *more, size_t most)
{
    if (!is_alnum(*s) || strlen(s) > most)
        return false;
    for (; *s; s++)
        if (!is_alnum(*s) && !strchr(more, *s))
            return false;
    return true;
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

const char *syntax_name(const char *text)
{
    return is_word(text, "._-", NAME_MOST) ? NULL
                                           : "a name of letters, digits, '.', '_' and '-' (at most "
                                             "128, a letter or digit first)";
}

const char *syntax_path(const char *text)
{
    static const char expected[] =
        "a path relative to the root of the repository, without \".\", \"..\" and empty components";
    size_t n;

    if (!strcmp(text, "."))
        return NULL;
    if (strlen(text) > PATH_MOST)
        return expected;
    for (const char *p = text;; p += n + 1) {
        n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return expected;
        if (!p[n])
            return NULL;
    }
}

const char *syntax_pattern(const char *text)
{
    if (!strcmp(text, "."))
        return "a pattern such as clusters/*";
    if (strstr(text, "**"))
        return "a pattern such as clusters/*, in which each * stays within one directory name";
    return syntax_path(text);
}

const char *syntax_pin(const char *text)
{
    size_t n = strlen(text);
    bool wrong = !n || n > 255 || has_control(text) || strpbrk(text, " ~^:?*[\\") ||
                 strstr(text, "..") || strstr(text, "@{") || strstr(text, "//") ||
                 strchr("-/.", text[0]) || strchr("/.", text[n - 1]) ||
                 (n >= 5 && !strcmp(text + n - 5, ".lock"));

    return wrong ? "the name of a tag, or the full id of a revision" : NULL;
}

const char *syntax_label_key(const char *text)
{
    return is_word(text, "._/-", NAME_MOST)
               ? NULL
               : "label keys of letters, digits, '.', '_', '/' and '-'";
}

const char *syntax_label_value(const char *text)
{
    return has_control(text) || strlen(text) > LABEL_MOST
               ? "label values of at most 256 bytes without control characters"
               : NULL;
}
