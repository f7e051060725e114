/* What is known of one site at one moment, as it is shown. Immutable, shared: each is one piece of
 * memory, and whoever has something new to say makes a new one. */
#ifndef ONWARD_SITE_SITE_STATUS_H
#define ONWARD_SITE_SITE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    const char *detail; /* may be NULL */
};

struct site_status {
    unsigned refs;
    const char *name, *team, *backend; /* backend may be NULL */
    const char *source;                /* as declared now */
    struct {
        const char *const *v;
        size_t n;
    } include; /* as declared now */
    enum site_state state;
    struct oid desired, desired_inputs;   /* zero: none (undeclared, unresolvable pin) */
    struct oid deployed, deployed_inputs; /* zero: never */
    const char *deployed_source;          /* source as it was when deployed; NULL: never */
    struct oid previous;                  /* zero: none */
    const char *previous_source;
    uint64_t generation; /* of the newest attempt; 0: none */
    uint64_t deployed_generation;
    int attempt;         /* of that generation; from 1 */
    struct oid from, to; /* while migrating */
    const char *step;    /* while migrating: "apply" "health" "soak" "retry"; else NULL; static */
    int64_t since;       /* real ns: when the state began */
    int64_t deadline; /* real ns: when the running step is given up, or the next retry starts; 0 */
    const char *message; /* last failure, or what drifted, one line; NULL */
    int64_t
        drifted_at; /* real ns: since when what is deployed is known to be changed; 0: it is not */
    struct oid drift_log; /* …what differs, as its backend told it; zero: it did not */
    struct {
        const struct blocked *v;
        size_t n;
    } blocked_by;
};

/* A copy that owns all that it holds; yours. */
struct site_status *site_status_new(const struct site_status *like);
struct site_status *site_status_ref(struct site_status *s);
/* NULL is allowed. */
void site_status_unref(struct site_status *s);
/* Whether the two say the same. */
bool site_status_equal(const struct site_status *a, const struct site_status *b);

/* One site's `status` ("key: value" lines) and `status.json`. Keys in both: site team state desired
 * deployed previous generation attempt step since deadline drifted (since when) message blocked_by
 * inputs backend include (the paths that the site takes besides its source). Absent values are left
 * out of the text and null in JSON; lists are a line for each item, and an array. */
void site_status_render(const struct site_status *s, struct buf *out);
json_t *site_status_json(const struct site_status *s);

#endif
