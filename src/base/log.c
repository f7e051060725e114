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

/* Adds `s` with control bytes as \ooo, so that what came from outside cannot forge a line. */
static void add_visible(struct buf *line, const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            buf_addf(line, "\\%03o", (unsigned char)*s);
        else
            buf_addc(line, *s);
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
    add_visible(&line, buf_str(&fields));
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
