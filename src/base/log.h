/* The daemon's log: one line an event, `event key=value …`, to standard error or to syslog. Values
 * that may hold blanks stand in double quotes: `"path=\"%s\""`; quotes and backslashes in them are
 * escaped then, so that programs can read them. Thread-safe. */
#ifndef ONWARD_BASE_LOG_H
#define ONWARD_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Where lines go. `use_syslog`: to the system's log instead of standard error. Default: standard
 * error, LOG_LEVEL_INFO. Call before threads start. */
void log_open(bool use_syslog, enum log_level most);

/* `fmt` makes the fields, of the conversions %s (also %.100s), %d and %u (also of l, ll and z);
 * bytes of them below 0x20 are escaped, so a line is a line. Keeps errno. */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_event(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

#endif
