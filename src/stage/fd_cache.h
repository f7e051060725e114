/* A bounded cache of open descriptors. Whoever may need a file again embeds an `fd_slot`; the cache
 * keeps the descriptors of the slots that were used last and closes the others, so that a tree of
 * any size is served with a fixed number of them.
 *
 * A descriptor that was got stays open until it is put (it is pinned), whatever else happens. A
 * kept slot (an unlinked file: nothing leads back to it) is never closed before it is dropped.
 *
 * Threads: all functions may be called from any thread. */
#ifndef ONWARD_STAGE_FD_CACHE_H
#define ONWARD_STAGE_FD_CACHE_H

#include <stdbool.h>

struct fd_slot {
    int fd; /* -1: none */
    unsigned pins;
    bool keep;
    struct fd_slot *prev, *next; /* in the order of use; NULL while pinned, kept or without fd */
};

struct fd_cache;

struct fd_cache *fd_cache_new(unsigned most);
/* All slots must have been dropped. */
void fd_cache_free(struct fd_cache *c);

void fd_slot_init(struct fd_slot *slot);
/* Pins and returns the slot's descriptor; -1 if it has none. */
int fd_cache_get(struct fd_cache *c, struct fd_slot *slot);
/* Gives the slot this descriptor (closed if it has got one meanwhile); pins and returns its own. */
int fd_cache_add(struct fd_cache *c, struct fd_slot *slot, int fd);
void fd_cache_put(struct fd_cache *c, struct fd_slot *slot);
/* From now on the descriptor is never closed to make room. */
void fd_cache_keep(struct fd_cache *c, struct fd_slot *slot);
/* Closes the descriptor, if there is one. Nobody may have it pinned. */
void fd_cache_drop(struct fd_cache *c, struct fd_slot *slot);
/* Closes all that can be closed: the process has run out of descriptors. */
void fd_cache_trim(struct fd_cache *c);

#endif
