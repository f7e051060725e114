#include "base/tail.h"

#include <string.h>

void tail_add(struct tail *t, const void *data, size_t len)
{
    const char *p = data;
    size_t room = t->most - t->ring.len, fits = len < room ? len : room;

    buf_add(&t->ring, p, fits);
    p += fits;
    len -= fits;
    t->dropped += len;
    while (len) {
        size_t n = t->most - t->start < len ? t->most - t->start : len;
        memcpy(t->ring.data + t->start, p, n);
        t->start = (t->start + n) % t->most;
        p += n;
        len -= n;
    }
}

void tail_take(struct tail *t, struct buf *out)
{
    if (t->dropped)
        buf_addf(out, "[%zu bytes before this were dropped]\n", t->dropped);
    if (t->ring.len) {
        buf_add(out, t->ring.data + t->start, t->ring.len - t->start);
        buf_add(out, t->ring.data, t->start);
    }
    tail_done(t);
}

void tail_done(struct tail *t)
{
    buf_done(&t->ring);
    t->start = t->dropped = 0;
}
