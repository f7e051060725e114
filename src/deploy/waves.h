/* Waves: in which order the sites of a rollout move. PURE, as plan.h, of which it is a part.
 *
 * A rollout is all sites whose desired revision is the same one: the sites that a revision touched
 * and no newer one has touched since. So each revision makes its own way, a newer one takes its
 * sites over at once, and what counts for a wave is only what happened at its own revision. Nothing
 * is remembered of a rollout: where it is follows from the declaration and the ledger, after a
 * restart as before.
 *
 * The waves of the declaration are filled one after the other: with the sites that have begun, then
 * with others, each time in the order of their names, as many as the wave's count or share (of the
 * rollout's sites) says; without either, all that match. The last wave takes all that are left.
 * Sites that are passed over (below) take up no room.
 *
 * What a site is to its wave, by the first line that holds:
 *
 *   arrived   its newest attempt deployed exactly the target
 *   moving    an attempt at the target is under way
 *   passed    held, suspended, or not able to move. It is not waited for, and catches up when it
 *             can, in the first wave that has room
 *   failed    its newest attempt was at the target and the last
 *   passed    waiting for a site that it depends on; or unreachable: its backend asked for later
 *   moving    another attempt at the target follows
 *   fresh     everything else
 *
 * A wave is stopped while more than max_failures of its sites have failed; moving while sites are
 * moving or fresh; soaking until the one that arrived last has soaked; then done. The first wave
 * that is not done is the open one, and those behind it wait. A fresh site starts only in the open
 * wave, while that is moving and fewer than max_unavailable of its sites are moving or failed.
 *
 * Invariants, cited by number in the tests:
 *
 *   W1  Each site of a rollout is in one wave; a wave that has a count or share, other than the
 *       last, holds no more sites that are not passed over.
 *   W2  A fresh site starts only if every earlier wave is done.
 *   W3  No fresh site starts in a rollout with a wave that is stopped.
 *   W4  Sites that are passed over are waited for by nobody.
 *   W5  Of a wave's sites, no more than max_unavailable become moving or failed by a start.
 *   W6  What happens at one revision neither opens nor stops a wave of another. */
#ifndef ONWARD_DEPLOY_WAVES_H
#define ONWARD_DEPLOY_WAVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "site/declaration.h"

enum standing {
    STANDING_FRESH,
    STANDING_MOVING,
    STANDING_ARRIVED,
    STANDING_FAILED,
    STANDING_PASSED
};

/* A site, as waves see it. */
struct wave_site {
    enum standing standing;
    size_t rollout;  /* below `nrollouts`; WAVES_NONE: it has no target */
    uint64_t fits;   /* bit k: wave k may take it */
    int64_t arrived; /* mono: since when, if it has */
};
#define WAVES_NONE SIZE_MAX

enum wave_phase { WAVE_WAITING, WAVE_MOVING, WAVE_SOAKING, WAVE_STOPPED, WAVE_DONE, WAVE_PHASES };
/* "waiting", "moving", … */
const char *wave_phase_name(enum wave_phase phase);

struct wave_view {
    enum wave_phase phase;
    size_t sites, arrived, moving, failed, passed; /* the rest is fresh */
    size_t room;                                   /* fresh sites that may start now */
    int64_t soaked_at; /* mono: when the last one that arrived has soaked */
};

/* A rollout that has not come to its end: not all of its sites have arrived and soaked. */
struct rollout_view {
    size_t rollout;
    size_t open;             /* the first wave that is not done; nwaves: all are */
    struct wave_view *waves; /* one for each of the declaration */
};

struct waves_input {
    const struct wave *waves; /* of the declaration */
    size_t nwaves;            /* 1 to WAVES_MOST */
    int max_failures;
    const struct wave_site *sites; /* in the order of their names */
    size_t nsites, nrollouts;
    int64_t now; /* mono */
};

struct waves {
    VEC(struct rollout_view);
    unsigned char *wave;        /* of each site whose rollout has a view */
    struct rollout_view **view; /* of each rollout; NULL: it has come to its end */
};

void waves_make(const struct waves_input *in, struct waves *ret);
void waves_done(struct waves *w);

#endif
