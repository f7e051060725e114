/* Landing: the one way in which a change of ours becomes a revision of the mainline. A workspace's
 * commit, a proposal that has its approvals and a change that comes from no workspace go through
 * here; they differ in where the change comes from, and in who has to know of it when it lands
 * (struct landing_ops).
 *
 * What it is not: it decides nothing about whose change it is or who may land it, and writes no
 * outcome; who calls it has done the one and does the other.
 *
 * A landing goes in rounds, a round in attempts:
 *
 *           hold           meet_head, take        merge, check          write_revision
 *  (begun) ──────▶ held ────────────────▶ met ─────────────────▶ passed ──────────────▶ written
 *     ▲             ▲ ▲                                          │    │                  │
 *     │ check       │ │                                          │    │ propose          │ announce
 *     │ (nothing is │ │             lost a race                  │    ▼                  ▼
 *     │  held)      │ └──────────────────────────────────────────┼─ (ended)           announced
 *     │             │   settle: the mainline was elsewhere       │                       │
 *     └─────────────┼──── release ◀──────────────────────────────┘                       │ advance,
 *                   │     a command has to be waited for                                 │ settle
 *                   └────────────────────────────────────────────────────────────────────┤
 *                                                                                        ▼
 *                                                                              landed ─▶ (ended)
 *
 * Invariants
 *   L1  What lands has passed the checks as the very tree that it is, merged with the head that it
 *       lands on.
 *   L2  A revision has the head that it was merged with as its only parent, and the mainline moves
 *       to it from there or not at all: nobody else's revision is lost or left out.
 *   L3  Who has to know of the revision has it on disk before the mainline can move to it
 *       (announce), and learns whether it did before anything else happens to the change (settle).
 *   L4  Nothing is held while a command runs. What it has checked is taken anew afterwards; if it,
 *       or head, is another by then, the commands run again.
 *   L5  The bar is that of the head that it lands on: what asks for approvals there does not land
 *       without.
 *   L6  A landing that fails leaves nothing but objects that nobody names, and why it failed, in
 *       lines.
 *
 * Threads: any number of landings at once. They meet only at the compare-and-swap. */
#ifndef ONWARD_STAGE_LANDING_H
#define ONWARD_STAGE_LANDING_H

#include "base/buf.h"
#include "check/check.h"
#include "repo/revision.h"
#include "stage/staging.h"

struct landing;

/* What is to land; all borrowed. */
struct landing_change {
    struct oid base, base_tree; /* what it was made from; zero: nothing */
    struct oid tree;
    const struct signature *author;
    const char *message; /* of the revision */
    bool moves_over;     /* what is new in it is kept by a ref that goes when it has landed */
    bool restores;       /* what sites took: config->survives is asked when it was merged */
};

/* Errors end the landing; but for -EAGAIN their reason stands in landing->reasons. */
struct landing_ops {
    /* A round begins: from now on until release() the change stays as it is. May set
     * landing->change, and check it (-EINPROGRESS). NULL: it never changes. */
    int (*hold)(struct landing *l);
    /* After hold(), also one that failed. NULL: nothing was held. */
    void (*release)(struct landing *l);
    /* An attempt begins: head and the approvals that it asks for are known. Sets landing->change if
     * that depends on them. 1: there is nothing to land. -EAGAIN: begin again. NULL: nothing. */
    int (*take)(struct landing *l);
    /* Instead of landing, where landing->needed approvals are asked for. NULL: it has them. */
    int (*propose)(struct landing *l);
    /* L3: landing->revision may be on the mainline soon. -EAGAIN: begin again. NULL: nobody has to
     * know. */
    int (*announce)(struct landing *l);
    /* After announce(), also one that failed: 0 if it landed, else what was in the way. What it
     * returns is what counts. NULL as announce is. */
    int (*settle)(struct landing *l, int r);
};

struct landing {
    /* Set by who begins it. */
    const struct landing_ops *ops;
    const struct staging_config *config;
    struct checks *checks;
    const char *what;    /* for the ref's log: "commit" */
    struct buf *reasons; /* lines are added to it */
    struct landing_change change;
    /* For all to read. */
    struct batch *batch; /* for what it makes, and takes along; until a ref leads there */
    struct oid head, head_tree, merged; /* zero head: the mainline has no revision yet */
    struct oid revision;
    int needed; /* approvals */
    /* Ours. */
    struct check_input passed, unchecked;
};

/* Lands the change. 0: the mainline has landing->revision, durably. 1: take() said that there is
 * nothing to do, or propose() has done it. Else:
 *   -EINVAL   findings
 *   -EBUSY    conflicts with the mainline, a work tree in the way, or others who are always faster
 *   -ENODATA  the mainline has these changes already
 *   -ENOSPC, -EIO … as they come
 * The caller holds no lock that other requests of the mount need. */
int landing_run(struct landing *l);

/* Merges the change with head and checks the outcome, waiting for commands; nothing moves. Errors
 * as of landing_run(). */
int landing_try(struct landing *l);

/* For hold(): the change passes on its own base, or -EINVAL. */
int landing_check_change(struct landing *l);

/* Adds a line to the reasons, and returns `err`. */
int landing_refuse(struct landing *l, int err, const char *why);
int landing_refuse_diag(struct landing *l, int err, const struct diag *why);

/* 1 if the mainline has the revision, 0 if it has not (or there is no such revision). */
int landing_has_landed(const struct staging_config *config, const struct oid *revision);

/* Adds "behind: N", the steps from head back to `base` (zero: nothing), or "behind: unknown". */
void landing_add_behind(const struct staging_config *config, const struct oid *base,
                        struct buf *out);

/* What METRIC_COMMITS counts a landing under that ended like this. Static. */
const char *landing_label(int r);

#endif
