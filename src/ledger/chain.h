/* One host's chain of ledger commits, as far as it has been read: where it ends, and the newest
 * record of each site in it (by id; the records themselves are read when somebody asks). Private to
 * the ledger; not thread-safe. */
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
    char *ref;         /* "refs/onward/ledger/<host>" */
    struct oid tip;    /* its newest commit, zero: none yet */
    struct oid root;   /* that commit's tree */
    struct map newest; /* site -> struct oid * of its newest record */
};

struct chain *chain_new(const char *ref);
void chain_free(struct chain *c);
DEFINE_CLEANUP(struct chain *, chain_free)
/* Each becomes what the other was; they are chains of one ref. */
void chain_swap(struct chain *a, struct chain *b);
/* Makes it what the ref names now. Costs a listing of the tree if that has changed, else a ref's
 * lookup. On failure it is as it was. */
int chain_reload(struct chain *c, struct repo *repo, struct diag *reterr);
/* The id of the site's newest record, zero if it has none. */
struct oid chain_newest(const struct chain *c, const char *site);
/* Takes in that `record` is now the site's newest. */
void chain_set_newest(struct chain *c, const char *site, const struct oid *record);

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
