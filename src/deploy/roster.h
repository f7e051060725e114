/* The sites that the reconciler knows, by name: what the ledger says of each, what is asked of it,
 * what runs for it. A site stays known after it is no longer declared, since its attempt may still
 * run, and it may come back.
 *
 * Changes that must be recorded go in transactions: roster_touch() a site before changing it, then
 * roster_commit() once the ledger has it, or roster_rollback(). What is shown is made between
 * transactions only, so nothing shows that is not recorded.
 *
 * One thread at a time. */
#ifndef ONWARD_DEPLOY_ROSTER_H
#define ONWARD_DEPLOY_ROSTER_H

#include "base/map.h"
#include "deploy/attempt.h"
#include "deploy/plan.h"
#include "deploy/targets.h"

struct roster_site {
    char *name;
    /* what a transaction may change */
    struct roster_facts {
        struct site_track track;
        struct attempt *attempt;     /* under way, or ended and not recorded yet */
        struct attempt *observation; /* the same */
        char *retry_by;              /* who asked for `retry`; NULL: nobody since the last start */
    } facts;
    struct roster_facts *saved;  /* inside a transaction: as it was */
    int64_t observed_at;         /* mono: end of the last one; 0: none */
    uint64_t unobservable;       /* generation whose backend cannot tell drift */
    char *broken;                /* the ledger's records of it cannot be read: why; NULL */
    const struct target *target; /* NULL: no longer declared */
    int64_t desired_at;          /* mono: since when the target is what it is */
    struct oid desired, inputs;  /* …for noticing that it changes */
    char *problem;               /* why it cannot move whatever happens; NULL */
    int backend;                 /* index; -1: none here */
    size_t *depends_on;          /* as plan_site wants these… */
    size_t rollout;
    uint64_t waves;
    size_t index;              /* in `sites` */
    struct site_status *shown; /* last; NULL: never */
};

struct roster {
    struct map by_name;        /* struct roster_site * */
    VEC(struct roster_site *); /* those to decide on: the declared ones in the order of the targets,
                                * then what others need an end for their last attempt */
    size_t ndeclared;          /* how many of these are declared */
    struct declaration *declaration;   /* …by this one, the targets' */
    VEC(struct oid) rollouts;          /* the revisions that are desired, by number */
    VEC(struct roster_site *) touched; /* in the transaction */
    struct plan_site *plan;            /* room for the plan's sites: large, and often wanted… */
    size_t plan_room;                  /* …for so many */
};

struct roster_backends {
    const struct backend_config *v;
    size_t n;
};

/* No attempt may run. */
void roster_done(struct roster *r);
/* Makes it follow new targets (which must live until the next call): reads the ledger for sites
 * that are new, and forgets no old one. */
void roster_follow(struct roster *r, const struct targets *targets,
                   const struct roster_backends *backends, struct ledger *ledger);
/* Reads the track of every site again that has no attempt here: for a host that only shows what
 * another one does, and for a ledger that somebody else has moved. */
void roster_reload(struct roster *r, struct ledger *ledger);
/* What is under way for the site, an attempt or an observation; NULL: nothing. */
struct attempt *roster_attempt(const struct roster_site *s);
/* By name, if it is declared, or NULL. */
struct roster_site *roster_find(const struct roster *r, const char *name);
/* The sites as plan_make() takes them, as many as the roster has; borrowed, until anything changes
 * or this is called again. `others`: another process reconciles, so what is open runs there. */
const struct plan_site *roster_plan(struct roster *r, bool others);

void roster_touch(struct roster *r, struct roster_site *s);
void roster_commit(struct roster *r);
void roster_rollback(struct roster *r);

#endif
