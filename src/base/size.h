/* Sizes as people write them: `64K`, `100M`, `10G`, `2T`, or bytes; powers of 1024. */
#ifndef ONWARD_BASE_SIZE_H
#define ONWARD_BASE_SIZE_H

#include <stdint.h>

#define SIZE_TEXT 24 /* room for what size_format writes */

/* -EINVAL when it is none, or more than INT64_MAX. */
int size_parse(const char *s, uint64_t *ret);
/* The shortest text that size_parse reads as exactly this; returns `out`. */
char *size_format(uint64_t size, char out[SIZE_TEXT]);

#endif
