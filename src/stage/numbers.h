/* The inode numbers of what a workspace shows.
 *
 * Most follow from what is there: what is in the base hashes its directory's number and its name,
 * what was made in the upper hashes the local inode number; both with a seed that differs between
 * uppers. So two things that exist at once never share one, whatever was renamed.
 *
 * A move to another upper would thus give everything another number. What the kernel knows then,
 * perhaps as an open file, keeps the one that it has, and so does a link that is brought into the
 * upper, which cannot carry an attribute. Those numbers are kept here, by place: a directory's
 * number and a name. They stay with the thing, also when it is renamed and when the kernel has
 * forgotten it, until the next move: as long as a listing that the kernel has may tell them.
 *
 * Invariants
 *   M1  Between two moves or takeovers, whatever is found at a place has the same number each
 *       time, and takes it along when it is renamed.
 *   M2  What arrives at a place, made or moved, has there no number kept of what was there before.
 *
 * In memory only: after a restart the kernel knows nothing. A successor in the same mount keeps the
 * numbers of what the kernel knows when it takes over (tree/legacy.h, staging_inherit); what it had
 * forgotten by then may get another number, and the listings that tell the old one are asked for
 * anew (mount/takeover.h).
 * It takes 48 to 96 bytes for each thing that the kernel knew when the workspace last moved, or was
 * taken over.
 *
 * Threads: as the workspace's names (workspace.h), whose lock guards it. */
#ifndef ONWARD_STAGE_NUMBERS_H
#define ONWARD_STAGE_NUMBERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct kept_number {
    uint64_t place, ino; /* ino 0: a free slot */
    mode_t type;         /* of what it belongs to */
};

struct numbers {
    uint64_t seed;
    struct kept_number *slots;
    size_t n, nslots; /* nslots: a power of two, or 0 */
};

/* Nothing is kept any more. */
void numbers_reset(struct numbers *numbers, uint64_t seed);
void numbers_done(struct numbers *numbers);

/* What follows from what is there. */
uint64_t numbers_of_base(const struct numbers *numbers, uint64_t dir, const char *name);
uint64_t numbers_of_upper(const struct numbers *numbers, uint64_t local);

/* The number of what `type` is at this place: the one that is kept, or else `ino`. */
uint64_t numbers_get(const struct numbers *numbers, uint64_t place, mode_t type, uint64_t ino);
/* It keeps this one. */
void numbers_keep(struct numbers *numbers, uint64_t place, mode_t type, uint64_t ino);
/* Something new is at the place. */
void numbers_drop(struct numbers *numbers, uint64_t place);
/* What was at the one place is at the other now; both change places. */
void numbers_move(struct numbers *numbers, uint64_t from, uint64_t to);
void numbers_exchange(struct numbers *numbers, uint64_t a, uint64_t b);

/* `name` in the directory with that number. */
uint64_t numbers_place(uint64_t dir, const char *name);

#endif
