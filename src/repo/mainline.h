/* The live state of the refs: the mainline (the branch that is the desired state) and a snapshot of
 * all refs, kept up to date by whoever learns of a change: the watch, or a commit of ours before it
 * answers.
 *
 * Which branch: the configured one; else `main` if it exists, else the branch that HEAD names (born
 * or not). Once it has a revision the choice stays until the mainline is freed. */
#ifndef ONWARD_REPO_MAINLINE_H
#define ONWARD_REPO_MAINLINE_H

#include "repo/refs.h"

struct mainline;

/* `branch`: a short name ("main", "ops/live") or NULL. Loads the refs. */
int mainline_new(struct repo *repo, const char *branch, struct mainline **ret, struct diag *reterr);
void mainline_free(struct mainline *m);
DEFINE_CLEANUP(struct mainline *, mainline_free)

/* Called after each change of any ref has been taken in, by the thread that took it in, never two
 * at once, with no lock held that the functions below need. One listener. */
void mainline_listen(struct mainline *m, void (*changed)(void *arg), void *arg);

/* Newest revision; -ENOENT while the branch has none. Never blocks on I/O. */
int mainline_head(struct mainline *m, struct oid *ret);
/* "refs/heads/main"; yours. */
char *mainline_ref(struct mainline *m);
/* All refs as of the last refresh; refs_unref() it. */
struct refs *mainline_refs(struct mainline *m);
/* When the snapshot last changed: nanoseconds since 1970, strictly larger with each change. The
 * first one is the committer time of head (or the repository's age when empty), so it is stable
 * over mounts. */
int64_t mainline_changed_at(struct mainline *m);
/* Reads the refs again and tells the listener if anything differs. */
int mainline_refresh(struct mainline *m, struct diag *reterr);
/* Moves the mainline from `from` (zero: unborn) to `to` by compare-and-swap, durable, refreshes,
 * and returns when mainline_head() and the listener know it. -EAGAIN: it was elsewhere. If the
 * branch is checked out in a work tree, that work tree and its index are brought along; -EBUSY,
 * with the path and a remedy in `reterr` and nothing changed, when local changes there are in the
 * way. */
int mainline_advance(struct mainline *m, const struct oid *from, const struct oid *to,
                     const char *why, struct diag *reterr);

#endif
