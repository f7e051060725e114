#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

static bool to_syslog;
static enum log_level most_level = LOG_LEVEL_INFO;

static const struct {
    const char *name;
    int priority;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARN] = {"warning", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

void log_open(bool use_syslog, enum log_level most)
{
    to_syslog = use_syslog;
    most_level = most;
    if (use_syslog)
        openlog("onwardfs", LOG_PID, LOG_DAEMON);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    if (level > most_level)
        return;
    int keep = errno;
    _cleanup_(buf_done) struct buf fields = {0}, line = {0};
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&fields, fmt, ap);
    va_end(ap);
    buf_addf(&line, "%s ", event);
    buf_add_visible(&line, buf_str(&fields)); /* what came from outside cannot forge a line */
    if (to_syslog) {
        syslog(levels[level].priority, "%s", line.data);
    } else {
        _cleanup_(buf_done) struct buf out = {0};
        buf_addf(&out, "onwardfs: %s: %s\n", levels[level].name, line.data);
        if (write(STDERR_FILENO, out.data, out.len) < 0)
            errno = keep;
    }
    errno = keep;
}
