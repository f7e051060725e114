/* onward new: a workspace. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/rev.h"
#include "ctl/verb.h"

static int make(const struct call *call, const char *name, const char *dir, struct diag *reterr)
{
    if (mkdirat(call->mount->fd, dir, 0755) == 0)
        return 0;
    int err = -errno;
    if (err == -EEXIST)
        return diag_fail(reterr, err, "there is a workspace \"%s\" already", name);
    if (err == -EROFS)
        return diag_fail(reterr, err, "%s is mounted read-only", call->mount->path);
    if (err == -EINVAL)
        return diag_fail(reterr, err, "\"%s\" cannot be the name of a workspace", name);
    return diag_fail(reterr, err, "cannot make the workspace \"%s\": %s", name,
                     strerrordesc_np(-err));
}

int verb_new(const struct call *call, struct diag *reterr)
{
    const char *name = call->operands[0];
    _cleanup_free_ char *rev = NULL, *dir = NULL;

    if (strchr(name, '/') || strchr(name, '@') || *name == '.')
        return diag_fail(reterr, VERB_USAGE, "\"%s\" cannot be the name of a workspace", name);
    int r = call->from ? rev_resolve(call->mount, call->from, &rev, reterr) : 0;
    if (r < 0)
        return r;
    dir = xasprintf("staging/%s%s%s", name, rev ? "@" : "", rev ? rev : "");
    r = make(call, name, dir, reterr);
    if (r == 0)
        fprintf(call->out, "%s/staging/%s\n", call->mount->path, name);
    return r;
}
