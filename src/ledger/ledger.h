/* The ledger: the append-only history of deployments, kept in the repository. Each host writes its
 * own chain of commits under refs/onward/ledger/<host>; the union of all chains is the ledger.
 *
 * Format. The tree of a ledger commit is sites/<xx>/<site>.json (xx: first two hex digits of the id
 * that the site's name has as a blob), the site's newest record on that host, and logs/<xx>/<site>,
 * the output of its newest attempt. A record names the blob of the one before it ("previous"), so a
 * site's history is read in as many reads as it has entries, and a changed or missing record breaks
 * the chain. The commit message is a journal: one line a record.
 *
 * Beside the sites' chains there is the fleet's: fleet.json, for what concerns no one site but the
 * rollout or the mainline (paused, resumed, accepted). Its records are like the others, of the site
 * RECORD_FLEET, chained in the same way, and appended and read by the same functions:
 *
 *     struct record r = {.site = xstrdup(RECORD_FLEET), .kind = RECORD_PAUSED, .to = target,
 *                        .by = xstrdup(who), .message = xstrdup(why), .exit = -1,
 *                        .at = clock_real()};
 *     int err = ledger_append(l, &r, 1, reterr);
 *     …
 *     ledger_history(l, RECORD_FLEET, take_newest_pause_or_resume, &state, reterr);
 *
 * Held, released and rollback are records of a site, with the site's generation as it is: they do
 * not begin one. `by` and `message` say who and why; nothing of the ledger's reads them.
 *
 * Group commit. Appends that come while a commit is being written wait for it and share the next
 * one, whoever they come from; order is that of the calls. So the cost of durability is shared by
 * all that come within a commit's time (some milliseconds), and nobody waits longer than two of
 * them. A commit that fails fails every append in it, with the reason, and nothing of it is there;
 * the next one begins anew.
 *
 * Set back. A chain that does not hold the commit that this host has seen it at (ledger_keep_marks)
 * is appended to no more: what it lost would be covered up, and could not be put back. When it
 * holds it again, all goes on. A person may accept what is left instead, by a record of the fleet,
 * RECORD_ACCEPTED, which is appended all the same; what was lost is kept like ledger_keep() does,
 * if it is there at all.
 *
 * Invariants: a record is durable before ledger_append() returns; nothing is ever rewritten or cut;
 * a site's generation never falls, over all hosts. Threads: any. */
#ifndef ONWARD_LEDGER_LEDGER_H
#define ONWARD_LEDGER_LEDGER_H

#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "ledger/record.h"
#include "repo/history_index.h"
#include "repo/oid.h"
#include "repo/repo.h"

struct ledger;
/* `host` becomes a part of a ref name; characters that Git refuses there are replaced by '-'. */
int ledger_open(struct repo *repo, const char *host, struct ledger **ret, struct diag *reterr);
void ledger_free(struct ledger *l);
DEFINE_CLEANUP(struct ledger *, ledger_free)

/* Appends all in one commit, in order; several of one site are chained. Sets previous and oid (and
 * host) in each. Durable on return, or nothing was appended. -ESTALE: our chain was set back. */
int ledger_append(struct ledger *l, struct record *records, size_t n, struct diag *reterr);

/* Calls `each` for the records of a site, newest first over all hosts, until it returns non-zero
 * (which is returned) or the history ends. The record is borrowed. -EIO: the chain is broken there;
 * -EPROTONOSUPPORT: the next record is of a newer format, so nobody here can decide by what came
 * before it; both with the reason, the record and its chain named. */
int ledger_history(struct ledger *l, const char *site,
                   int (*each)(const struct record *r, void *arg), void *arg, struct diag *reterr);
/* Calls `each` for the site's generations behind `after`, oldest first, records before the first
 * deployment (generation 0) not among them, until it returns non-zero (which ends it). Cheap when
 * asked again: what was read is kept for a while. -EIO: older ones cannot be read. */
int ledger_generations(struct ledger *l, const char *site, uint64_t after,
                       int (*each)(uint64_t generation, void *arg), void *arg);
