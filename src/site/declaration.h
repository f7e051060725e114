/* The declaration: what `onward.yaml` in the root of a revision says of sites, rollout, review,
 * checks. Immutable once loaded, shared by reference count. Knows nothing of ledgers or backends: a
 * site names its backend, and only the host's configuration says what that is.
 *
 * Errors in the file are findings with line and column, all of them at once; a declaration with
 * findings is not returned. */
#ifndef ONWARD_SITE_DECLARATION_H
#define ONWARD_SITE_DECLARATION_H

#include <stdbool.h>

#include "base/finding.h"
#include "repo/history_index.h"
#include "repo/oid.h"
#include "repo/repo.h"

#define DECLARATION_FILE  "onward.yaml"
#define DECLARATION_SIZE  (4 << 20) /* bytes that the file may have */
#define DECLARATION_SITES 100000    /* sites that it may declare */

#define WAVES_MOST 64 /* waves of a rollout */

struct label {
    char *key, *value;
};

struct site {
    char *name;   /* [A-Za-z0-9][A-Za-z0-9._-]*, at most 128 bytes */
    char *source; /* directory, relative to the root; "." is the root */
    VEC(char *) include;
    char *team;               /* "default" when not given */
    char *backend;            /* NULL when not given */
    VEC(struct label) labels; /* sorted by key */
    char *pin;                /* tag or full id, or NULL */
    bool suspend;
    VEC(char *) depends_on;
    bool self_heal;
    int line; /* where onward.yaml declares it */
};

struct wave {
    char *name;
    VEC(struct label) match;
    VEC(char *) sites;
    int count, share;    /* 0: not given; share in percent */
    int max_unavailable; /* 0: not given; a number of sites, or percent if negative */
    int64_t soak;        /* ns */
};

struct declaration {
    unsigned refs;
    struct oid blob;        /* of onward.yaml; zero if there is none */
    VEC(struct site) sites; /* sorted by name */
    VEC(char *) discover;   /* the patterns that found sites, in the order of the file */
    VEC(struct wave) waves; /* never empty */
    int max_failures;
    int approvals;
    VEC(char *) checks;          /* yaml and json when the file does not say */
    int checks_line, checks_col; /* where the file names them; 0: it does not */
    size_t depth;                /* names in the longest path or pattern of a site */
};

/* Reads the declaration of the revision with root tree `tree`: parses, expands `discover`, applies
 * overrides. A tree without onward.yaml gives an empty declaration. -EINVAL: findings were added
 * (check "declaration"); other errors as repo/repo.h, with `reterr`. */
int declaration_load(struct repo *repo, const struct oid *tree, struct declaration **ret,
                     struct findings *findings, struct diag *reterr);
struct declaration *declaration_ref(struct declaration *d);
void declaration_unref(struct declaration *d);
DEFINE_CLEANUP(struct declaration *, declaration_unref)
/* By name, or NULL. Borrowed. */
const struct site *declaration_site(const struct declaration *d, const char *name);

/* The digest of what the site takes from the revision with root tree `tree`: the trees of its
 * source and includes (an absent one counts as absent) and of its declaration what reaches a
 * backend (name, source, include, team, backend, labels). Two revisions in which it is equal are
 * the same to the site. `suspend`, `pin`, `depends_on` and `self_heal` steer, they are no inputs.
 */
int site_inputs(struct repo *repo, const struct oid *tree, const struct site *site,
                struct oid *ret);

/* The newest first-parent revision at or behind `head` that changed the site's inputs: its inputs
 * equal those at `head`, those of its first parent do not (or it has none, or the site is not
 * declared there). One walk for all `n` sites (NULL-free array), which ends when all are found.
 * `ret[i]` for `sites[i]`. Declarations of older revisions that have findings count as "declared as
 * now". `stop` (zero: none) ends the walk at that revision: sites not found before it keep what
 * `ret[i]` held. `cancel` (may be NULL) is polled. */
int site_desired(struct repo *repo, const struct oid *head, const struct site *const *sites,
                 size_t n, const struct oid *stop, const bool *cancel, struct oid *ret);
/* The same without `stop`, out of the history index, without walking: microseconds a site, and a
 * declaration to be read for each onward.yaml that is younger than some site's inputs.
 * -EAGAIN: the index does not hold `head`. */
int site_desired_indexed(struct repo *repo, struct history_index *ix, const struct oid *head,
                         const struct site *const *sites, size_t n, const bool *cancel,
                         struct oid *ret);

#endif
