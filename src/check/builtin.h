/* The checks that are built in, each over the bytes of one file. Private to this folder. */
#ifndef ONWARD_CHECK_BUILTIN_H
#define ONWARD_CHECK_BUILTIN_H

#include <stdbool.h>

#include "base/finding.h"

/* Adds findings (check "json") for what is not as RFC 8259 says, and for duplicate keys. Any
 * document that it allows passes, whatever the size of its numbers; nesting is limited to
 * CHECK_JSON_DEPTH. data[len] is 0. */
#define CHECK_JSON_DEPTH 2000
void check_json(const char *path, const char *data, size_t len, struct findings *findings);

/* A conflict that Git has marked: `<<<<<<<`, `=======` and `>>>>>>>`, each at the beginning of a
 * line, in this order; `|||||||` may stand between the first two. One of them alone means nothing:
 * a row of `=` underlines headings. */
struct conflict_mark {
    const char *begin, *end; /* from the first line to behind the last */
    int line;                /* of `begin` */
};
/* The next one in data[len]; *mark is zero before the first. False: there is none. Binary files
 * have none. */
bool conflict_mark_next(const char *data, size_t len, struct conflict_mark *mark);
/* Adds a finding (check "conflict-markers") for each that `old` (NULL: there was no file) has not
 * in the same words. */
struct file_text {
    const char *data;
    size_t len;
};
void check_conflict_marks(const char *path, const struct file_text *text,
                          const struct file_text *old, struct findings *findings);

#endif
