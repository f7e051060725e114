#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"

void diag_done(struct diag *d)
{
    free(d->text);
    d->text = NULL;
}

int diag_fail(struct diag *d, int err, const char *fmt, ...)
{
    if (!d)
        return err;
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    free(d->text);
    d->text = text;
    return err;
}

int diag_prefix(struct diag *d, int err, const char *fmt, ...)
{
    if (!d)
        return err;
    _cleanup_free_ char *prefix = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&prefix, fmt, ap) < 0)
        prefix = NULL;
    va_end(ap);
    if (!prefix)
        return err;
    char *text = xasprintf("%s: %s", prefix, diag_text(d, err));
    free(d->text);
    d->text = text;
    return err;
}

const char *diag_text(const struct diag *d, int err)
{
    return d && d->text ? d->text : strerrordesc_np(-err);
}
