/* onward drop: removes a workspace. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "ctl/workspace_ref.h"

static int explain(const struct call *call, const char *name, int err, struct diag *reterr)
{
    if (err == -ENOTEMPTY)
        return diag_fail(reterr, err, "%s has changes; `onward drop --force %s` loses them", name,
                         name);
    if (err == -EACCES || err == -EPERM)
        return diag_fail(reterr, err, "%s belongs to somebody else", name);
    if (err == -EROFS)
        return diag_fail(reterr, err, "%s is mounted read-only", call->mount->path);
    return diag_fail(reterr, err, "cannot drop %s: %s", name, strerrordesc_np(-err));
}

int verb_drop(const struct call *call, struct diag *reterr)
{
    _cleanup_(workspace_ref_done) struct workspace_ref w = {0};
    int r = workspace_ref_find(call, &w, reterr);

    if (r != 0)
        return r;
    if (call->force)
        r = workspace_ref_command(&w, call->mount, "drop", "force", NULL);
    else if (unlinkat(call->mount->fd, w.dir, AT_REMOVEDIR) < 0)
        r = -errno;
    return r < 0 ? explain(call, w.name, r, reterr) : VERB_YES;
}
