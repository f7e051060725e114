/* A place where a process leaves descriptors for one that comes after it: a socket in which they
 * lie as a message that nobody takes. Whoever has the place open keeps them open, without having to
 * know them; when the last one that has it is gone, so are they.
 *
 * There is one parcel at a time, and what is in it never changes. Looking at it takes nothing away,
 * so whoever looks may die at any moment. The other way through the socket, whoever uses the place
 * may ring a bell for the one that keeps it (park_tell).
 *
 * Threads: one at a time leaves or takes away. */
#ifndef ONWARD_BASE_PARK_H
#define ONWARD_BASE_PARK_H

#include <stdbool.h>
#include <stddef.h>

#define PARK_MOST 8

struct park {
    int ends[2];
};
#define PARK_NONE ((struct park){{-1, -1}})

/* Close-on-exec. */
int park_open(struct park *ret);
void park_close(struct park *p);
static inline bool park_is_open(const struct park *p)
{
    return p->ends[0] >= 0;
}

/* What lies there: descriptors, and a number that says what they are. */
struct parcel {
    unsigned char tag;
    size_t n;
    int fds[PARK_MOST];
};

/* Leaves a parcel; the descriptors stay the caller's as well. */
int park_leave(const struct park *p, const struct parcel *parcel);
/* Is something there? */
bool park_is_full(const struct park *p);
/* A copy of what is there, close-on-exec. -ENOENT. */
int park_look(const struct park *p, struct parcel *ret);
/* Rings for whoever keeps the place; has anybody rung, since this was asked? */
void park_tell(const struct park *p);
bool park_was_told(const struct park *p);
/* Takes away what is there, if anything, for good. */
void park_clear(const struct park *p);

#endif
