/* onward retry: another attempt now. */
#include <errno.h>
#include <string.h>

#include "ctl/verb.h"

/* The reason of the last command, as the daemon gives it to this user. */
static int explain(const struct call *call, int err, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf outcome = {0};

    if (err == -EACCES || err == -EPERM)
        return diag_fail(reterr, err,
                         "you may not command this fleet: .onward/ctl belongs to others");
    if (mountpoint_read_trimmed(call->mount, ".onward/outcome", &outcome, NULL) < 0 || !outcome.len)
        return err;
    return diag_fail(reterr, err, "%s", outcome.data);
}

int verb_retry(const struct call *call, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf line = {0};

    buf_adds(&line, "retry");
    for (int i = 0; i < call->n; i++) {
        if (strpbrk(call->operands[i], " \t\n"))
            return diag_fail(reterr, -ENOENT, "there is no site \"%s\"", call->operands[i]);
        buf_addf(&line, " %s", call->operands[i]);
    }
    int r = mountpoint_command(call->mount, ".onward/ctl", line.data, reterr);
    return r < 0 ? explain(call, r, reterr) : VERB_YES;
}
