#include "ctl/screen.h"

#include <string.h>
#include <sys/ioctl.h>

struct screen screen_of(FILE *out)
{
    struct winsize w = {0};

    ioctl(fileno(out), TIOCGWINSZ, &w);
    return (struct screen){.lines = w.ws_row > 1 ? w.ws_row : 24,
                           .columns = w.ws_col > 1 ? w.ws_col : 80};
}

void screen_begin(FILE *out)
{
    fputs("\033[?25l\033[H\033[2J", out);
}

void screen_end(FILE *out)
{
    fputs("\033[?25h", out);
    fflush(out);
}

/* Draws one line, up to its end; colours go on behind the cut, so that they end. */
static const char *draw_line(const char *p, int columns, FILE *out)
{
    int at = 0;

    for (; *p && *p != '\n'; p++) {
        if (*p == '\033') {
            size_t n = strcspn(p, "m");
            fwrite(p, 1, n + (p[n] != 0), out);
            p += n - (p[n] == 0);
            continue;
        }
        at += (*p & 0xc0) != 0x80;
        if (at <= columns)
            putc(*p, out);
    }
    return *p ? p + 1 : p;
}

static int count_lines(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

void screen_draw(const struct screen *s, const char *text, FILE *out)
{
    int all = count_lines(text), room = s->lines - 1; /* the cursor stands on the last one */
    int shown = all <= room ? all : room - 1;

    fputs("\033[H", out);
    for (int i = 0; i < shown; i++) {
        text = draw_line(text, s->columns, out);
        fputs("\033[K\n", out);
    }
    if (shown < all)
        fprintf(out, "… and %d more lines\033[K\n", all - shown);
    fputs("\033[J", out);
    fflush(out);
}
