/* Revisions (commits): reading, writing, and finding them by what people type. */
#ifndef ONWARD_REPO_REVISION_H
#define ONWARD_REPO_REVISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "repo/batch.h"
#include "repo/oid.h"
#include "repo/repo.h"
#include "repo/sink.h"

struct signature {
    char *name;
    char *email;
    int64_t time; /* seconds since 1970 */
    int offset;   /* minutes east of UTC */
};

struct revision {
    struct oid oid;
    struct oid tree;
    struct oid *parents;
    size_t nparents;
    struct signature author, committer;
    char *message; /* as stored, usually ends in a newline */
};

/* Reads the commit `oid`; the result is yours (revision_free). -ENOENT if there is no such object,
 * or it is not a commit; -EIO if it is broken. */
int revision_load(struct repo *repo, const struct oid *oid, struct revision **ret);
void revision_free(struct revision *rev);
DEFINE_CLEANUP(struct revision *, revision_free)

/* Adds the trailers of a message, as Git finds them, a line "key: value" each,
 * also where the value goes on in further lines. */
void revision_trailers(const char *message, struct buf *out);

/* Only tree, first parent (zero if none) and committer time (seconds): the cheap form that walks
 * use. */
struct revision_brief {
    struct oid tree, parent;
    int64_t time;
};
int revision_brief(struct repo *repo, const struct oid *oid, struct revision_brief *ret);

/* The revision that `expr` names: full or abbreviated id, tag, branch, HEAD~3 … peeled to a commit.
 * -ENOENT for no such thing, ambiguous, or not a commit. */
int revision_resolve(struct repo *repo, const char *expr, struct oid *ret);

/* Puts a commit with what `draft` says (its id is not looked at) where other new objects go,
 * without looking whether what it names is there. */
int revision_put(struct sink *sink, const struct revision *draft, struct oid *ret,
                 struct diag *reterr);
/* The same, and all that was put before is durable on return. -EINVAL: the tree or a parent is not
 * there, or no such thing. Moves no ref. */
int revision_write(struct batch *batch, const struct revision *draft, struct oid *ret,
                   struct diag *reterr);

#endif
