/* What goes to a person's terminal: colours (only on a terminal, and not with NO_COLOR), aligned
 * columns, and text of others made harmless, since names, messages and outputs of backends come
 * from people who may write escape sequences. */
#ifndef ONWARD_CTL_PAINT_H
#define ONWARD_CTL_PAINT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"

struct paint {
    bool colour;
    bool harmless; /* control bytes are escaped: the output is a terminal */
};

/* As it is right for `out` and the environment. */
struct paint paint_for(FILE *out);

enum colour {
    PAINT_PLAIN,
    PAINT_BOLD,
    PAINT_RED,
    PAINT_GREEN,
    PAINT_YELLOW,
    PAINT_BLUE,
    PAINT_FAINT
};

/* The colour of a site's state, or of a record's kind. */
enum colour paint_state(const char *state);
/* Begins and ends a colour; nothing without colours. */
void paint_on(const struct paint *p, enum colour c, FILE *out);
void paint_off(const struct paint *p, enum colour c, FILE *out);
/* `len` bytes of somebody's text, of any number of lines. */
void paint_text(const struct paint *p, const char *text, size_t len, FILE *out);
/* The same in a colour, for a string. */
void paint_string(const struct paint *p, enum colour c, const char *s, FILE *out);

/* A table of text. Rows are added cell by cell; zero with `ncolumns` set is a valid empty table. */
struct columns {
    int ncolumns;
    VEC(char *); /* cells, row by row; NULL is shown as "-" */
};
void columns_add(struct columns *t, const char *cell);
/* Prints it, blanks between columns, no blanks at ends of lines. The cells of column `state` (-1:
 * none) are coloured by paint_state(); the first row is the heading, in bold, if `heading`. */
void columns_print(const struct columns *t, const struct paint *p, int state, bool heading,
                   FILE *out);
void columns_done(struct columns *t);

#endif
