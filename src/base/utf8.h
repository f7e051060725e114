/* UTF-8. */
#ifndef ONWARD_BASE_UTF8_H
#define ONWARD_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the character at `s` (1 to 4), 0 if it is none that UTF-8 allows (nor is any prefix of
 * it one: no overlong forms, no surrogates). Reads no further than a NUL. */
int utf8_len(const char *s);
/* How many bytes of `s`, at most `most`, are whole characters. */
size_t utf8_cut(const char *s, size_t most);

#endif
