/* Patterns over all of history: not what they match in one tree, but what they ever could have. */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "site/discover.h"

struct past {
    const char *glob;
    VEC(struct past_entry {
        path_id id;
        char *name;
    });
};

static void past_done(struct past *p)
{
    vec_foreach (e, p)
        free(e->name);
    free(p->v);
}

static int add_past(path_id id, const char *name, void *arg)
{
    struct past *p = arg;

    if (discover_matches(p->glob, name))
        *VEC_ADD(p) = (struct past_entry){id, xstrdup(name)};
    return 0;
}

/* The children of `dir` that p->glob matches. */
static int list_past(struct history_index *ix, path_id dir, struct past *p)
{
    path_id id;

    if (discover_is_glob(p->glob))
        return history_index_children(ix, dir, PATH_ROOT, add_past, p);
    int r = history_index_child(ix, dir, p->glob, &id);
    if (r == 0)
        add_past(id, p->glob, p);
    return r == -ENOENT ? 0 : r;
}

/* The depth of this recursion is that of the pattern. The index is asked for a whole directory
 * before `each` is called, which may then ask it too. */
static int visit_past(struct history_index *ix, path_id dir, const char *pattern,
                      int (*each)(path_id path, const char *name, void *arg), void *arg)
{
    const char *rest;
    _cleanup_free_ char *glob = discover_component(pattern, &rest);
    _cleanup_(past_done) struct past found = {.glob = glob};
    int r = list_past(ix, dir, &found);

    for (size_t i = 0; r == 0 && i < found.n; i++)
        r = rest ? visit_past(ix, found.v[i].id, rest, each, arg)
                 : each(found.v[i].id, found.v[i].name, arg);
    return r;
}

int discover_ever(struct history_index *ix, const char *pattern,
                  int (*each)(path_id path, const char *name, void *arg), void *arg)
{
    return visit_past(ix, PATH_ROOT, pattern, each, arg);
}
