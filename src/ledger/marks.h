/* Where each chain was when this host last saw it, in a file of the state directory: what tells a
 * ledger that was set back, or written anew from some record on, from one that is merely shorter.
 * (In the repository it could be set back with the ledger.)
 *
 * A mark moves only to what follows it, unless a person accepts what is left. Saved at most once a
 * second, when something was set back, and when it is closed: after a crash it may be older than
 * the ledger, never newer. Private to the ledger; one thread at a time.
 */
#ifndef ONWARD_LEDGER_MARKS_H
#define ONWARD_LEDGER_MARKS_H

#include "base/diag.h"
#include "base/map.h"
#include "repo/oid.h"

struct marks {
    char *path;     /* NULL: there is no state directory, and nothing is kept */
    struct map all; /* ref -> struct oid * */
    int64_t saved;  /* mono; 0: never */
    bool dirty;
};

/* Reads the file, if it is there. */
int marks_load(struct marks *m, const char *path, struct diag *reterr);
/* Saves what is not, and frees. */
void marks_done(struct marks *m);
/* Where the chain was last seen; zero: nowhere. */
struct oid marks_get(const struct marks *m, const char *ref);
/* The chain is at `to`, which follows `from`: the mark follows if it was at `from`, or nowhere. */
void marks_move(struct marks *m, const char *ref, const struct oid *from, const struct oid *to);
/* The chain is to be at `to` (zero: there is none), whatever it was at: somebody accepts that. */
void marks_accept(struct marks *m, const char *ref, const struct oid *to);
/* Writes the file if a mark has moved and the last time was long ago. */
void marks_save(struct marks *m);
/* Writes it now, if anything has moved; a failure is logged. */
void marks_save_now(struct marks *m);

#endif
