/* Walks one host's chain of commits from its tip to its root and says what is wrong with it.
 *
 * What append_write() makes has these properties, and each that does not hold is a finding:
 *
 *  A1  every object is there and is what it says it is (ids are verified by who reads them)
 *  A2  a commit has one parent at most, and changes the newest records and logs of sites, and
 *      fleet.json, nothing else: it takes nothing away, and puts each where it belongs
 *  A3  a record names, as the one before it, the record that its file held in the commit before;
 *      so a record that was removed, edited or slipped in breaks the next one of its site, and
 *      whoever mends that too has written every commit from there on anew, with another id (A6)
 *  A4  a record is of the site whose file it is in and of the chain's host, in a format that is
 *      known, and its generation is not lower than that of the one before it
 *  A5  a commit's message is the journal of its records
 *  A6  the newest commit that this host has seen of the chain (marks.h) is in it
 *
 * One commit, its parent and the newest generation of each site are in memory at a time. Private to
 * the ledger; one thread. */
#ifndef ONWARD_LEDGER_AUDIT_H
#define ONWARD_LEDGER_AUDIT_H

#include "ledger/chain.h"
#include "ledger/ledger.h"

/* Audits the chain `ref` that ends in `tip`; `mark`: what was last seen of it, zero: nothing.
 * Findings go to `each` until it returns non-zero, which is returned; counts are added to `totals`.
 */
struct audit_chain {
    struct repo *repo;
    const char *ref;
    struct oid tip, mark;
    int (*each)(const struct ledger_finding *f, void *arg);
    void *arg;
    struct ledger_totals *totals;
};
int audit_run(const struct audit_chain *chain);

#endif
