#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static void grow(struct buf *b, size_t more)
{
    size_t want = b->len + more + 1;

    if (want <= b->cap)
        return;
    b->cap = want > 2 * b->cap ? want : 2 * b->cap;
    b->data = xrealloc(b->data, b->cap, 1);
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = 0;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    grow(b, len);
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_pad(struct buf *b, char c, size_t n)
{
    grow(b, n);
    memset(b->data + b->len, c, n);
    b->len += n;
    b->data[b->len] = 0;
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0) {
        grow(b, n);
        vsnprintf(b->data + b->len, n + 1, fmt, again);
        b->len += n;
    }
    va_end(again);
}

/* What has a letter behind the backslash. */
static const char controls[] = "\a\b\t\n\v\f\r", letters[] = "abtnvfr";

static void add_visible(struct buf *b, char c)
{
    const char *at = strchr(controls, c);

    if (at)
        buf_addf(b, "\\%c", letters[at - controls]);
    else if ((unsigned char)c < 0x20 || c == 0x7f)
        buf_addf(b, "\\%03o", c);
    else
        buf_addc(b, c);
}

void buf_add_visible(struct buf *b, const char *s)
{
    for (; *s; s++)
        add_visible(b, *s);
}

void buf_add_escaped(struct buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_addc(b, '\\');
        add_visible(b, *s);
    }
}

void buf_add_quoted(struct buf *b, const char *s)
{
    size_t at = b->len;

    buf_addc(b, '"');
    buf_add_escaped(b, s);
    if (b->len - at == strlen(s) + 1) { /* nothing was */
        b->len = at;
        buf_adds(b, s);
    } else {
        buf_addc(b, '"');
    }
}

void buf_add_unquoted(struct buf *b, const char *s)
{
    if (*s != '"') {
        buf_adds(b, s);
        return;
    }
    for (s++; *s && *s != '"'; s++) {
        const char *letter;

        if (*s != '\\' || !s[1])
            buf_addc(b, *s);
        else if (strspn(++s, "01234567") >= 3) {
            buf_addc(b, (s[0] - '0') << 6 | (s[1] - '0') << 3 | (s[2] - '0'));
            s += 2;
        } else {
            letter = strchr(letters, *s);
            buf_addc(b, letter ? controls[letter - letters] : *s);
        }
    }
}

char *buf_take(struct buf *b)
{
    char *s = b->data ? b->data : xstrdup("");

    *b = (struct buf){0};
    return s;
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}
