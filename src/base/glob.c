#include "base/glob.h"

#include <fnmatch.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"

/* A path as its components, one after the other, each with its NUL. */
struct parts {
    char *text;
    const char *at, *end; /* at == end: there are no more */
};

static void parts_init(struct parts *p, const char *path)
{
    p->text = xstrdup(path);
    p->at = p->text;
    p->end = p->text + strlen(path) + 1;
    for (char *slash = p->text; (slash = strchr(slash, '/'));)
        *slash++ = 0;
}

static const char *behind(const char *component)
{
    return component + strlen(component) + 1;
}

/* As one matches `*` in a string: only the last `**` ever needs to give way. */
static bool match(struct parts *pattern, struct parts *path)
{
    const char *retry_pattern = NULL, *retry_path = NULL;

    while (path->at < path->end) {
        if (pattern->at < pattern->end && !strcmp(pattern->at, "**")) {
            retry_pattern = pattern->at = behind(pattern->at);
            retry_path = path->at;
        } else if (pattern->at < pattern->end && !fnmatch(pattern->at, path->at, 0)) {
            pattern->at = behind(pattern->at);
            path->at = behind(path->at);
        } else if (retry_pattern) {
            pattern->at = retry_pattern;
            path->at = retry_path = behind(retry_path);
        } else {
            return false;
        }
    }
    while (pattern->at < pattern->end && !strcmp(pattern->at, "**"))
        pattern->at = behind(pattern->at);
    return pattern->at == pattern->end;
}

bool glob_match(const char *pattern, const char *path)
{
    struct parts a, b;

    parts_init(&a, pattern);
    parts_init(&b, path);
    bool matches = match(&a, &b);
    free(a.text);
    free(b.text);
    return matches;
}
