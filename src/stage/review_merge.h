/* The last step of a review: a proposal that has its approvals becomes a revision, on the way that
 * a commit takes: merged with head, checked, and on the mainline by compare-and-swap. */
#ifndef ONWARD_STAGE_REVIEW_MERGE_H
#define ONWARD_STAGE_REVIEW_MERGE_H

#include "base/buf.h"
#include "stage/proposals.h"

/* Merges the proposal if it has as many approvals as head asks for; 0 also if not, or if it has
 * ended meanwhile. The workspace that it came from, if it is unchanged, is clean on the revision.
 * Errors as of review_approve(); the proposal stays, with its approvals, and why is to be read from
 * proposals_reason(). The caller holds no lock. */
int review_merge(struct proposals *s, uint64_t number);

/* Adds what stands in the way of a merge now: conflicts and findings, a line each. Commands of the
 * host are waited for. */
int review_obstacles(struct proposals *s, struct proposal *p, struct buf *out);

#endif
