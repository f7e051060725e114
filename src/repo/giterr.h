/* The border between libgit2's error codes and ours: converted here, once. Inside src/repo only. */
#ifndef ONWARD_REPO_GITERR_H
#define ONWARD_REPO_GITERR_H

#include <git2.h>
#include <stdbool.h>

#include "base/diag.h"
#include "repo/oid.h"

/* The -errno for `code` (negative), which libgit2 has just returned in this thread. */
int giterr_errno(int code);
/* The same, and sets `reterr` to "fmt: libgit2's words". */
int giterr_fail(int code, struct diag *reterr, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* libgit2's last words in this thread. Borrowed until its next call. */
const char *giterr_text(void);
/* Whether the last failure was that a file or directory was not there: when something is written,
 * that `git gc` beside us removed the directory that it should go to, and trying again helps. */
bool giterr_vanished(void);
/* Whether the last failure was the system's: nothing is known about what was asked for. */
bool giterr_is_system(void);

_Static_assert(sizeof(git_oid) == sizeof(struct oid), "ids are the same 20 bytes on both sides");

static inline const git_oid *oid_git(const struct oid *oid)
{
    return (const git_oid *)oid->id;
}

static inline struct oid oid_from_git(const git_oid *oid)
{
    struct oid ours;
    memcpy(ours.id, oid->id, OID_RAW);
    return ours;
}

#endif
