/* Comparing strings that may be absent, or that are sorted. */
#ifndef ONWARD_BASE_STR_H
#define ONWARD_BASE_STR_H

#include <stdbool.h>
#include <string.h>

/* Whether both are the same text, or neither is there (NULL). */
static inline bool str_equal(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* For qsort() and bsearch() of pointers to strings, none of them NULL: by bytes. */
static inline int str_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

#endif
