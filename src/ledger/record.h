/* A record: one entry of the ledger. Stored as one line of JSON,
 *
 *     {"onward":1,"site","generation","kind","from","to","inputs","source","attempt","backend",
 *      "outcome","exit","message","by","host","at","duration_ms","log","previous"}
 *
 * with null for what there is none of. Reading ignores keys that it does not know and refuses a
 * record without one that it needs (onward, site, generation, kind, at), so that a newer version
 * may add keys but never change what the old ones mean. */
#ifndef ONWARD_LEDGER_RECORD_H
#define ONWARD_LEDGER_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/diag.h"
#include "repo/oid.h"

enum record_kind {
    RECORD_ATTEMPT,  /* a backend is about to be started */
    RECORD_DEPLOYED, /* it said done */
    RECORD_FAILED,   /* this attempt failed; see outcome for whether another follows */
    RECORD_HEALED,
    RECORD_DRIFTED,
    RECORD_HELD,
    RECORD_RELEASED,
    RECORD_SUPERSEDED,  /* given up for a newer revision */
    RECORD_INTERRUPTED, /* the daemon ended while it ran */
    RECORD_ACCEPTED,
    RECORD_KINDS
};
/* "attempt", "deployed", … */
const char *record_kind_name(enum record_kind k);

struct record {
    char *site;
    uint64_t generation;
    enum record_kind kind;
    struct oid from, to; /* zero: none */
    struct oid inputs;
    char *source;  /* the site's source directory at `to` */
    int attempt;   /* from 1 within a generation */
    char *backend; /* may be NULL */
    /* "done"; of failed: "retry" (another attempt follows), "later" (the backend asked for
     * another), "failed" (this was the last one), "stalled". NULL: the kind says it all. */
    char *outcome;
    int exit;      /* exit status, 128 + signal, or -1 */
    char *message; /* one line or NULL */
    char *by;      /* who caused it: "onwardfs", or a user's name */
    char *host;
    int64_t at; /* real ns; kept to the millisecond */
    int64_t duration_ms;
    struct oid log;      /* blob with the backend's output; zero: none */
    struct oid previous; /* the site's record before it on this host; set by ledger_append */
    struct oid oid;      /* of the record itself; set by ledger_append and by readers */
};

/* Frees what it holds (not itself) and zeroes it. */
void record_done(struct record *r);
/* A copy that owns its strings. */
void record_copy(const struct record *r, struct record *ret);

/* Adds the record as its JSON line (as stored). Bytes in `message` that are not UTF-8 become
 * U+FFFD. */
void record_encode(const struct record *r, struct buf *out);
/* Reads such a line; what comes back is yours (record_done), `oid` stays zero. -EINVAL with a
 * reason. */
int record_decode(const char *data, size_t len, struct record *ret, struct diag *reterr);

/* Adds one line for people: "store-0001 #3 deployed 0123456789ab (attempt 2)". */
void record_summary(const struct record *r, struct buf *out);

#endif
