/* A proposal: a change that waits for approvals, as it is kept in the repository.
 *
 * refs/onward/proposals/<n> names the newest of its records, commits of which each is the first
 * parent of the next. All of them have the proposed tree:
 *
 *   content   parent: the base. Author: who proposed it. Message: what the revision is to say and,
 *             as its last paragraph, fields that say whose it is. A commit without these fields is
 *             a proposal that comes from no workspace, as those that somebody made with Git; then
 *             the whole message is the revision's.
 *   approval  author: who approved. Message: the comment, and which content is meant.
 *   closing   says that the proposal was withdrawn, or as which revision it is being merged.
 *
 * A change of the content is a new content record without the approvals of the old one. What
 * cannot be read this way is no proposal, whoever pushed it. Who may push to these refs can make
 * approvals up, just as who may push to the mainline needs none.
 *
 * People are told apart by address, without regard to case: the one part of an identity that its
 * owner cannot change. A proposal is of its author and of the workspace's owner: neither of them
 * can approve it. Immutable once loaded; counted, so that many can read one. */
#ifndef ONWARD_STAGE_PROPOSAL_H
#define ONWARD_STAGE_PROPOSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "repo/revision.h"

#define PROPOSAL_REFS           "refs/onward/proposals/"
#define PROPOSAL_APPROVALS_MOST 100   /* as many as a declaration can ask for */
#define PROPOSAL_MESSAGE_MOST   81920 /* bytes with the fields; a longer one is no proposal */

struct approval {
    struct oid record;
    struct signature who;
    char *comment; /* "" when there is none */
};

enum proposal_state {
    PROPOSAL_OPEN,
    PROPOSAL_MERGING,   /* `as` is the revision; merged if the mainline has it */
    PROPOSAL_WITHDRAWN, /* its ref only has to go yet */
};

struct proposal {
    unsigned refs;
    uint64_t number;
    struct oid tip;
    enum proposal_state state;
    struct oid before; /* the record before the closing one */
    struct oid as;
    struct oid content, tree;
    struct oid base, base_tree; /* zero: none */
    struct signature author;
    char *message; /* of the revision */
    /* NULL, all three, in one that comes from no workspace. */
    char *workspace, *owner; /* a name; "Name <address>" */
    char *id;                /* of the workspace: names may be used again */
    VEC(struct approval) approvals;
};

/* The number in the name of a ref, 0 if it names no proposal. */
uint64_t proposal_number(const char *ref);
/* The name of the ref; yours. */
char *proposal_ref_name(uint64_t number);

/* Reads the records from `tip` on. -EINVAL: it is none, `reterr` says why; -EIO. */
int proposal_load(struct repo *repo, uint64_t number, const struct oid *tip, struct proposal **ret,
                  struct diag *reterr);
struct proposal *proposal_ref(struct proposal *p);
void proposal_unref(struct proposal *p);
DEFINE_CLEANUP(struct proposal *, proposal_unref)

/* Is this person its author, or the owner of its workspace? */
bool proposal_is_of(const struct proposal *p, const struct signature *who);
/* The approval by this person, or NULL. */
const struct approval *proposal_approval_by(const struct proposal *p, const struct signature *who);

/* The messages of records; yours. `like` gives message, number and fields. */
char *proposal_content_text(const struct proposal *like);
char *proposal_approval_text(uint64_t number, const struct oid *content, const char *comment);
char *proposal_merging_text(uint64_t number, const struct oid *as);
char *proposal_withdrawal_text(uint64_t number, const struct oid *content);
/* The message of the revision that it becomes: with an Approved-by trailer for each approval. */
char *proposal_revision_text(const struct proposal *p);

/* "Name <address>", of one harmless line; yours. */
char *signature_text(const struct signature *s);
/* Value of the field `key` ("Onward-Proposal") in the last paragraph of a message; NULL. Yours. */
char *proposal_field(const char *message, const char *key);

#endif
