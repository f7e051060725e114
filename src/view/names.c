#include <stdlib.h>
#include <string.h>

#include "view/context.h"

void names_done(struct names *n)
{
    for (size_t i = 0; i < n->n; i++)
        free(n->v[i].name);
    free(n->v);
    *n = (struct names){0};
}

void names_add(struct names *n, const char *name, mode_t type)
{
    *VEC_ADD(n) = (struct name){
        .cookie = (hash_bytes(name, strlen(name), 0) >> 2) | 1,
        .name = xstrdup(name),
        .type = type,
    };
}

static int by_cookie(const void *a, const void *b)
{
    const struct name *x = a, *y = b;

    if (x->cookie != y->cookie)
        return x->cookie < y->cookie ? -1 : 1;
    return strcmp(x->name, y->name);
}

void names_emit(struct names *n, const struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    if (n->n)
        qsort(n->v, n->n, sizeof(*n->v), by_cookie);
    for (size_t i = 0; i < n->n; i++) {
        const struct name *x = &n->v[i];
        if (x->cookie <= cookie || (i && !strcmp(x->name, x[-1].name)))
            continue;
        if (sink->add(sink, x->name, x->type, node_ino(dir->ino, x->name), x->cookie, true))
            return;
    }
}
