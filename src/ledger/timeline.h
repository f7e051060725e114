/* What the ledger has of one site, as a list of ids: every record, newest first, with its
 * generation. Made by reading the history once, so that a directory of a thousand generations and
 * each name in it cost one walk, not one each. It does not change after it is made, and is counted.
 *
 * Timelines that were asked for lately are kept; one that is out of date is brought up to date by
 * reading what is new. Private to the ledger. `timelines` is thread-safe. */
#ifndef ONWARD_LEDGER_TIMELINE_H
#define ONWARD_LEDGER_TIMELINE_H

#include <pthread.h>

#include "base/cleanup.h"
#include "ledger/cursors.h"

struct timeline {
    unsigned refs; /* guarded by the lock of the timelines */
    char *site;
    VEC(struct moment { /* newest first; generations never rise */
                        uint64_t generation;
                        struct oid record;
    });
    VEC(struct head { /* what it was made from: where each chain was begun to be read */
                      char *ref;
                      struct oid oid;
    })
    heads;
    int error; /* why it is not read to its end; 0: it is */
};

/* Index of the first moment whose generation is at most `generation`; t->n if there is none. */
size_t timeline_find(const struct timeline *t, uint64_t generation);

#define TIMELINES_MOST 16
#define MOMENTS_MOST   (256u << 10) /* of all that are kept, but for the newest */

struct timelines {
    pthread_mutex_t lock;
    struct timeline *kept[TIMELINES_MOST]; /* the one used last first, NULL behind the last */
};

void timelines_init(struct timelines *all);
void timelines_done(struct timelines *all);
/* The timeline of cursors->site, read through the cursors, which are used up. */
struct timeline *timelines_get(struct timelines *all, struct cursors *cursors);
void timelines_give_back(struct timelines *all, struct timeline *t);

#endif
