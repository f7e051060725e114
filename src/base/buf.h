/* A growing byte buffer, always NUL-terminated behind `len` once anything was added. Zero is a
 * valid empty buffer. */
#ifndef ONWARD_BASE_BUF_H
#define ONWARD_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL while empty; else data[len] == 0 */
    size_t len;
    size_t cap;
};

void buf_done(struct buf *b);
void buf_clear(struct buf *b);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
/* Adds c as often as n says. */
void buf_pad(struct buf *b, char c, size_t n);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Adds s with control bytes, quotes and backslashes escaped as in C ("\n", "\033"), so that it is
 * one harmless line in a log or a status. Bytes above 0x7f pass. */
void buf_add_escaped(struct buf *b, const char *s);
/* Adds s with control bytes escaped and nothing else: one line that reads as it was meant, for text
 * that stands between no quotes. */
void buf_add_visible(struct buf *b, const char *s);
/* Adds s as Git shows a path: as it is, or, when bytes of it would have to be escaped, escaped and
 * between double quotes. buf_add_unquoted() adds what was meant. */
void buf_add_quoted(struct buf *b, const char *s);
void buf_add_unquoted(struct buf *b, const char *s);
/* The text as a string that the caller frees ("" when empty); the buffer is empty afterwards. */
char *buf_take(struct buf *b);
/* The text, borrowed until the buffer changes; "" when empty. */
const char *buf_str(const struct buf *b);

#endif
