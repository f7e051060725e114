/* Objects that are known not to be there. In a partial clone many are not, a directory's listing
 * asks for each, and libgit2 reads all pack directories again for each such question.
 *
 * It forgets everything when something was added to or removed from a pack directory (by their
 * mtimes), and after MISSING_SECONDS at the latest, for filesystems whose times come late. An
 * answer that was had within a second of such a change is not remembered: the clock of a filesystem
 * is too coarse to tell what came first. Loose objects need none of this: whoever asks here has
 * looked for those first (source.c). Thread-safe. Inside src/repo only. */
#ifndef ONWARD_REPO_MISSING_H
#define ONWARD_REPO_MISSING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "repo/odb.h"
#include "repo/oid.h"

#define MISSING_SECONDS 5

/* The state of the pack directories at one time. */
struct missing_stamp {
    uint64_t state;
    int64_t changed, taken; /* last change; when it was looked at: nanoseconds since 1970 */
};

struct missing;

/* `dirs` is borrowed. */
struct missing *missing_new(const struct odb_dirs *dirs);
void missing_free(struct missing *m);
DEFINE_CLEANUP(struct missing *, missing_free)

/* Whether the object is known to be missing. Sets the stamp with which missing_add() is to be
 * called if it turns out to be. */
bool missing_has(struct missing *m, const struct oid *oid, struct missing_stamp *ret_asked);
void missing_add(struct missing *m, const struct oid *oid, const struct missing_stamp *asked);

#endif
