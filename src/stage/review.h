/* Review: who may do what with a proposal, and what it leads to. proposals.h takes the steps,
 * review_merge.h the last one.
 *
 * How many approvals a change needs is what head's declaration says when it is merged, so that a
 * change cannot lower its own bar: also one that changes `review` needs as many as head asks for,
 * and counts from then on. */
#ifndef ONWARD_STAGE_REVIEW_H
#define ONWARD_STAGE_REVIEW_H

#include "stage/proposals.h"
#include "stage/workspace.h"

/* A workspace's tree, on its way to be proposed by its owner or root. */
struct review_change {
    const struct oid *tree;
    const char *message;
    const struct signature *author;
    int needed; /* approvals */
};

/* Makes it a proposal, or the new content of the one that the workspace has already; durable. Adds
 * what has become of it to `outcome`, in lines. The workspace is frozen. */
int review_propose(struct workspace *ws, const struct review_change *change, struct buf *outcome,
                   struct diag *reterr);
/* Is this tree of the workspace proposed already? It is frozen. */
bool review_has(struct workspace *ws, const struct oid *tree);
/* As review_propose(), for what proposals_put() takes: a change that may come from no workspace.
 * *ret is the number. */
int review_put(struct proposals *s, const struct proposal *what, int needed, uint64_t *ret,
               struct buf *outcome, struct diag *reterr);
/* The workspace's tree has become that revision without a review: its proposal, if it has one, has
 * ended as that. */
void review_overtaken(struct workspace *ws, const struct oid *revision);

/* The id by which proposals know the workspace; yours. -ENOENT: it has proposed nothing yet. */
int review_id(const struct workspace *ws, char **ret);

/* Approves, and merges when that was the last approval that it needs. `line`: the full id of the
 * content that is approved, or any comment. 0 also when this person has approved already; then the
 * merge is tried again.
 *   -EACCES  this person's own proposal
 *   -ESTALE  it has ended, or has another content than `line` says
 *   -EBUSY   approved, but it conflicts with the mainline
 *   -EINVAL  approved, but the checks have findings on what the mainline would be
 *   -ENODATA approved, but the mainline has these changes already
 * and others as a commit. */
int review_approve(struct proposals *s, uint64_t number, const struct caller *who,
                   const char *line);
/* Ends it: its author, the owner of its workspace, the mount's owner or root. -EACCES, -ESTALE. */
int review_withdraw(struct proposals *s, uint64_t number, const struct caller *who);
/* How many approvals a proposal needs as of now; at least one. */
int review_needed(struct proposals *s);

#endif
