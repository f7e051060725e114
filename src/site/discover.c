#include "site/discover.h"

#include <fnmatch.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

#define GLOB_CHARACTERS "*?["

char *discover_prefix(const char *pattern)
{
    const char *end = pattern;

    for (const char *p = pattern; *p;) {
        size_t n = strcspn(p, "/");
        if (strcspn(p, GLOB_CHARACTERS) < n)
            break;
        end = p + n;
        p += n + (p[n] == '/');
    }
    return xstrndup(pattern, end - pattern);
}

char *discover_component(const char *pattern, const char **ret_rest)
{
    size_t n = strcspn(pattern, "/");

    *ret_rest = pattern[n] ? pattern + n + 1 : NULL;
    return xstrndup(pattern, n);
}

bool discover_is_glob(const char *component)
{
    return strpbrk(component, GLOB_CHARACTERS);
}

bool discover_matches(const char *glob, const char *name)
{
    return !fnmatch(glob, name, FNM_PERIOD | FNM_NOESCAPE);
}

static bool matches(const char *glob, const struct tree_entry *e)
{
    return e->kind == ENTRY_DIR && discover_matches(glob, e->name);
}

struct visit {
    struct repo *repo;
    int (*each)(const char *path, const char *name, void *arg);
    void *arg;
    struct buf path; /* of the directory being listed, with a slash at the end; "" for the root */
};

/* The depth of this recursion is that of the pattern. */
static int visit(struct visit *v, const struct oid *dir, const char *pattern)
{
    const char *rest;
    _cleanup_free_ char *glob = discover_component(pattern, &rest);
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    size_t len = v->path.len;
    int r = tree_load(v->repo, dir, &tree);

    for (size_t i = 0; !r && i < tree->n; i++) {
        const struct tree_entry *e = &tree->entries[i];
        if (!matches(glob, e))
            continue;
        buf_adds(&v->path, e->name);
        if (rest) {
            buf_addc(&v->path, '/');
            r = visit(v, &e->oid, rest);
        } else {
            r = v->each(v->path.data, e->name, v->arg);
        }
        v->path.len = len;
    }
    return r;
}

int discover_each(struct repo *repo, const struct oid *root, const char *pattern,
                  int (*each)(const char *path, const char *name, void *arg), void *arg)
{
    struct visit v = {.repo = repo, .each = each, .arg = arg};
    int r = visit(&v, root, pattern);

    buf_done(&v.path);
    return r;
}

/* The next entry of `tree` from *at that the glob matches, or NULL. */
static const struct tree_entry *next_match(const struct tree *tree, const char *glob, size_t *at)
{
    for (; *at < tree->n; ++*at)
        if (matches(glob, &tree->entries[*at]))
            return &tree->entries[*at];
    return NULL;
}

int discover_differs(struct repo *repo, const struct oid *a, const struct oid *b,
                     const char *pattern)
{
    const char *rest;
    _cleanup_free_ char *glob = NULL;
    _cleanup_(tree_unrefp) struct tree *ta = NULL, *tb = NULL;

    if (oid_equal(a, b))
        return 0;
    glob = discover_component(pattern, &rest);
    int r = tree_load(repo, a, &ta);
    if (!r)
        r = tree_load(repo, b, &tb);
    for (size_t i = 0, j = 0; !r; i++, j++) {
        const struct tree_entry *ea = next_match(ta, glob, &i), *eb = next_match(tb, glob, &j);
        if (!ea && !eb)
            return 0;
        if (!ea || !eb || strcmp(ea->name, eb->name))
            return 1;
        if (rest)
            r = discover_differs(repo, &ea->oid, &eb->oid, rest);
    }
    return r;
}
