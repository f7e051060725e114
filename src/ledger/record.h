/* A record: one entry of the ledger. Stored as one line of JSON,
 *
 *     {"onward":1,"site","generation","kind","from","to","inputs","source","attempt","backend",
 *      "outcome","exit","message","by","host","at","duration_ms","log","previous"}
 *
 * with null for what there is none of, "held":true in each that is made while the site is held,
 * "retry_after_ms" where the backend has said it, and in those of a deployment "begun" and
 * "from_source": with them one record says where its site is.
 *
 * Versions. "onward" is the format of this one record. Reading ignores keys that it does not know
 * and refuses a record without one that it needs (onward, site, generation, kind, at), so keys may
 * be added at any time, as long as whoever does not know them is not misled. Whatever would mislead
 * (another kind, another meaning) makes a record of the next format. Of a record of a newer format
 * these keys mean for ever what they mean here, so that histories can be walked past it: onward,
 * site, generation, at, host, by, previous. It is read as RECORD_NEWER with no more than these; who
 * decides by records must refuse to, who shows them shows that there is one. What was once stored
 * can be read for ever: tests/unit/ledger/format-<n>.bundle hold what older versions wrote. */
#ifndef ONWARD_LEDGER_RECORD_H
#define ONWARD_LEDGER_RECORD_H

#include <stdbool.h>
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
    RECORD_PAUSED,  /* the rollout stands still; of the fleet */
    RECORD_RESUMED, /* it goes on; of the fleet */
    RECORD_KINDS,
    RECORD_NEWER = RECORD_KINDS /* only read: of a format that this version does not know */
};
/* "attempt", "deployed", …; "newer" of RECORD_NEWER. */
const char *record_kind_name(enum record_kind k);

#define RECORD_FORMAT 1
/* The site of records that concern no one site but all of them (paused, resumed, accepted). */
#define RECORD_FLEET ""

struct record {
    int format; /* as read; what is written has that of RECORD_FORMAT */
    char *site; /* RECORD_FLEET: the fleet */
    uint64_t generation;
    enum record_kind kind;
    struct oid from, to; /* zero: none */
    struct oid inputs;
    char *source;      /* the site's source directory at `to` */
    char *from_source; /* …at `from`; NULL: there is none, or an older version wrote it */
    int attempt;       /* from 1 within a generation */
    char *backend;     /* may be NULL */
    /* "done"; of failed: "retry" (another attempt follows), "later" (the backend asked for
     * another), "failed" (this was the last one), "stalled". NULL: the kind says it all. */
    char *outcome;
    int exit;      /* exit status, 128 + signal, or -1 */
    char *message; /* one line or NULL */
    char *by;      /* who caused it: "onwardfs", or a user's name */
    char *host;
    int64_t at;    /* real ns; kept to the millisecond */
    int64_t begun; /* real ns: when its generation was; 0: it does not say */
    int64_t duration_ms;
    int64_t retry_after_ms; /* of "later": how long it wants to be left alone; 0: it did not say */
    bool held;              /* the site is held once this record is in: HELD says by whom and why */
    struct oid log;         /* blob with the backend's output; zero: none */
    const struct buf *output; /* that, for ledger_append to write; borrowed; NULL: nothing */
    struct oid previous;      /* the site's record before it on this host; set by ledger_append */
    struct oid oid;           /* of the record itself; set by ledger_append and by readers */
};

/* Frees what it holds (not itself) and zeroes it. */
void record_done(struct record *r);
/* A copy that owns its strings. */
void record_copy(const struct record *r, struct record *ret);

/* Makes of it what reading it back will give: times to the millisecond, texts in UTF-8 (bytes that
 * are none become U+FFFD). -EINVAL: it could not be read back. */
int record_settle(struct record *r, struct diag *reterr);
/* Adds the record as its JSON line (as stored). */
void record_encode(const struct record *r, struct buf *out);
/* Reads such a line; what comes back is yours (record_done), `oid` stays zero. -EINVAL with a
 * reason. */
int record_decode(const char *data, size_t len, struct record *ret, struct diag *reterr);

/* Adds one line for people: "store-0001 #3 deployed 0123456789ab (attempt 2)". It is the journal in
 * the messages of the ledger's commits, which an audit compares with the records: what it says of a
 * record must not change. */
void record_summary(const struct record *r, struct buf *out);

#endif
