/* One host's chain of ledger commits: where it ends. What it holds is looked up in its tree when
 * somebody asks, so that opening costs the same whatever there is. Private to the ledger; not
 * thread-safe but for what takes only a root. */
#ifndef ONWARD_LEDGER_CHAIN_H
#define ONWARD_LEDGER_CHAIN_H

#include "base/cleanup.h"
#include "base/map.h"
#include "ledger/record.h"
#include "repo/repo.h"

#define CHAIN_PREFIX "refs/onward/ledger/"
#define CHAIN_AUTHOR "onwardfs"
#define CHAIN_SITES  "sites"      /* sites/<xx>/<site>.json */
#define CHAIN_LOGS   "logs"       /* logs/<xx>/<site> */
#define CHAIN_FLEET  "fleet.json" /* of RECORD_FLEET */

struct chain {
    char *ref;       /* "refs/onward/ledger/<host>" */
    struct oid tip;  /* its newest commit, zero: none yet */
    struct oid root; /* that commit's tree */
};

struct chain *chain_new(const char *ref);
void chain_free(struct chain *c);
DEFINE_CLEANUP(struct chain *, chain_free)
/* Makes it what the ref names now. On failure it is as it was. */
int chain_reload(struct chain *c, struct repo *repo, struct diag *reterr);
/* The id of the site's newest record in the tree `root`, zero if it has none. -EIO. */
int chain_newest(struct repo *repo, const struct oid *root, const char *site, struct oid *ret,
                 struct diag *reterr);
/* Adds the name of every site that has a record there as a key (with the value `names`). -EIO. */
int chain_sites(struct repo *repo, const struct oid *root, struct map *names);

/* A name that is one harmless component of a ref, as alike `host` as possible; yours. */
char *chain_host(const char *host);
/* The paths of the site's record and of its log in the tree of a chain; yours. */
char *chain_path(const char *site);
char *chain_log_path(const char *site);
/* The site whose record is in the file of that name; yours, NULL if it is none. */
char *chain_site(const char *file);
/* Reads the record `oid`, which must be one of `site`. -EIO: missing or broken. */
int chain_read(struct repo *repo, const struct oid *oid, const char *site, struct record *ret,
               struct diag *reterr);

#endif
