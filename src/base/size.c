#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char units[] = "KMGT"; /* each 1024 times the one before */

int size_parse(const char *s, uint64_t *ret)
{
    char *end;

    if (!isdigit((unsigned char)*s))
        return -EINVAL;
    errno = 0;
    int64_t size = strtoll(s, &end, 10);
    if (errno)
        return -EINVAL;
    if (*end) {
        const char *unit = strchr(units, *end);
        if (!unit || end[1])
            return -EINVAL;
        for (const char *u = units; u <= unit; u++)
            if (__builtin_mul_overflow(size, 1024, &size))
                return -EINVAL;
    }
    *ret = size;
    return 0;
}

char *size_format(uint64_t size, char out[SIZE_TEXT])
{
    int unit = -1;

    while (size && size % 1024 == 0 && unit + 1 < (int)strlen(units)) {
        size /= 1024;
        unit++;
    }
    if (unit < 0)
        snprintf(out, SIZE_TEXT, "%" PRIu64, size);
    else
        snprintf(out, SIZE_TEXT, "%" PRIu64 "%c", size, units[unit]);
    return out;
}
