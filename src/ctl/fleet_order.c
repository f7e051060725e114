#include "ctl/fleet_order.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* What stands in the place of the rest of a long line. */
#define CUT "…"

/* What the outcome says of `line`, which it repeats, or the beginning of it; NULL: it speaks of
 * another one. */
static const char *answer_in(const struct buf *outcome, const char *line)
{
    const char *text = buf_str(outcome);

    while (*line && *line == *text) {
        line++;
        text++;
    }
    if (*line && !strncmp(text, CUT, strlen(CUT)))
        text += strlen(CUT);
    else if (*line)
        return NULL;
    return !strncmp(text, ": ", 2) ? text + 2 : NULL;
}

/* The reason of the last command, as the daemon gives it to this user. */
static int explain(const struct call *call, int err, const char *line, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf outcome = {0};

    if (err == -EACCES || err == -EPERM)
        return diag_fail(reterr, err,
                         "you may not command this fleet: .onward/ctl belongs to others");
    if (mountpoint_read_trimmed(call->mount, ".onward/outcome", &outcome, NULL) < 0 || !outcome.len)
        return err;
    const char *why = answer_in(&outcome, line);
    return diag_fail(reterr, err, "%s: %s", call->verb->name, why ? why : outcome.data);
}

static int write_line(const struct call *call, const char *to, struct buf *line,
                      struct diag *reterr)
{
    buf_adds(line, call->verb->name);
    for (int i = 0; i < call->n; i++) {
        if (strpbrk(call->operands[i], " \t\n") || call->operands[i][0] == '-')
            return diag_fail(reterr, -ENOENT, "there is no site \"%s\"", call->operands[i]);
        buf_addf(line, " %s", call->operands[i]);
    }
    if (to)
        buf_addf(line, " --to %s", to);
    for (const char *c = call->reason; c && *c; c++)
        if (iscntrl((unsigned char)*c))
            return diag_fail(reterr, VERB_USAGE, "a reason is one line of text");
    if (call->reason)
        buf_addf(line, " --reason %s", call->reason);
    return 0;
}

int fleet_order_give(const struct call *call, const char *to, struct buf *answer,
                     struct diag *reterr)
{
    _cleanup_(buf_done) struct buf line = {0}, outcome = {0};
    int r = write_line(call, to, &line, reterr);

    if (r != 0)
        return r;
    r = mountpoint_command(call->mount, ".onward/ctl", line.data, reterr);
    if (r < 0)
        return explain(call, r, line.data, reterr);
    if (!answer)
        return 0;
    r = mountpoint_read_trimmed(call->mount, ".onward/outcome", &outcome, reterr);
    if (r < 0)
        return r;
    const char *said = answer_in(&outcome, line.data);
    buf_adds(answer, said ? said : "done");
    return 0;
}
