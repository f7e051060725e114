/* An order: an operator's command to the fleet, as written to `.onward/ctl`, one a line:
 *
 *     retry SITE…                               hold SITE… --reason TEXT
 *     release SITE… [--reason TEXT]             pause [--reason TEXT]
 *     resume [--reason TEXT]                    accept --reason TEXT
 *     rollback SITE… --to REVISION --reason TEXT
 *
 * TEXT is the rest of the line. */
#ifndef ONWARD_DEPLOY_ORDER_H
#define ONWARD_DEPLOY_ORDER_H

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/diag.h"

enum order_kind {
    ORDER_RETRY,    /* next attempts need not wait */
    ORDER_HOLD,     /* sites stay where they are */
    ORDER_RELEASE,  /* …no longer */
    ORDER_PAUSE,    /* nothing moves on to what is desired */
    ORDER_RESUME,   /* …no longer */
    ORDER_ACCEPT,   /* the rewritten mainline is the right one */
    ORDER_ROLLBACK, /* a new revision with what the sites took before; not for the reconciler */
    ORDERS
};

struct order {
    enum order_kind kind;
    VEC(char *) sites;
    char *to;     /* of a rollback; else NULL */
    char *reason; /* NULL: none was given */
};

/* Reads a line without its newline. -EINVAL, with the reason and what is right. */
int order_parse(const char *line, struct order *ret, struct diag *reterr);
void order_done(struct order *o);

#endif
