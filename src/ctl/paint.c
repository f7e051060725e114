#include "ctl/paint.h"

#include <string.h>
#include <unistd.h>

static const char *const codes[] = {
    [PAINT_PLAIN] = "",         [PAINT_BOLD] = "\033[1m",    [PAINT_RED] = "\033[31m",
    [PAINT_GREEN] = "\033[32m", [PAINT_YELLOW] = "\033[33m", [PAINT_BLUE] = "\033[34m",
    [PAINT_FAINT] = "\033[2m",
};

static const struct {
    const char *state;
    enum colour colour;
} states[] = {
    {"in-sync", PAINT_GREEN},   {"deployed", PAINT_GREEN}, {"healed", PAINT_GREEN},
    {"migrating", PAINT_BLUE},  {"pending", PAINT_YELLOW}, {"attempt", PAINT_BLUE},
    {"drifted", PAINT_YELLOW},  {"held", PAINT_YELLOW},    {"suspended", PAINT_FAINT},
    {"unknown", PAINT_FAINT},   {"failed", PAINT_RED},     {"stalled", PAINT_RED},
    {"interrupted", PAINT_RED},
};

struct paint paint_for(FILE *out)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    bool tty = isatty(fileno(out));

    return (struct paint){
        .colour = tty && !(no && *no) && term && strcmp(term, "dumb") != 0,
        .harmless = tty,
    };
}

enum colour paint_state(const char *state)
{
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (!strcmp(states[i].state, state))
            return states[i].colour;
    return PAINT_PLAIN;
}

void paint_on(const struct paint *p, enum colour c, FILE *out)
{
    if (p->colour)
        fputs(codes[c], out);
}

void paint_off(const struct paint *p, enum colour c, FILE *out)
{
    if (p->colour && c != PAINT_PLAIN)
        fputs("\033[m", out);
}

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

void paint_text(const struct paint *p, const char *text, size_t len, FILE *out)
{
    if (!p->harmless) {
        fwrite(text, 1, len, out);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = text[i];
        if (is_control(c))
            fprintf(out, "\\%03o", c);
        else
            putc(c, out);
    }
}

void paint_string(const struct paint *p, enum colour c, const char *s, FILE *out)
{
    paint_on(p, c, out);
    paint_text(p, s, strlen(s), out);
    paint_off(p, c, out);
}

void columns_add(struct columns *t, const char *cell)
{
    *VEC_ADD(t) = cell ? xstrdup(cell) : xstrdup("-");
}

/* How many places a text takes: UTF-8 continuation bytes take none, escaped control bytes four. */
static int width_of(const struct paint *p, const char *s)
{
    int n = 0;

    for (; *s; s++)
        if ((*s & 0xc0) != 0x80)
            n += p->harmless && (is_control(*s)) ? 4 : 1;
    return n;
}

static int column_width(const struct columns *t, const struct paint *p, size_t column)
{
    int most = 0;

    for (size_t i = column; i < t->n; i += t->ncolumns) {
        int n = width_of(p, t->v[i]);
        most = n > most ? n : most;
    }
    return most;
}

void columns_print(const struct columns *t, const struct paint *p, int state, bool heading,
                   FILE *out)
{
    _cleanup_free_ int *width = xcalloc(t->ncolumns, sizeof(*width));
    int pending = 0; /* blanks that are printed once something stands behind them */

    for (int c = 0; c + 1 < t->ncolumns; c++)
        width[c] = column_width(t, p, c);
    for (size_t i = 0; i < t->n; i++) {
        int c = i % t->ncolumns;
        bool head = heading && i < (size_t)t->ncolumns;
        if (*t->v[i]) {
            fprintf(out, "%*s", pending, "");
            pending = 0;
            paint_string(p,
                         head         ? PAINT_BOLD
                         : c == state ? paint_state(t->v[i])
                                      : PAINT_PLAIN,
                         t->v[i], out);
        }
        pending += width[c] - width_of(p, t->v[i]) + 2;
        if (c + 1 == t->ncolumns) {
            putc('\n', out);
            pending = 0;
        }
    }
}

void columns_done(struct columns *t)
{
    vec_foreach (cell, t)
        free(*cell);
    free(t->v);
    t->v = NULL;
    t->n = t->cap = 0;
}
