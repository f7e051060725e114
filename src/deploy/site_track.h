/* What the ledger says of one site: the fold of its records. The same fold runs over the history at
 * start and over each record as it is written, so a restart gives the state that the daemon had.
 * Pure: no I/O but in site_track_load(), and no clock of its own.
 *
 * Phase of the newest attempt, and who moves it:
 *
 *      TRACK_NEW ──────────────┐
 *      TRACK_DEPLOYED ─────────┤ plan_make: start, generation + 1, attempt 1
 *      TRACK_SUPERSEDED ───────┤ (a new target)
 *      TRACK_FAILED ───────────┤
 *      TRACK_STALLED ──────────┴──► TRACK_OPEN
 *      TRACK_RETRY ─────────────┐
 *      TRACK_INTERRUPTED ───────┤ plan_make: start, same generation, attempt + 1
 *      TRACK_FAILED, _STALLED ──┴──► TRACK_OPEN            (the last two: when asked by `retry`)
 *
 *      TRACK_OPEN ──► DEPLOYED, RETRY, FAILED, STALLED, INTERRUPTED     plan_outcome
 *      TRACK_OPEN ──► INTERRUPTED   plan_make: found open, but nothing runs
 *      TRACK_RETRY, TRACK_INTERRUPTED ──► SUPERSEDED      plan_make: the target changed meanwhile
 *      TRACK_OPEN ──► SUPERSEDED    plan_make: the same, while it waited for its health
 *
 * Besides: `drifted` is found by observations while it is deployed, and ends with the next attempt
 * or observation; `held` is an operator's word, from HELD to RELEASED, whatever else happens. */
#ifndef ONWARD_DEPLOY_SITE_TRACK_H
#define ONWARD_DEPLOY_SITE_TRACK_H

#include <stdbool.h>

#include "base/alloc.h"
#include "deploy/veto.h"
#include "ledger/ledger.h"

/* The `outcome` of an attempt's record that heals. */
#define TRACK_HEAL "heal"

enum track_phase {
    TRACK_NEW,         /* no attempt is on record */
    TRACK_OPEN,        /* an attempt is on record, its end is not */
    TRACK_DEPLOYED,    /* the backend said done, and that it is healthy */
    TRACK_RETRY,       /* it failed or asked for later: another attempt follows */
    TRACK_INTERRUPTED, /* the daemon ended while it ran: another attempt follows */
    TRACK_SUPERSEDED,  /* given up for a newer target */
    TRACK_FAILED,      /* it failed for the last time */
    TRACK_STALLED,     /* the backend said that a person must look */
};

struct site_track {
    enum track_phase phase;
    uint64_t generation;    /* of the newest attempt; 0: none */
    int attempt;            /* of that generation; from 1 */
    struct oid from, to;    /* of that generation */
    char *source, *backend; /* of that generation; may be NULL */
    struct oid inputs;      /* at `to` */
    int failures;           /* that count towards the limit, since the start or the last `retry` */
    int tries;              /* ends of any kind since then: how often to back off */
    int64_t begun_at;       /* real ns: first attempt of that generation */
    int64_t at;             /* real ns: newest record that moved the phase */
    int64_t ended;          /* mono ns: when that record was taken in; see site_track_load */
    bool unreachable;       /* its backend asked for later, and has said nothing else since */
    int64_t retry_after;    /* ns: …and how long it wants to be left alone; 0: it did not say */
    bool healing;           /* that generation heals what has drifted */
    char *message;          /* of the newest failure or drift; NULL since the newest deployment */
    struct oid deployed;    /* zero: never */
    struct oid deployed_inputs;
    char *deployed_source;
    uint64_t deployed_generation;
    struct oid previous; /* the revision other than `deployed` that ran before it; zero: none */
    char *previous_source;
    bool drifted;         /* since it was deployed… */
    int64_t drift_at;     /* real ns: when that was found, or was over */
    struct oid drift_log; /* what differs; zero: nobody said */
    bool held;
    int64_t hold_at; /* real ns: when it was held or released */
    struct veto hold;
};

void site_track_done(struct site_track *t);
/* A copy that owns its strings. */
void site_track_copy(const struct site_track *t, struct site_track *ret);
/* Takes in one more record of the site, the next after those before; `mono` is now. */
void site_track_apply(struct site_track *t, const struct record *r, int64_t mono);

/* Reads a history backwards, only as far as a track needs: the newest attempt's generation, the
 * newest deployment, and the one before it of another revision. (A hold is younger: who is held is
 * not deployed, but for an attempt that was under way.) That is one record, mostly: the end of a
 * deployment that went well at once says what was before it. Zero is a valid start. */
struct track_reader {
    VEC(struct record); /* newest first */
    bool deployed;      /* one was seen… */
    struct oid to;      /* …of this revision */
};
/* Takes a copy of the next older record. Returns 1 when no more are needed. Shaped for
 * ledger_history(). */
int track_reader_add(const struct record *r, void *track_reader);
/* Folds what was read into a new track and empties the reader. The end of an attempt lies as far
 * back on the mono clock as its record does on the real one, but never in the future. */
void track_reader_finish(struct track_reader *reader, int64_t real, int64_t mono,
                         struct site_track *ret);

/* The track of a site from the ledger. Errors are those of ledger_history(); then nothing is
 * returned. */
int site_track_load(struct ledger *ledger, const char *site, int64_t real, int64_t mono,
                    struct site_track *ret, struct diag *reterr);

#endif
