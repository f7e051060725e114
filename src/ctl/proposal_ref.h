/* A proposal as the command line refers to it: proposals/<n> in the mount, and its files. */
#ifndef ONWARD_CTL_PROPOSAL_REF_H
#define ONWARD_CTL_PROPOSAL_REF_H

#include "ctl/verb.h"

struct proposal_ref {
    char *number;
    char *dir; /* "proposals/<n>" */
};

/* The one that `operand` names. VERB_USAGE when that is no number, -ENOENT. */
int proposal_ref_find(const struct call *call, const char *operand, struct proposal_ref *ret,
                      struct diag *reterr);
void proposal_ref_done(struct proposal_ref *p);
/* The path of one of its files; yours. */
char *proposal_ref_path(const struct proposal_ref *p, const char *file);

/* What is known of it as JSON: number, author, workspace, owner, revision, base, behind, needed,
 * message, not_merged, and approvals as an array of {by, at, comment}. The result is yours. */
int proposal_ref_json(const struct proposal_ref *p, const struct mountpoint *m, json_t **ret,
                      struct diag *reterr);
/* How many approvals are there still to come (out of proposal_ref_json()). */
int proposal_missing(const json_t *proposal);

/* `onward list --proposals` and `onward show proposal N`. */
int proposals_print(const struct call *call, struct diag *reterr);
int proposal_print(const struct call *call, const char *operand, struct diag *reterr);

#endif
