/* A finding: one thing that a check or a parser objects to, with its place. Findings are collected,
 * so that a person sees all of them at once. */
#ifndef ONWARD_BASE_FINDING_H
#define ONWARD_BASE_FINDING_H

#include <stddef.h>

#include "base/alloc.h"
#include "base/buf.h"

struct finding {
    char *path;    /* the file, as the reader would name it */
    int line, col; /* from 1; 0: not known */
    char *check;   /* "yaml", "declaration", "config", … */
    char *message; /* what is wrong and what was expected; no newline */
};

/* Zero is a valid empty list. More than FINDINGS_MOST are counted, not kept. */
#define FINDINGS_MOST 1000
struct findings {
    VEC(struct finding);
    size_t left_out;
};

void findings_done(struct findings *f);
/* How many there are, kept or not. */
static inline size_t findings_count(const struct findings *f)
{
    return f->n + f->left_out;
}
void findings_add(struct findings *f, const char *path, int line, int col, const char *check,
                  const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Adds a copy of each of `from`. */
void findings_append(struct findings *f, const struct findings *from);
/* Puts those from index `from` on into the order of their places. */
void findings_sort(struct findings *f, size_t from);
/* `path:line:col: check: message` lines (without line and col where they are 0). */
void findings_render(const struct findings *f, struct buf *out);

#endif
