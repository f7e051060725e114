/* Text in the window of a terminal, drawn over what was drawn before: as much of it as fits. */
#ifndef ONWARD_CTL_SCREEN_H
#define ONWARD_CTL_SCREEN_H

#include <stdio.h>

/* How many lines and columns the terminal has; what most have, if it does not tell. */
struct screen {
    int lines, columns;
};
struct screen screen_of(FILE *out);

/* Clears the window, and hides the cursor. */
void screen_begin(FILE *out);
/* Draws `text`: lines that are too long are cut, and so are those that are too many, but for one
 * that says so. Knows UTF-8, and the escape sequences of paint.h. */
void screen_draw(const struct screen *s, const char *text, FILE *out);
/* Gives the cursor back, on a line of its own. */
void screen_end(FILE *out);

#endif
