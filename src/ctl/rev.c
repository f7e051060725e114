#include "ctl/rev.h"

#include <errno.h>
#include <string.h>

char *rev_of_target(const char *target)
{
    static const char dir[] = "revisions/";
    const char *at = strstr(target, dir);

    if (!at || (at != target && at[-1] != '/'))
        return NULL;
    at += strlen(dir);
    return xstrndup(at, strcspn(at, "/"));
}

int rev_of_link(const struct mountpoint *m, const char *path, char **ret, struct diag *reterr)
{
    _cleanup_free_ char *target = NULL;
    int r = mountpoint_readlink(m, path, &target, reterr);

    if (r < 0)
        return r;
    char *id = rev_of_target(target);
    /* Inside revisions/ the target is the bare id. */
    *ret = id ? id : xstrdup(target);
    return 0;
}

/* An expression becomes part of a path: it must stay where it is put. */
static int is_safe(const char *expr)
{
    if (!*expr || *expr == '/')
        return 0;
    for (const char *p = expr; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
        if (!strncmp(p, "../", 3) || !strcmp(p, ".."))
            return 0;
    return 1;
}

int rev_resolve(const struct mountpoint *m, const char *expr, char **ret, struct diag *reterr)
{
    static const char *const places[] = {"revisions", "branches", "tags"};
    struct diag *quiet = NULL;

    for (size_t i = 0; is_safe(expr) && i < ARRAY_SIZE(places); i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s", places[i], expr);
        int r = rev_of_link(m, path, ret, quiet);
        if (r == 0)
            return 0;
        /* A directory, not a link: only a full id is that, and only in revisions/. */
        if (r == -EINVAL && i == 0) {
            *ret = xstrdup(expr);
            return 0;
        }
        if (r == -ENOTCONN || r == -EIO)
            return mountpoint_readlink(m, path, ret, reterr);
    }
    if (!strcmp(expr, "head") && rev_of_link(m, "head", ret, quiet) == 0)
        return 0;
    return diag_fail(reterr, -ENOENT, "%s names no revision", expr);
}
