#include "check/output.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "repo/object.h"

#define LINE_MOST     4096 /* bytes of a line that are looked at */
#define COLONS_MOST   16   /* of them, that may end a path */
#define NUMBER_MOST   9    /* digits */
#define SUMMARY_MOST  600  /* bytes */
#define SUMMARY_LINES 8

/* `:<number>` at *p, or 0 with *p where it was. */
static int take_number(const char **p)
{
    const char *s = *p + 1;
    int n = 0, digits = 0;

    if (**p != ':')
        return 0;
    for (; isdigit((unsigned char)*s) && digits <= NUMBER_MOST; s++, digits++)
        n = digits < NUMBER_MOST ? n * 10 + *s - '0' : 0;
    if (!n || *s != ':')
        return 0;
    *p = s;
    return n;
}

static bool is_in_tree(const struct output *o, const char *path)
{
    enum entry_kind kind;
    struct oid oid;

    return *path && tree_walk_path(o->repo, o->tree, path, &kind, &oid) == 0;
}

/* What stands behind a path that is in the tree; true if that makes a finding. */
static bool add(const struct output *o, const char *path, const char *rest, struct findings *ret)
{
    int line = take_number(&rest), col = line ? take_number(&rest) : 0;

    if (!line && rest[1] != ' ') /* `path:word` is no message */
        return false;
    rest += 1 + strspn(rest + 1, " \t");
    if (!*rest)
        return false;
    findings_add(ret, path, line, line && !col ? 1 : col, o->check, "%s", rest);
    return true;
}

static const char *without_root(const struct output *o, const char *line)
{
    size_t len = strlen(o->root);

    if (len && !strncmp(line, o->root, len) && line[len] == '/')
        line += len + 1;
    while (!strncmp(line, "./", 2))
        line += 2;
    return line;
}

/* A path may hold colons itself: the shortest one that is in the tree counts. */
static void parse_line(const struct output *o, char *line, struct findings *ret)
{
    const char *path = without_root(o, line);
    char *from = line + (path - line), *colon;

    for (int i = 0; i < COLONS_MOST && (colon = strchr(from, ':')); i++, from = colon + 1) {
        *colon = 0;
        bool found = is_in_tree(o, path);
        *colon = ':';
        if (!found)
            continue;
        _cleanup_free_ char *name = xstrndup(path, colon - path);
        if (add(o, name, colon, ret))
            return;
    }
}

/* The line at *p without blanks at its end, cut to LINE_MOST; *p moves behind it. Yours. */
static char *take_line(const char **p, const char *end)
{
    const char *newline = memchr(*p, '\n', end - *p), *stop = newline ? newline : end;
    char *line = xstrndup(*p, stop - *p < LINE_MOST ? stop - *p : LINE_MOST);
    size_t len = strlen(line);

    while (len && strchr(" \t\r", line[len - 1]))
        line[--len] = 0;
    *p = newline ? newline + 1 : end;
    return line;
}

void output_parse(const struct output *o, const char *text, size_t len, struct findings *ret)
{
    for (const char *p = text, *end = text + len; p < end;) {
        _cleanup_free_ char *line = take_line(&p, end);
        parse_line(o, line, ret);
    }
}

char *output_summary(const char *text, size_t len)
{
    struct buf out = {0};
    int lines = 0;

    for (const char *p = text, *end = text + len; p < end && out.len < SUMMARY_MOST;) {
        _cleanup_free_ char *line = take_line(&p, end);
        if (!*line)
            continue;
        if (++lines > SUMMARY_LINES)
            break;
        buf_addf(&out, "%s%s", out.len ? " | " : "", line);
    }
    bool cut = lines > SUMMARY_LINES || out.len >= SUMMARY_MOST;
    char *summary = buf_take(&out);
    if (cut) {
        size_t kept = utf8_cut(summary, SUMMARY_MOST);
        char *shorter = xasprintf("%.*s …", (int)kept, summary);
        free(summary);
        return shorter;
    }
    return summary;
}
