/* A part of a revision as files in a directory: writes them, or says what there is not exactly as
 * it was written.
 *
 * Works below one directory descriptor, entry by entry with descriptors that it opened itself, so
 * that no symlink is ever followed, neither one out of the repository nor one that somebody put in
 * the way. Content is read from the object store, not through the mount. Everything written is
 * fsynced, unless the caller does that for several together. Directories and what is executable
 * are 0755, files 0644, and all of it belongs to whoever writes. */
#ifndef ONWARD_DEPLOY_PUBLICATION_H
#define ONWARD_DEPLOY_PUBLICATION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/diag.h"
#include "deploy/drift_patch.h"
#include "repo/object.h"

#define PUBLICATION_ENTRIES_MOST 1000000
#define PUBLICATION_DEPTH_MOST   200

/* What a comparison has found, a line for each difference:
 *
 *     missing stores/1/app.conf         it is not there
 *     extra stores/1/app.conf~          it should not be
 *     kind stores/1/run                 it is a directory, a pipe, …, and should not be
 *     target stores/1/link              a symlink leads elsewhere
 *     content stores/1/app.conf         other bytes
 *     mode stores/1/run                 other permission bits, or a file capability
 *     owner stores/1/run                another user's
 *
 * What is below a directory that is missing or extra is not listed. Zero is a valid start. */
struct differences {
    size_t n;          /* all of them… */
    struct buf list;   /* …the first ones, as many as fit into DIFFERENCES_MOST bytes */
    struct buf digest; /* …and the very first in one line: "app.conf (content), run (mode)" */
    struct drift_patch *patch; /* NULL, or where files and symlinks are shown, too; borrowed */
};
#define DIFFERENCES_MOST (512 << 10)
void differences_done(struct differences *d);
/* Adds one. `what` is one of the words above. */
void differences_add(struct differences *d, const char *what, const char *path);

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
    uid_t owner;   /* whose everything has to be, for a comparison */
    bool unsynced; /* what is written is not made durable here */
    /* filled */
    size_t entries;
    uint64_t bytes;
    /* inside */
    publication_visit *visit;
    struct differences *found; /* NULL: the first one ends the comparison */
    struct diag *reterr;
    struct buf path;
    int depth;
};
void publication_done(struct publication *p);

/* Writes into the empty directory `dirfd`, and makes it 0755. -ECANCELED; -EINVAL: something cannot
 * be a file here (a symlink to nowhere, too deep, too many); other -errno as they come. */
int publication_write(struct publication *p, int dirfd, struct diag *reterr);
/* 1 if the directory holds exactly that, byte for byte, and nothing else; 0 if not. With `found`
 * everything is looked at, and all that differs is added to it; without, the first ends it. Errors
 * as above. */
int publication_compare(struct publication *p, int dirfd, struct differences *found,
                        struct diag *reterr);

#endif
