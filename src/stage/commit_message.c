#include "stage/commit_message.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/utf8.h"
#include "stage/trailer.h"

/* NULL: nothing is left. */
static char *tidy(const char *text)
{
    struct buf out = {0};
    bool blank = false;

    for (const char *line = text; *line;) {
        size_t whole = strcspn(line, "\n"), len = whole;
        while (len && strchr(" \t\r\f\v", line[len - 1]))
            len--;
        if (len && blank && out.len)
            buf_addc(&out, '\n');
        if (len) {
            buf_add(&out, line, len);
            buf_addc(&out, '\n');
        }
        blank = !len;
        line += whole + (line[whole] == '\n');
    }
    return out.len ? buf_take(&out) : NULL;
}

static int check_utf8(const char *text, struct diag *reterr)
{
    int line = 1, len;

    for (const char *p = text; *p; p += len) {
        len = utf8_len(p);
        line += *p == '\n';
        if (!len)
            return diag_fail(reterr, -EINVAL, "the message is not UTF-8 in line %d", line);
    }
    return 0;
}

static int compose(const struct workspace *ws, const char *text, char **ret, struct diag *reterr)
{
    _cleanup_free_ char *said = tidy(text);

    if (!said)
        return diag_fail(reterr, -EINVAL, "the message is empty");
    int r = check_utf8(said, reterr);
    if (r == 0)
        r = trailer_check(said, reterr);
    if (r == 0)
        *ret = trailer_set(said, TRAILER_WORKSPACE, ws->name);
    return r;
}

static int compose_of_file(const struct workspace *ws, char **ret, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf text = {0};
    int r = io_read_file(ws->dir, "message", MESSAGE_MOST, &text);

    if (r < 0 && r != -ENOENT)
        return diag_fail(reterr, r, "the message cannot be read: %s", strerror(-r));
    if (text.len && memchr(text.data, 0, text.len))
        return diag_fail(reterr, -EINVAL, "the message has NUL bytes");
    return compose(ws, buf_str(&text), ret, reterr);
}

int commit_message_take(const struct workspace *ws, const char *line, char **ret,
                        struct diag *reterr)
{
    return strcmp(line, "-") ? compose(ws, line, ret, reterr) : compose_of_file(ws, ret, reterr);
}

void commit_message_used(const struct workspace *ws, const char *said)
{
    _cleanup_free_ char *now = NULL;

    if (compose_of_file(ws, &now, NULL) < 0 || strcmp(now, said))
        return;
    if (unlinkat(ws->dir, "message", 0) < 0 && !ws->ended)
        log_error("message-not-emptied", "workspace=%s reason=\"%s\"", ws->name, strerror(errno));
}