/* Calls `each` for the records of one generation of the site, newest first, those of newer formats
 * (RECORD_NEWER) among them, until it returns non-zero (which is returned). As cheap. -ENOENT: it
 * has none; -EIO. */
int ledger_generation(struct ledger *l, const char *site, uint64_t generation,
                      int (*each)(const struct record *r, void *arg), void *arg);
/* Calls `each` with the name of every site that has a record on any host. -EIO. */
int ledger_sites(struct ledger *l, int (*each)(const char *site, void *arg), void *arg);
/* Takes in what other hosts' chains have gained, and tells whether every chain still holds what
 * this host has seen of it (marks.h). -ESTALE: one was set back, or is gone, with the reason and
 * what to do; others: it cannot be told. */
int ledger_holds(struct ledger *l, struct diag *reterr);

/* One thing that is wrong with the ledger: of a commit, or of the record of a site in it. */
struct ledger_finding {
    const char *host;  /* whose chain, as in the name of its ref */
    struct oid commit; /* zero: there is none to name */
    const char *site;  /* NULL: of no one site; RECORD_FLEET: of the fleet */
    uint64_t generation;
    const char *what; /* one line */
};
struct ledger_totals {
    uint64_t chains, commits, records, findings;
};
/* Walks the chains of all hosts as they are now, every commit and every record, and calls `each`
 * for what is wrong (see audit.h), until it returns non-zero (which is returned). Takes as long as
 * the ledger is large. */
int ledger_verify(struct ledger *l, int (*each)(const struct ledger_finding *f, void *arg),
                  void *arg, struct ledger_totals *ret, struct diag *reterr);
/* Keeps, in the file `path`, where each chain was last seen, and compares with what it has: a chain
 * that was set back is logged, and found by ledger_holds() and ledger_verify() until it is
 * accepted. Once, before the first append. */
int ledger_keep_marks(struct ledger *l, const char *path, struct diag *reterr);

/* The high-water mark (seen.h): the newest mainline revision that this host has taken in, kept as
 * the ref refs/onward/seen/<host> and in a file of the state directory; either may be lost. It
 * only moves to descendants, so that everything that was ever deployed from the mainline stays
 * in the repository, and a mainline that was rewritten, or a repository that was replaced by an
 * older copy, is noticed after a restart.
 *
 * Keeps it in the file `path`, too. Once, before the functions below. */
struct ledger_mainline {
    const char *branch;            /* "refs/heads/main" */
    struct oid head;               /* zero: it has no revision */
    struct history_index *history; /* spares a long walk; for as long as the ledger; may be NULL */
};
int ledger_keep_seen(struct ledger *l, const char *path, const struct ledger_mainline *mainline,
                     struct diag *reterr);
/* The mark that a mainline at `head` (zero: it has no revision) has to hold. -ENOENT while there is
 * none; other errors: it cannot be read, and nothing may be concluded from that. */
int ledger_seen(struct ledger *l, const struct oid *head, struct oid *ret);
/* Whether a mainline at `head` (zero: it has no revision) still holds the mark `seen` (zero: there
 * is none yet). 0, or -ESTALE with the reason and what to do, also when the repository does not
 * have the mark at all. */
int ledger_seen_holds(struct repo *repo, const struct oid *seen, const struct oid *head,
                      struct diag *reterr);
/* Moves the mark to `rev`. -ESTALE, and nothing changed: `rev` is not a descendant of it. */
int ledger_see(struct ledger *l, const struct oid *rev, struct diag *reterr);
/* Moves the mark to `rev` whatever it was at: an operator has accepted a mainline that was
 * rewritten. What it was at, and so all that a site of the old one runs or ran, is kept as
 * ledger_keep() does. */
int ledger_accept(struct ledger *l, const struct oid *rev, struct diag *reterr);
/* Keeps `rev`, which need not be on the mainline (a pin), in the repository: refs/onward/kept/<id>.
 */
int ledger_keep(struct ledger *l, const struct oid *rev, struct diag *reterr);

#endif
