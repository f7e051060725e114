/* Time. Instants are nanoseconds since 1970 (`int64_t`, "real") or since an arbitrary start
 * ("mono"); durations are nanoseconds. Waiting uses mono, records use real. */
#ifndef ONWARD_BASE_CLOCK_H
#define ONWARD_BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_SEC INT64_C(1000000000)
#define NS_PER_MS  INT64_C(1000000)

int64_t clock_real(void);
int64_t clock_mono(void);

/* A condition whose timed waits end at a mono time, as clock_timespec() has it. */
void clock_cond_init(pthread_cond_t *cond);

static inline struct timespec clock_timespec(int64_t ns)
{
    int64_t sec = ns / NS_PER_SEC, rest = ns % NS_PER_SEC;
    return rest < 0 ? (struct timespec){sec - 1, rest + NS_PER_SEC} : (struct timespec){sec, rest};
}

static inline int64_t clock_ns(struct timespec t)
{
    return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

/* Nanoseconds of a time in seconds that comes from outside and may be anything: at least a second
 * after 1970 (0 looks like no time at all), and within what 64 bits hold. */
int64_t clock_from_seconds(int64_t seconds);

#define CLOCK_TEXT 32 /* room for what the formatters write */

/* "2026-11-23T04:40:00Z"; returns `out`. */
char *clock_format(int64_t real, char out[CLOCK_TEXT]);
/* The same to the millisecond: "2026-11-23T04:40:00.000Z". */
char *clock_format_ms(int64_t real, char out[CLOCK_TEXT]);
/* Reads what clock_format writes (UTC, whole seconds). -EINVAL, also beyond what 64 bits of
 * nanoseconds hold (1677 to 2262). */
int clock_parse(const char *s, int64_t *ret);
/* A duration for people: "500ms", "10s", "5m", "2h"; at most two units ("1m30s"). */
char *clock_format_duration(int64_t ns, char out[CLOCK_TEXT]);
/* "500ms 10s 5m 2h 1d", a positive whole number with a unit. -EINVAL. */
int clock_parse_duration(const char *s, int64_t *ret);

#endif
