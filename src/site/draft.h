/* Sites in the making: the entries of `sites:` in onward.yaml, expanded over one tree and laid over
 * each other, before they become a declaration. Private to this folder. */
#ifndef ONWARD_SITE_DRAFT_H
#define ONWARD_SITE_DRAFT_H

#include "base/decode.h"
#include "base/map.h"
#include "site/declaration.h"

enum draft_key {
    DRAFT_BACKEND,
    DRAFT_DEPENDS_ON,
    DRAFT_DISCOVER,
    DRAFT_INCLUDE,
    DRAFT_LABELS,
    DRAFT_NAME,
    DRAFT_PIN,
    DRAFT_SELF_HEAL,
    DRAFT_SOURCE,
    DRAFT_SUSPEND,
    DRAFT_TEAM,
    DRAFT_KEYS
};

/* What one entry says, or what all entries together say of one site. */
struct draft {
    struct site site;
    char *discover;             /* the pattern; in entries only */
    const struct yaml_node *at; /* the entry; of a site, the last one that spoke of it */
    const struct yaml_node *given[DRAFT_KEYS];
};

struct drafts {
    struct repo *repo;
    const struct oid *tree;
    struct decode *decode;
    struct declaration *ret; /* takes the patterns */
    VEC(struct draft);
    struct map by_name; /* → index + 1 in v; until drafts_settle() */
};

void drafts_done(struct drafts *all);
/* Reads the list `sites` and expands it. Errors are those of the repository. */
int drafts_read(struct drafts *all, const struct yaml_node *sites, struct diag *reterr);
/* Sorts by name, fills in what was not given, and checks what sites say of the tree and of each
 * other. */
int drafts_settle(struct drafts *all, struct diag *reterr);

void site_done(struct site *s);

#endif
