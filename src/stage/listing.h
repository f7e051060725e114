/* What a directory holds, in an order in which it can be handed out piece by piece while it
 * changes: sorted by a cookie that is a hash of the name. A name keeps its cookie in every listing
 * that holds it (but for colliding hashes, whose order depends on each other). */
#ifndef ONWARD_STAGE_LISTING_H
#define ONWARD_STAGE_LISTING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "tree/node.h"

struct listing_entry {
    char *name;
    mode_t type;
    uint64_t ino;
    uint64_t cookie;
};

struct listing {
    VEC(struct listing_entry);
};

void listing_add(struct listing *l, const char *name, mode_t type, uint64_t ino);
/* Gives each entry its cookie and sorts. After the last listing_add(). */
void listing_finish(struct listing *l);
/* Hands the entries behind `cookie` to the sink until it is full. True when none is left. */
bool listing_emit(const struct listing *l, uint64_t cookie, struct dir_sink *sink);
void listing_done(struct listing *l);

#endif
