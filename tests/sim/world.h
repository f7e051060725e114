/* A world for the decision function to act in: sites, a mainline, backends, an operator, crashes
 * and clocks, all of them made up from a seed. Time is a number; nothing waits, nothing is read or
 * written. The same seed gives the same run.
 *
 * The world carries out plans as deploy/reconcile.c does: records first, then the start, and what
 * cannot be recorded has not happened. What it must never do is decide; invariants.c checks what
 * was decided, from the records and not from the tracks that the plan was made of. */
#ifndef ONWARD_TESTS_SIM_WORLD_H
#define ONWARD_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "deploy/plan.h"
#include "deploy/site_track.h"

struct history {
    VEC(struct record); /* oldest first */
};

struct sim_site {
    char name[32];
    bool declared;
    int revision, inputs; /* the target: numbers, see sim_oid(); -1: none */
    bool pinned, suspend, misconfigured, self_heal;
    int backend;
    uint64_t fits; /* waves that may take it */
    size_t depends[2];
    const char *depend_names[2];
    size_t ndepends;
    int64_t desired_at;
    bool retry_asked;
    bool bent;              /* somebody has changed what was deployed */
    struct history history; /* the ledger */
    struct site_track track;
    /* what is done for it */
    bool attempt;           /* one is under way */
    enum backend_verb call; /* that runs */
    bool stopping;
    int64_t ends_at; /* of the call */
    enum backend_end end;
    int asked;
    int64_t health_at, health_until, observed_at;
    uint64_t unobservable;
};

struct sim_backend {
    struct plan_backend plan;
    int64_t slowest;                          /* ns a call may take */
    int failing, later, stalling, timing_out; /* percent of the calls */
    bool knows_health, knows_observe;
};

struct world {
    uint64_t seed, random;
    struct sim_site *sites;
    size_t nsites;
    struct sim_backend backends[3];
    struct wave waves[5];
    size_t nwaves;
    int max_failures;
    int64_t mono, real;
    int head;                /* number of the mainline's newest revision */
    const char *frozen_kind; /* NULL: nothing */
    bool paused;
    bool readonly;
    bool ledger_broken; /* nothing can be recorded */
    bool calm;          /* no more misfortunes */
    int64_t wake_at;
    uint64_t digest; /* of everything that was decided */
    long starts, steps;
    bool trace;
};

void world_init(struct world *w, uint64_t seed, bool trace);
void world_done(struct world *w);
/* One event, then decisions until there is nothing to do. */
void world_step(struct world *w);
/* Ends all misfortune, lets time pass until nothing moves, and checks that everything arrived. */
void world_settle(struct world *w);

/* A number below `n`. */
uint64_t world_random(struct world *w, uint64_t n);
/* Ids for the numbers of the world; -1 is zero. `space` keeps kinds apart. */
struct oid sim_oid(int number, int space);

/* Ends the program, with the seed, if `holds` is false. */
void world_check(const struct world *w, bool holds, const char *invariant, const char *site);

#endif
