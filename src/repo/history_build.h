/* Brings a history store to a revision: finds where the line of its first parents leaves the one
 * that the store holds, takes off what is not on it, and adds what is new, oldest first, in batches
 * of about a second. So what was interrupted goes on where it was, and a mainline whose last
 * revisions were replaced costs those. Inside src/repo only. */
#ifndef ONWARD_REPO_HISTORY_BUILD_H
#define ONWARD_REPO_HISTORY_BUILD_H

#include "repo/history_index.h"
#include "repo/history_store.h"

struct history_build {
    struct repo *repo;
    struct history_store *store;
    uint32_t batch; /* revisions in a batch at most; 0: as many as is best */
    /* Asked often. True ends the work at once; what is complete is kept. */
    bool (*stop)(void *arg);
    /* At the beginning and after each batch; `total` is the length of the line. False, after a
     * batch, ends the work there. */
    bool (*progress)(void *arg, uint32_t done, uint32_t total);
    void *arg;
};

/* -ECANCELED: stopped; -EUCLEAN and -ESTALE: see history_store.h; others with the reason. */
int history_build(const struct history_build *b, const struct oid *head, struct diag *reterr);

#endif
