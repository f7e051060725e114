#include "ctl/repo_path.h"

#include <errno.h>
#include <string.h>

/* Directories of the mount that show the repository's tree, and how many names stand before it. */
static const struct {
    const char *dir;
    int names;
} trees[] = {{"revisions", 1}, {"staging", 1}, {"history", 0}, {"head", 0}};

/* The part of `inside`, a path in the mount, that is a path of the repository; NULL if it is none.
 */
static const char *part_of(const char *inside)
{
    for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
        const char *rest = path_below(inside, trees[i].dir);
        if (!rest || (trees[i].names && !*rest))
            continue;
        for (int k = 0; k < trees[i].names; k++) {
            rest += strcspn(rest, "/");
            rest += *rest == '/';
        }
        return rest;
    }
    return NULL;
}

/* Appends the components of `path` to `out`, following "." and ".."; -EINVAL above the root. */
static int follow(const char *path, struct buf *out)
{
    for (size_t n; *path; path += n + (path[n] == '/')) {
        n = strcspn(path, "/");
        if (n == 0 || (n == 1 && *path == '.'))
            continue;
        if (n == 2 && !strncmp(path, "..", 2)) {
            if (!out->len)
                return -EINVAL;
            char *slash = strrchr(out->data, '/');
            out->len = slash ? slash - out->data : 0;
            out->data[out->len] = 0;
            continue;
        }
        if (out->len)
            buf_addc(out, '/');
        buf_add(out, path, n);
    }
    return 0;
}

/* The same for an absolute path; yours, or NULL. */
static char *part_of_absolute(const struct mountpoint *m, const char *path)
{
    _cleanup_(buf_done) struct buf plain = {0};

    if (follow(path, &plain) < 0)
        return NULL;
    _cleanup_free_ char *whole = xasprintf("/%s", buf_str(&plain));
    const char *inside = path_below(whole, m->path), *part = inside ? part_of(inside) : NULL;
    return xstrdup_or_null(part);
}

int repo_path(const struct mountpoint *m, const char *path, char **ret, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf out = {0};
    const char *base = m->inside ? part_of(m->inside) : NULL;

    if (*path == '/') {
        char *part = part_of_absolute(m, path);
        if (!part)
            return diag_fail(reterr, -EINVAL, "%s is in no revision and no workspace of %s", path,
                             m->path);
        *ret = part;
        return 0;
    }
    if (follow(base ? base : "", &out) < 0 || follow(path, &out) < 0)
        return diag_fail(reterr, -EINVAL, "%s is outside of the repository", path);
    *ret = xstrdup(buf_str(&out));
    return 0;
}
