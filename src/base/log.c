#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/alloc.h"
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

/* What came from outside cannot forge a line, nor end its quotes. */
static void add_text(struct buf *out, const char *s, size_t most, bool quoted)
{
    _cleanup_free_ char *text = xstrndup(s, strnlen(s, most));

    if (quoted)
        buf_add_escaped(out, text);
    else
        buf_add_visible(out, text);
}

static void add_signed(struct buf *out, int longs, va_list *ap)
{
    long long n = longs == 0   ? va_arg(*ap, int)
                  : longs == 1 ? va_arg(*ap, long)
                               : va_arg(*ap, long long);

    buf_addf(out, "%lld", n);
}

static void add_unsigned(struct buf *out, int longs, va_list *ap)
{
    unsigned long long n = longs == 0   ? va_arg(*ap, unsigned)
                           : longs == 1 ? va_arg(*ap, unsigned long)
                                        : va_arg(*ap, unsigned long long);

    buf_addf(out, "%llu", n);
}

/* Adds the value of the conversion at `p`, behind its '%'; returns what follows it. */
static const char *add_value(struct buf *out, const char *p, bool quoted, va_list *ap)
{
    size_t most = SIZE_MAX;
    int longs = 0;

    if (*p == '.') {
        char *end;
        most = strtoul(p + 1, &end, 10);
        p = end;
    }
    for (; *p == 'l' || *p == 'z'; p++)
        longs++;
    if (*p == 's')
        add_text(out, va_arg(*ap, const char *), most, quoted);
    else if (*p == 'd')
        add_signed(out, longs, ap);
    else
        add_unsigned(out, longs, ap);
    assert(strchr("sdu", *p));
    return p + 1;
}

static void add_fields(struct buf *out, const char *fmt, va_list *ap)
{
    while (*fmt) {
        size_t n = strcspn(fmt, "%");
        bool quoted = n && fmt[n - 1] == '"';
        buf_add(out, fmt, n);
        fmt += n;
        if (*fmt)
            fmt = add_value(out, fmt + 1, quoted, ap);
    }
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    if (level > most_level)
        return;
    int keep = errno;
    _cleanup_(buf_done) struct buf line = {0};
    va_list ap;

    buf_addf(&line, "%s ", event);
    va_start(ap, fmt);
    add_fields(&line, fmt, &ap);
    va_end(ap);
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
