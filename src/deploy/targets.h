/* What should run: the declaration in force, and for each of its sites the revision and the inputs
 * that the site should have. Computed from the mainline alone; ledgers, backends and clocks do not
 * matter.
 *
 * The revision that everything is decided on (`head`) is the mainline's newest one, unless
 *   - that one's declaration is wrong: then the newest one behind it whose declaration is right;
 *   - the mainline was rewritten: then the one that it was at before, if the repository has that.
 * In both cases the targets are frozen: they are shown, and nothing moves.
 *
 * One thread at a time. */
#ifndef ONWARD_DEPLOY_TARGETS_H
#define ONWARD_DEPLOY_TARGETS_H

#include <stdbool.h>

#include "base/alloc.h"
#include "repo/history_index.h"
#include "repo/refs.h"
#include "repo/repo.h"
#include "site/declaration.h"

struct target {
    const struct site *site; /* of the declaration */
    struct oid desired;      /* zero: there is none, `problem` says why */
    struct oid inputs;
    char *problem; /* NULL: none */
};

struct targets {
    struct oid head;                 /* zero: there is no revision yet */
    struct declaration *declaration; /* NULL: none yet */
    VEC(struct target);              /* one for each site of it, in its order */
    const char *frozen_kind;         /* "declaration" "rewritten"; NULL: not frozen; static */
    char *frozen;                    /* …the reason, or the first of them */
    char *frozen_more;               /* …the others, a line each; NULL: none */
};
void targets_done(struct targets *t);

/* Where the mainline is, and where it was. */
struct targets_source {
    struct repo *repo;
    const struct refs *refs;       /* for pins to tags */
    const char *mainline;          /* the full name of its ref, for messages */
    struct history_index *history; /* spares long walks if it is (nearly) current; may be NULL */
    struct oid head;               /* zero: the mainline has no revision */
    struct oid seen;               /* the high-water mark (ledger_seen); zero: none */
    bool seen_unknown;             /* …there may be one, and it cannot be read */
    const bool *cancel;            /* polled on long walks; may be NULL */
};

/* Takes in where the mainline is now. Costs what changed since the call before; the first one may
 * walk far back. 1: something is different, and what the old targets pointed to is gone; 0: nothing
 * is. -ECANCELED: nothing was done. All other problems become `frozen` or a target's `problem`. */
int targets_update(struct targets *t, const struct targets_source *source);

#endif
