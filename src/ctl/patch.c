#include "ctl/patch.h"

#include <string.h>

static bool begins(const char *line, size_t len, const char *with)
{
    return len >= strlen(with) && !memcmp(line, with, strlen(with));
}

static enum colour colour_of(const char *line, size_t len, bool hunk)
{
    if (!hunk)
        return PAINT_BOLD;
    if (begins(line, len, "@@"))
        return PAINT_BLUE;
    return *line == '+' ? PAINT_GREEN : *line == '-' ? PAINT_RED : PAINT_PLAIN;
}

/* The line without the strips. */
static void strip(const struct patch *p, const char *line, size_t len, struct buf *out)
{
    while (len) {
        size_t skip = 0;
        for (int i = 0; i < 2 && !skip; i++)
            if (p->strip[i] && begins(line, len, p->strip[i]))
                skip = strlen(p->strip[i]);
        if (!skip)
            buf_addc(out, *line);
        skip = skip ? skip : 1;
        line += skip;
        len -= skip;
    }
}

void patch_line(struct patch *p, const char *line, size_t len)
{
    _cleanup_(buf_done) struct buf header = {0};
    bool newline = len && line[len - 1] == '\n';

    len -= newline;
    /* Every line of a hunk begins with one of " +-\", so "diff " only ever begins a header. */
    if (begins(line, len, "diff "))
        p->hunk = false;
    else if (begins(line, len, "@@"))
        p->hunk = true;
    enum colour c = len ? colour_of(line, len, p->hunk) : PAINT_PLAIN;
    paint_on(p->paint, c, p->out);
    if (!p->hunk)
        strip(p, line, len, &header);
    paint_text(p->paint, p->hunk ? line : buf_str(&header), p->hunk ? len : header.len, p->out);
    paint_off(p->paint, c, p->out);
    if (newline)
        putc('\n', p->out);
}

void patch_text(struct patch *p, const char *text, size_t len)
{
    while (len) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) + 1 : len;
        patch_line(p, text, n);
        text += n;
        len -= n;
    }
}
