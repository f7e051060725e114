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

static void add_visible(struct buf *b, char c)
{
    static const char plain[] = "\a\b\t\n\v\f\r";
    const char *at = strchr(plain, c);

    if (at)
        buf_addf(b, "\\%c", "abtnvfr"[at - plain]);
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
