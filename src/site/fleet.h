/* The fleet: what is known of every site at one moment. The reconciler makes a new snapshot
 * whenever something changed and puts it on the board; views and the command line show it.
 * Immutable, shared. */
#ifndef ONWARD_SITE_FLEET_H
#define ONWARD_SITE_FLEET_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "repo/oid.h"

enum site_state {
    SITE_UNKNOWN, /* never deployed, and nothing is under way */
    SITE_PENDING,
    SITE_MIGRATING,
    SITE_IN_SYNC,
    SITE_DRIFTED,
    SITE_FAILED,
    SITE_STALLED,
    SITE_HELD,
    SITE_SUSPENDED,
    SITE_STATES
};
/* "unknown", "in-sync", … */
const char *site_state_name(enum site_state s);

/* Why a site does not move. */
struct blocked {
    const char *kind; /* wave pause hold suspend dependency verification declaration rewritten lease
                       * unreachable; static */
    char *detail;
};

struct site_status {
    char *name, *team, *backend; /* backend may be NULL */
    char *source;                /* as declared now */
    VEC(char *) include;         /* as declared now */
    enum site_state state;
    struct oid desired, desired_inputs;   /* zero: none (undeclared, unresolvable pin) */
    struct oid deployed, deployed_inputs; /* zero: never */
    char *deployed_source;                /* source as it was when deployed; NULL: never */
    struct oid previous;                  /* zero: none */
    char *previous_source;
    uint64_t generation; /* of the newest attempt; 0: none */
    uint64_t deployed_generation;
    int attempt;         /* of that generation; from 1 */
    struct oid from, to; /* while migrating */
    const char *step;    /* while migrating: "apply" "health" "soak" "retry"; else NULL; static */
    int64_t since;       /* real ns: when the state began */
    int64_t deadline; /* real ns: when the running step is given up, or the next retry starts; 0 */
    char *message;    /* last failure, or what drifted, one line; NULL */
    int64_t
        drifted_at; /* real ns: since when what is deployed is known to be changed; 0: it is not */
    struct oid drift_log; /* …what differs, as its backend told it; zero: it did not */
    VEC(struct blocked) blocked_by;
};

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
    int64_t at;      /* real ns, strictly larger with each snapshot */
    char *paused;    /* who paused rollouts, when and why; NULL: nobody */
    VEC(struct fleet_rollout) rollouts;
    VEC(struct site_status) sites; /* sorted by name */
};

struct fleet *fleet_new(void);
struct fleet *fleet_ref(struct fleet *f);
void fleet_unref(struct fleet *f);
DEFINE_CLEANUP(struct fleet *, fleet_unref)
/* By name, or NULL. Borrowed. */
const struct site_status *fleet_site(const struct fleet *f, const char *name);

/* The table of `fleet`: header and one aligned line a site, SITE TEAM STATE DEPLOYED DESIRED SINCE;
 * ids abbreviated to 12 digits, "-" where there is none. Before it lines that begin with "#": the
 * problem, the pause, and the rollouts that have a wave which is not done, those that have stopped
 * first; of many, the larger ones. */
void fleet_render(const struct fleet *f, struct buf *out);
/* The rollouts as an array of JSON objects: revision, open (name of a wave, or null), waves, and
 * some names: moving, failed, passed. */
json_t *fleet_rollouts_json(const struct fleet *f);
/* One site's `status` ("key: value" lines) and `status.json`. Keys in both: site team state desired
 * deployed previous generation attempt step since deadline drifted (since when) message blocked_by
 * inputs backend include (the paths that the site takes besides its source). Absent values are left
 * out of the text and null in JSON; lists are a line for each item, and an array. */
void site_status_render(const struct site_status *s, struct buf *out);
json_t *site_status_json(const struct site_status *s);

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
