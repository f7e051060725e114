#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (!p) {
        fputs("onwardfs: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xmalloc(size_t size)
{
    return must(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
    return must(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n, size_t size)
{
    return must(reallocarray(p, n ? n : 1, size));
}

char *xstrdup(const char *s)
{
    return must(strdup(s));
}

char *xstrdup_or_null(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
    return must(strndup(s, n));
}

void *xmemdup(const void *p, size_t n)
{
    return memcpy(xmalloc(n), p, n);
}

char *xasprintf(const char *fmt, ...)
{
    char *ret = NULL;
    va_list ap;

    va_start(ap, fmt);
    int n = vasprintf(&ret, fmt, ap);
    va_end(ap);
    return must(n < 0 ? NULL : ret);
}
