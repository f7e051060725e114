#include "base/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void findings_done(struct findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->v[i].path);
        free(f->v[i].check);
        free(f->v[i].message);
    }
    free(f->v);
    *f = (struct findings){0};
}

void findings_add(struct findings *f, const char *path, int line, int col, const char *check,
                  const char *fmt, ...)
{
    if (f->n >= FINDINGS_MOST) {
        f->left_out++;
        return;
    }
    struct buf message = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&message, fmt, ap);
    va_end(ap);
    *VEC_ADD(f) = (struct finding){
        .path = xstrdup(path),
        .line = line,
        .col = col,
        .check = xstrdup(check),
        .message = buf_take(&message),
    };
}

void findings_append(struct findings *f, const struct findings *from)
{
    vec_foreach (x, from)
        findings_add(f, x->path, x->line, x->col, x->check, "%s", x->message);
    f->left_out += from->left_out;
}

static int by_place(const void *pa, const void *pb)
{
    const struct finding *a = pa, *b = pb;
    int order = strcmp(a->path, b->path);

    if (!order)
        order = (a->line > b->line) - (a->line < b->line);
    if (!order)
        order = (a->col > b->col) - (a->col < b->col);
    return order ? order : strcmp(a->message, b->message);
}

void findings_sort(struct findings *f, size_t from)
{
    if (f->n > from)
        qsort(f->v + from, f->n - from, sizeof(*f->v), by_place);
}

void findings_render(const struct findings *f, struct buf *out)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *x = &f->v[i];
        buf_add_visible(out, x->path);
        if (x->line)
            buf_addf(out, ":%d:%d", x->line, x->col);
        buf_addf(out, ": %s: ", x->check);
        buf_add_visible(out, x->message);
        buf_addc(out, '\n');
    }
    if (f->left_out)
        buf_addf(out, "… and %zu more findings\n", f->left_out);
}
