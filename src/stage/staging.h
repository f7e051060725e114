/* Staging: writable workspaces, each based on a revision, each on its way to one commit.
 *
 * This is what the rest of the daemon sees: the node `staging/`. workspace.h holds one workspace,
 * overlay.h its file tree, commit.h its way into the mainline.
 *
 * Invariants: what an fsync acknowledged survives kill -9 and power loss; after a failed commit the
 * workspace is exactly as it was; two workspaces never block each other; a commit is on the
 * mainline whole or not at all. */
#ifndef ONWARD_STAGE_STAGING_H
#define ONWARD_STAGE_STAGING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/diag.h"
#include "check/check_config.h"
#include "repo/mainline.h"
#include "repo/revision.h"
#include "tree/node.h"

struct staging_config {
    struct repo *repo;
    struct mainline *mainline;
    struct node_table *table;
    const char *state_dir; /* ours alone; exists; workspaces live in <state_dir>/workspaces */
    const char *host;      /* for the committer and default addresses */
    /* Name and address of a user, for authors; both yours. NULL: the account's name, <name@host>.
     */
    void (*identity)(uid_t uid, char **ret_name, char **ret_email, void *arg);
    void *identity_arg;
    /* May the mainline take a commit on top of `head` (zero: it has none)? 0, or -errno with the
     * reason: it was rewritten. NULL: always. */
    int (*admit)(const struct oid *head, void *arg, struct diag *reterr);
    void *admit_arg;
    /* May a change that restores what sites took (TRAILER_RESTORES) land as `merged` with what came
     * after `base`? All are trees. -EBUSY with the reason: it would restore something else. NULL:
     * always. */
    int (*survives)(struct repo *repo, const struct oid *base, const struct oid *restored,
                    const struct oid *merged, struct diag *reterr);
    const struct check_config *checks; /* what the host offers; outlives the staging area */
    size_t nchecks;
    const char *mountpoint;  /* where checks see the trees that they look at; NULL: nowhere */
    uint64_t root_ino;       /* inode number of `staging` */
    bool shared;             /* others than the owner may see the mount (allow_other) */
    int most_workspaces;     /* limits, from the host's configuration */
    uint64_t most_file_size; /* bytes */
    uint64_t most_workspace_size;
};

struct staging;
struct proposals;

/* Opens the staging area: finds the workspaces that there are (without reading them), finishes or
 * undoes commits that a crash interrupted. */
int staging_new(const struct staging_config *config, struct staging **ret, struct diag *reterr);
/* What a process that served the mount before has told the kernel, as the node table has it, keeps
 * its inode numbers (numbers.h). Before there are requests. NULL is allowed. */
void staging_inherit(struct staging *s);
/* The mount is about to end: checks that run, and look at it, are stopped; commits that wait for
 * them fail. NULL is allowed. */
void staging_end(struct staging *s);
/* After the mount has ended, before node_table_free(): what the kernel still knows of it goes with
 * the table. */
void staging_free(struct staging *s);
/* The directory node of `staging/`. Borrowed. */
struct node *staging_root(struct staging *s);
/* The open proposals of the repository. Borrowed. */
struct proposals *staging_proposals(struct staging *s);

/* A change that comes from no workspace. All borrowed. */
struct staging_change {
    struct oid base; /* the revision that it was made from; zero: none */
    struct oid tree; /* as it is to be; in the repository, durable */
    const struct signature *author;
    const char *message; /* of the revision, with its trailers; ends in a newline */
    bool exact;          /* lands on `base`, or not at all: it is not merged with what came after */
};
/* What has become of it: the one or the other. */
struct staging_landed {
    struct oid revision;
    uint64_t proposal; /* its number; 0: it is on the mainline */
};
/* Lands the change as a commit of a workspace lands (landing.h): merged with head, checked, and on
 * the mainline by compare-and-swap; or, where head asks for approvals, as a proposal of its
 * author's (the one that is open for the same change, if there is one). 0 when it is durable. Else
 * nothing has happened, and `reasons` (borrowed) has why, in lines:
 *   -EINVAL   findings, or a message that claims approvals
 *   -EBUSY    conflicts with the mainline, or a work tree in the way
 *   -ENODATA  the mainline has it already
 *   -ESTALE   it is exact, and the mainline is elsewhere
 *   -EDQUOT   too many proposals are open
 * and others as they come. Waits for commands of the host; from any thread that holds nothing that
 * requests of the mount need. */
int staging_land(struct staging *s, const struct staging_change *change, struct staging_landed *ret,
                 struct buf *reasons);

#endif
