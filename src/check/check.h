/* Checks over one immutable tree: what was checked is what is committed, by id.
 *
 * Built in, and always run: `declaration` (onward.yaml is right, and the directories that it names
 * exist), `conflict-markers` (no conflict that Git has marked is left in a text file) and `size`
 * (no file is larger than the host's limit). Built in, and run when the declaration names them or
 * has no `checks:`: `yaml` and `json` (every file of that kind parses; several YAML documents in a
 * file are fine; duplicate keys are a finding). Every other name is that of a command in the host's
 * configuration, or a finding in the change that first names it.
 *
 * Only what differs between `base` and `tree` is looked at: a commit is not refused for what was
 * wrong before it. Of commands that look at the whole tree, that is theirs to say. Symlinks are not
 * followed, and built-in checks but `size` pass over files of more than CHECK_FILE_SIZE bytes: they
 * are data, and a limit on what a commit costs.
 *
 * The checks of one tree run beside each other, in threads of their own, so no tree waits for the
 * checks of another. What they said is kept (results.h) and answers for the same tree and base
 * again, and for all that a command cannot tell from them (inputs.h); not what was cut short.
 *
 * Threads: checks_run() and checks_end() from any. A command reads its tree through the mount: who
 * waits for one must not hold what other requests of the mount need (see CHECK_NO_WAIT). */
#ifndef ONWARD_CHECK_CHECK_H
#define ONWARD_CHECK_CHECK_H

#include <stdbool.h>

#include "base/diag.h"
#include "base/finding.h"
#include "check/check_config.h"
#include "repo/oid.h"
#include "repo/repo.h"

#define CHECK_FILE_SIZE (16 << 20)
#define CHECK_WAITING   64 /* how many may wait for commands at once */

struct checks_config {
    struct repo *repo;
    const struct check_config *host; /* what the host offers; outlives the checks */
    size_t nhost;
    /* The directory in which `<id>` is the tree of that id, as files; absolute. NULL: none, so no
     * command can be started. */
    const char *trees;
    uint64_t most_file_size; /* bytes; 0: any */
};

struct checks;

struct checks *checks_new(const struct checks_config *config);
/* Stops commands that run; from now on, who would need one gets -ECANCELED. NULL is allowed. */
void checks_end(struct checks *c);
/* Nobody may be inside. NULL is allowed. */
void checks_free(struct checks *c);

/* What is checked: `tree`, as a change of `base` (zero: of nothing; everything is new). */
struct check_input {
    struct oid base, tree;
};

enum check_flags {
    CHECK_NO_WAIT = 1 << 0, /* rather than wait for a command: -EINPROGRESS, nothing is added */
};

/* Adds what the checks that the declaration in `tree` names object to. 0 also when they do; an
 * error only when they could not be run: -EBUSY (CHECK_WAITING wait already), -ECANCELED, and those
 * of reading the repository. */
int checks_run(struct checks *c, const struct check_input *in, unsigned flags, struct findings *ret,
               struct diag *reterr);

/* Is this the name of a check that every host has? */
bool check_is_builtin(const char *name);

/* How many approvals a change to the mainline with this tree needs (`review.approvals`); 0 without
 * a usable declaration, so that one that is wrong can be mended. `tree` zero: 0. */
int check_approvals(struct repo *repo, const struct oid *tree);

#endif
