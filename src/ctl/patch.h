/* Patches on their way to a person: names without the place in the mount, colours on a terminal. */
#ifndef ONWARD_CTL_PATCH_H
#define ONWARD_CTL_PATCH_H

#include "ctl/paint.h"

/* Zero with `paint` and `out` set is a valid start. */
struct patch {
    const struct paint *paint;
    FILE *out;
    const char *strip[2]; /* removed from the header lines; NULL: nothing */
    bool hunk;            /* the next line belongs to a hunk or its heading */
};

/* Prints one line (its newline may be missing); lines must come in order. */
void patch_line(struct patch *p, const char *line, size_t len);
/* Prints a whole patch. */
void patch_text(struct patch *p, const char *text, size_t len);

#endif
