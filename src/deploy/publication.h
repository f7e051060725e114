/* A part of a revision as files in a directory: writes them, or says whether they are there
 * exactly.
 *
 * Works below one directory descriptor, entry by entry with descriptors that it opened itself, so
 * that no symlink is ever followed, neither one out of the repository nor one that somebody put in
 * the way. Content is read from the object store, not through the mount. Everything written is
 * fsynced but the directory itself. */
#ifndef ONWARD_DEPLOY_PUBLICATION_H
#define ONWARD_DEPLOY_PUBLICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/diag.h"
#include "repo/object.h"

#define PUBLICATION_ENTRIES_MOST 1000000
#define PUBLICATION_DEPTH_MOST   200

/* How much of a directory is taken. */
enum publication_reach {
    REACH_NONE,
    REACH_PART, /* something below it */
    REACH_ALL,
};

struct publication;
/* What is done with one entry of the directory `dirfd`; 0 to go on. */
typedef int publication_visit(struct publication *p, const struct tree_entry *e,
                              enum publication_reach reach, int dirfd);

struct publication {
    struct repo *repo;
    struct oid root;          /* the root tree of the revision */
    const char *const *paths; /* what is taken from it, at their places; "." is everything. One that
                               * is not there is left out, not the directories on the way to it */
    size_t npaths;
    bool (*halt)(void *arg); /* asked before each entry: true ends it with -ECANCELED */
    void *halt_arg;
    /* filled */
    size_t entries;
    uint64_t bytes;
    /* inside */
    publication_visit *visit;
    struct diag *reterr;
    struct buf path;
    int depth;
};
void publication_done(struct publication *p);

/* Writes into the empty directory `dirfd`. -ECANCELED; -EINVAL: something cannot be a file here
 * (a symlink to nowhere, too deep, too many); other -errno as they come. */
int publication_write(struct publication *p, int dirfd, struct diag *reterr);
/* 1 if the directory holds exactly that, byte for byte, and nothing else; 0 if not. */
int publication_compare(struct publication *p, int dirfd, struct diag *reterr);

#endif
