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

/* The workspace's name: NAME, or NAME@REV, which is how the mount is told of another base and what
 * the workspace is called from then on. REV stands there as given when it is a plain word, else as
 * an abbreviated id. Yours. */
static char *full_name(const char *name, const char *expr, const char *rev)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (!rev)
        return xstrdup(name);
    if (strspn(expr, word) == strlen(expr))
        return xasprintf("%s@%s", name, expr);
    return xasprintf("%s@%.*s", name, REV_SHORT, rev);
}

int verb_new(const struct call *call, struct diag *reterr)
{
    const char *name = call->operands[0];
    _cleanup_free_ char *rev = NULL;

    if (strchr(name, '/') || strchr(name, '@') || *name == '.')
        return diag_fail(reterr, VERB_USAGE, "\"%s\" cannot be the name of a workspace", name);
    int r = call->from && strcmp(call->from, "head")
                ? rev_resolve(call->mount, call->from, &rev, reterr)
                : 0;
    if (r < 0)
        return r;
    _cleanup_free_ char *full = full_name(name, call->from, rev);
    _cleanup_free_ char *dir = xasprintf("staging/%s", full);
    r = make(call, full, dir, reterr);
    if (r == 0)
        fprintf(call->out, "%s/%s\n", call->mount->path, dir);
    return r;
}
