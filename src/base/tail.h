/* The last bytes of a stream: a ring that grows up to a limit and then forgets its beginning. */
#ifndef ONWARD_BASE_TAIL_H
#define ONWARD_BASE_TAIL_H

#include <stddef.h>

#include "base/buf.h"

struct tail {
    size_t most;     /* bytes kept, at least 1; set by whoever makes it */
    struct buf ring; /* grows to `most`; then the oldest byte is at `start` */
    size_t start;
    size_t dropped; /* bytes that were forgotten */
};

void tail_add(struct tail *t, const void *data, size_t len);
/* Moves what is kept to `out`, oldest first, behind a line that says how much is missing (if any
 * is); the tail is empty afterwards. */
void tail_take(struct tail *t, struct buf *out);
void tail_done(struct tail *t);

#endif
