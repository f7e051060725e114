/* The fleet: what is known of every site at one moment. The reconciler makes a new snapshot
 * whenever something changed and puts it on the board; views and the command line show it.
 * Immutable, shared; snapshots share the sites that did not change between them. */
#ifndef ONWARD_SITE_FLEET_H
#define ONWARD_SITE_FLEET_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "repo/oid.h"
#include "site/site_status.h"

/* A wave of a rollout. */
struct fleet_wave {
    char *name;
    const char *phase; /* "waiting" "moving" "soaking" "stopped" "done"; static */
    size_t sites, arrived, moving, failed, passed; /* the rest has not begun */
    int64_t soaked_at; /* real ns: while soaking, when that ends; else 0 */
};

/* Some of the sites that something holds for, the first by name. */
struct fleet_few {
    size_t all; /* that it holds for */
    VEC(char *) names;
};
#define FLEET_FEW 6 /* names that are kept */
void fleet_few_add(struct fleet_few *few, const char *site);

/* A revision on its way to the sites that desire it; those that it has reached, all of them, are
 * not here. */
struct fleet_rollout {
    struct oid revision;
    size_t open; /* the wave that moves, soaks or has stopped; behind the last: all are done */
    VEC(struct fleet_wave) waves;
    struct fleet_few moving, failed, passed; /* of all waves */
};

struct fleet {
    unsigned refs;
    struct oid head; /* mainline revision that this was decided on; zero: none */
    char *problem;   /* the declaration (or the mainline) is wrong: why nothing moves; NULL */
    char *more;      /* what else is wrong with it, a line each; NULL: nothing */
    int64_t at;      /* real ns, strictly larger with each snapshot */
    char *paused;    /* who paused rollouts, when and why; NULL: nobody */
    VEC(struct fleet_rollout) rollouts;
    VEC(struct site_status *) sites; /* sorted by name */
};

struct fleet *fleet_new(void);
struct fleet *fleet_ref(struct fleet *f);
void fleet_unref(struct fleet *f);
DEFINE_CLEANUP(struct fleet *, fleet_unref)
/* Adds a copy of `like`, behind those with lesser names. */
void fleet_add(struct fleet *f, const struct site_status *like);
/* By name, or NULL. Borrowed. */
const struct site_status *fleet_site(const struct fleet *f, const char *name);

/* The table of `fleet`: header and one aligned line a site, SITE TEAM STATE DEPLOYED DESIRED SINCE;
 * ids abbreviated to 12 digits, "-" where there is none. Before it lines that begin with "#": the
 * problem, the pause, and the rollouts that have a wave which is not done, those that have stopped
 * first; of many, the larger ones. */
void fleet_render(const struct fleet *f, struct buf *out);
/* METRIC_SITE_INFO: a line a site, with its team and the revisions that it runs and should run. */
void fleet_render_metric(const struct fleet *f, struct buf *out);
/* The rollouts as an array of JSON objects: revision, open (name of a wave, or null), waves, and
 * some names: moving, failed, passed. */
json_t *fleet_rollouts_json(const struct fleet *f);

/* Where the newest snapshot hangs. */
struct fleet_board;
struct fleet_board *fleet_board_new(void);
void fleet_board_free(struct fleet_board *b);
/* Takes the reference. Sets f->at. */
void fleet_board_publish(struct fleet_board *b, struct fleet *f);
/* The newest snapshot, yours to unref. Waits until there is a first one, at most 30 s (then an
 * empty one whose problem says so). */
struct fleet *fleet_board_get(struct fleet_board *b);
/* The same without waiting: for what must answer while the first one is being worked out. */
struct fleet *fleet_board_peek(struct fleet_board *b);

#endif
