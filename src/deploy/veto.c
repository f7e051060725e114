#include "deploy/veto.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

void veto_done(struct veto *v)
{
    free(v->by);
    free(v->why);
    free(v->text);
    *v = (struct veto){0};
}

void veto_copy(const struct veto *v, struct veto *ret)
{
    *ret = (struct veto){xstrdup_or_null(v->by), xstrdup_or_null(v->why), xstrdup_or_null(v->text)};
}

void veto_set(struct veto *v, const struct record *r)
{
    char when[CLOCK_TEXT];

    veto_done(v);
    v->by = xstrdup_or_null(r->by);
    v->why = xstrdup_or_null(r->message);
    v->text = xasprintf("by %s since %s%s%s", v->by ? v->by : "somebody", clock_format(r->at, when),
                        v->why ? ": " : "", v->why ? v->why : "");
}

bool veto_is(const struct veto *v, const char *by, const char *why)
{
    return v->by && v->why && why && !strcmp(v->by, by) && !strcmp(v->why, why);
}
