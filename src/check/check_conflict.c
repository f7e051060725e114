#include <stdlib.h>
#include <string.h>

#include "check/builtin.h"

#define MARKER_LEN  7    /* as Git writes them */
#define LOOK_BINARY 8000 /* as Git: a NUL in that many bytes says that it is no text */

static const char *line_end(const char *line, const char *end)
{
    const char *newline = memchr(line, '\n', end - line);

    return newline ? newline + 1 : end;
}

/* Seven of `c`, and then a blank or nothing. */
static bool is_marker(const char *line, const char *end, char c)
{
    if (end - line < MARKER_LEN)
        return false;
    for (int i = 0; i < MARKER_LEN; i++)
        if (line[i] != c)
            return false;
    return end - line == MARKER_LEN || strchr(" \r\n", line[MARKER_LEN]);
}

/* A separator stands alone: `======= x` is something else. */
static bool is_separator(const char *line, const char *end)
{
    return is_marker(line, end, '=') && (end - line == MARKER_LEN || line[MARKER_LEN] != ' ');
}

bool conflict_mark_next(const char *data, size_t len, struct conflict_mark *mark)
{
    const char *end = data + len, *line = mark->end ? mark->end : data;
    struct conflict_mark found = {0};
    bool separated = false;
    int n = mark->line;

    if (!mark->end && memchr(data, 0, len < LOOK_BINARY ? len : LOOK_BINARY))
        return false;
    /* `n` counts the lines before `line`; of a mark that was found, those up to its first. */
    for (const char *p = mark->begin; p && p < mark->end; p = line_end(p, end))
        n += p != mark->begin;
    for (const char *next; line < end; line = next) {
        next = line_end(line, end);
        n++;
        if (is_marker(line, next, '<')) {
            found = (struct conflict_mark){.begin = line, .line = n};
            separated = false;
        } else if (found.begin && is_separator(line, next)) {
            separated = true;
        } else if (found.begin && separated && is_marker(line, next, '>')) {
            found.end = next;
            *mark = found;
            return true;
        }
    }
    return false;
}

/* By length first: what differs in that needs no look at the text. */
static int by_text(const void *a, const void *b)
{
    const struct conflict_mark *x = a, *y = b;
    size_t m = x->end - x->begin, n = y->end - y->begin;

    return m != n ? (m < n ? -1 : 1) : memcmp(x->begin, y->begin, m);
}

struct marks {
    VEC(struct conflict_mark);
};

/* All of them, sorted by their text, to be looked up. */
static struct marks find_marks(const struct file_text *text)
{
    struct marks marks = {0};
    struct conflict_mark mark = {0};

    while (conflict_mark_next(text->data, text->len, &mark))
        *VEC_ADD(&marks) = mark;
    if (marks.n)
        qsort(marks.v, marks.n, sizeof(*marks.v), by_text);
    return marks;
}

void check_conflict_marks(const char *path, const struct file_text *text,
                          const struct file_text *old, struct findings *findings)
{
    struct marks before = old ? find_marks(old) : (struct marks){0};
    struct conflict_mark mark = {0};

    while (conflict_mark_next(text->data, text->len, &mark))
        if (!before.n || !bsearch(&mark, before.v, before.n, sizeof(mark), by_text))
            findings_add(findings, path, mark.line, 1, "conflict-markers",
                         "a conflict of a merge that nobody has decided: choose a side, and remove "
                         "the lines <<<<<<<, ======= and >>>>>>>");
    free(before.v);
}
