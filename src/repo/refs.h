/* Refs: a consistent list of all, single reads, and compare-and-swap updates.
 *
 * Refs are read through libgit2, never from files, so packed, loose and symbolic ones are one. */
#ifndef ONWARD_REPO_REFS_H
#define ONWARD_REPO_REFS_H

#include <stdbool.h>
#include <stddef.h>

#include "repo/oid.h"
#include "repo/repo.h"

struct ref {
    char *name;        /* "refs/heads/main" */
    struct oid named;  /* the object that it names */
    struct oid target; /* the commit that it names after peeling tags; zero if it is not a commit */
};

/* All branches, remote branches, tags and refs of our own (refs/onward/); symbolic ones resolved,
 * broken ones left out; sorted by name (strcmp). An immutable, shared snapshot: refs_unref(). */
struct refs {
    struct ref *v;
    size_t n;
};
int refs_load(struct repo *repo, struct refs **ret, struct diag *reterr);
/* The same, looking only at objects of refs that are not as they were in `known`. */
int refs_reload(struct repo *repo, const struct refs *known, struct refs **ret,
                struct diag *reterr);
/* The same, only those whose names begin with `prefix`. */
int refs_load_below(struct repo *repo, const char *prefix, struct refs **ret, struct diag *reterr);
struct refs *refs_ref(struct refs *refs);
void refs_unref(struct refs *refs);
DEFINE_CLEANUP(struct refs *, refs_unref)
/* By full name, or NULL. Borrowed. */
const struct ref *refs_find(const struct refs *refs, const char *name);
/* Index of the first ref whose name is >= prefix; those with the prefix follow in order. */
size_t refs_first(const struct refs *refs, const char *prefix);

/* The commit that the ref names now (peeled). -ENOENT if there is no such ref or it names none. */
int ref_read(struct repo *repo, const char *name, struct oid *ret);
/* Whether the ref leads to a commit that can be read, or is not there at all: 0. -EIO: its file is
 * broken, or what it names is missing, broken or no commit; the reason says what to do. */
int ref_check(struct repo *repo, const char *name, struct diag *reterr);
/* The full name of the branch that HEAD names, born or not ("refs/heads/main"); yours. -ENOENT if
 * HEAD is detached. */
int ref_head_branch(struct repo *repo, char **ret);
/* Moves the ref from `from` (zero: it must not exist) to `to`, if it still is at `from`; durable on
 * return. `why` is the reflog line. -EAGAIN if it is elsewhere; -EBUSY if somebody holds its lock
 * for longer than a second: `reterr` names the file, its age and what to do if nobody does. */
int ref_update(struct repo *repo, const char *name, const struct oid *from, const struct oid *to,
               const char *why, struct diag *reterr);
/* Makes durable where the ref is: for who finds one where an update failed to bring it for sure. */
int ref_sync(struct repo *repo, const char *name, struct diag *reterr);
/* Removes the ref if it is at `from`. 0 if it was not there. */
int ref_delete(struct repo *repo, const char *name, const struct oid *from, struct diag *reterr);

#endif
