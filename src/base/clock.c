#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int64_t clock_real(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return clock_ns(t);
}

int64_t clock_mono(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return clock_ns(t);
}

void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

int64_t clock_from_seconds(int64_t seconds)
{
    int64_t most = INT64_MAX / NS_PER_SEC;

    return (seconds < 1 ? 1 : seconds > most ? most : seconds) * NS_PER_SEC;
}

/* `n` digits, and what stands behind them. */
static char *put(char *out, int value, int n, char behind)
{
    for (int i = n; i-- > 0; value /= 10)
        out[i] = '0' + value % 10;
    out[n] = behind;
    return out + n + 1;
}

/* As strftime() would, for a tenth of the price: the table of a fleet has a time in each row. The
 * year has four digits, for nanoseconds in 64 bits reach from 1677 to 2262. */
char *clock_format(int64_t real, char out[CLOCK_TEXT])
{
    struct tm tm;
    time_t t = clock_timespec(real).tv_sec;
    char *at = out;

    gmtime_r(&t, &tm);
    at = put(at, tm.tm_year + 1900, 4, '-');
    at = put(at, tm.tm_mon + 1, 2, '-');
    at = put(at, tm.tm_mday, 2, 'T');
    at = put(at, tm.tm_hour, 2, ':');
    at = put(at, tm.tm_min, 2, ':');
    *put(at, tm.tm_sec, 2, 'Z') = 0;
    return out;
}

char *clock_format_ms(int64_t real, char out[CLOCK_TEXT])
{
    int ms = clock_timespec(real).tv_nsec / NS_PER_MS;
    size_t n = strlen(clock_format(real, out)) - 1; /* without its Z */

    snprintf(out + n, CLOCK_TEXT - n, ".%03dZ", ms);
    return out;
}

int clock_parse(const char *s, int64_t *ret)
{
    struct tm tm = {0};
    const char *end = strptime(s, "%Y-%m-%dT%H:%M:%SZ", &tm);

    if (!end || *end || __builtin_mul_overflow(timegm(&tm), NS_PER_SEC, ret))
        return -EINVAL;
    return 0;
}

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    {"d", 86400 * NS_PER_SEC}, {"h", 3600 * NS_PER_SEC}, {"m", 60 * NS_PER_SEC},
    {"s", NS_PER_SEC},         {"ms", NS_PER_MS},
};

char *clock_format_duration(int64_t ns, char out[CLOCK_TEXT])
{
    size_t nunits = sizeof(units) / sizeof(units[0]), at = 0;
    int n = 0;

    while (at + 1 < nunits && ns < units[at].ns)
        at++;
    for (size_t i = at; i < nunits && i < at + 2; i++) {
        int64_t count = ns / units[i].ns;
        if (count || (i == at))
            n += snprintf(out + n, CLOCK_TEXT - n, "%" PRId64 "%s", count, units[i].name);
        ns -= count * units[i].ns;
    }
    return out;
}

int clock_parse_duration(const char *s, int64_t *ret)
{
    char *end;

    if (!isdigit((unsigned char)*s))
        return -EINVAL;
    errno = 0;
    long long count = strtoll(s, &end, 10);
    if (errno)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (!strcmp(end, units[i].name))
            return __builtin_mul_overflow((int64_t)count, units[i].ns, ret) ? -EINVAL : 0;
    return -EINVAL;
}
