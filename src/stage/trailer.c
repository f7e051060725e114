#include "stage/trailer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/revision.h"

#define OURS "Onward-" /* how the keys begin that are ours to say */

/* The beginning of the last paragraph; that of the message if it has only one. */
static const char *last_paragraph(const char *message)
{
    const char *last = message;

    for (const char *p = message; (p = strchr(p, '\n'));) {
        const char *line = ++p;
        p += strspn(p, " \t\r");
        if (*p == '\n' && p[strspn(p, " \t\r\n")])
            last = p + 1;
        p = line;
    }
    return last;
}

/* Is the paragraph made of trailers? Git says so of what stands behind a title. */
static bool is_block(const char *paragraph)
{
    _cleanup_(buf_done) struct buf text = {0}, trailers = {0};

    buf_addf(&text, "title\n\n%s", paragraph);
    revision_trailers(buf_str(&text), &trailers);
    return trailers.len > 0;
}

/* Git allows blanks before the colon. */
static bool has_key(const char *line, const char *key)
{
    size_t len = strlen(key);

    return !strncasecmp(line, key, len) && line[len + strspn(line + len, " \t")] == ':';
}

/* Adds the lines of a block but for ours, with those that go on with them. */
static void add_others(struct buf *out, const char *block)
{
    bool skip = false;

    for (const char *line = block; *line;) {
        size_t len = strcspn(line, "\n");
        if (*line != ' ' && *line != '\t')
            skip = !strncasecmp(line, OURS, strlen(OURS));
        if (len && !skip) {
            buf_add(out, line, len);
            buf_addc(out, '\n');
        }
        line += len + (line[len] == '\n');
    }
}

char *trailer_set(const char *message, const char *key, const char *value)
{
    struct buf out = {0};
    const char *last = last_paragraph(message);

    if (last != message && is_block(last)) {
        buf_add(&out, message, last - message);
        add_others(&out, last);
    } else {
        buf_adds(&out, message);
        if (out.len && out.data[out.len - 1] != '\n')
            buf_addc(&out, '\n');
        buf_addc(&out, '\n');
    }
    buf_addf(&out, "%s: %s\n", key, value);
    return buf_take(&out);
}

int trailer_check(const char *message, struct diag *reterr)
{
    static const char *const claims[] = {TRAILER_APPROVED, "Reviewed-by"};

    for (const char *line = message; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *key = line + strspn(line, " \t");
        for (size_t i = 0; i < ARRAY_SIZE(claims); i++)
            if (has_key(key, claims[i]))
                return diag_fail(reterr, -EINVAL,
                                 "the message has a line %s: of its own; only approvals that were "
                                 "given say so",
                                 claims[i]);
    }
    return 0;
}

bool trailer_has(const char *message, const char *key)
{
    _cleanup_free_ char *line = xasprintf("\n%s: ", key);

    return strstr(message, line) != NULL;
}
